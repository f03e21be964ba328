//! How mail comes to a relay that does not take it as others do: by a command of its own machine, or from a user with a password.

use mock_servers::script::Action;

use super::compose;
use super::execute::RunError;
use crate::lab::World;
use crate::relay::{HandedOver, Intake, Unsupported};
use crate::scenario::{Message, Scenario};

/// What of a scenario such a relay cannot be part of, if anything, before anything is done.
pub(super) fn lacking(name: &str, intake: &Intake, scenario: &Scenario) -> Option<Unsupported> {
    let forwards = |server: &crate::scenario::Server| {
        let rules =
            server.script.rules.iter().chain(&server.script.profile.habits).flat_map(|(_, rules)| rules);
        rules.flat_map(|rule| &rule.actions).any(|action| matches!(action, Action::Forward(_)))
    };
    let forwarding = scenario.servers.iter().find(|server| forwards(server));
    let forwarding =
        forwarding.map(|server| format!("the server `{}` would send mail back to it", server.script.name));
    let why = match intake {
        Intake::ByAddress => return None,
        Intake::ByCommand => {
            let client = scenario
                .clients
                .first()
                .map(|client| format!("the client `{}` has nobody to call", client.name));
            let stranger = scenario.messages.iter().find(|message| !message.trusted);
            let stranger = stranger.map(|message| format!("`{}` would come from a stranger", message.name));
            let what = client.or(stranger).or(forwarding)?;
            format!("{name} listens nowhere, and takes mail by a command of its own machine alone: {what}")
        }
        Intake::ByPassword(_) => {
            let client = scenario.clients.iter().find(|client| client.trusted);
            let client = client.map(|client| format!("the client `{}` has none", client.name));
            let what = client.or(forwarding)?;
            format!("{name} relays for those with a password alone: {what}")
        }
    };
    Some(Unsupported(why))
}

/// Hands a message to the relay's command: the session that it is written down as, and the parameters that no command has a
/// word for.
///
/// # Errors
/// When the message is another one without them, or the command cannot be run.
pub(super) async fn by_command(
    world: &World,
    message: &Message,
    content: &[u8],
    needs: &[String],
) -> Result<(u32, Vec<String>), RunError> {
    if let Some(keyword) = needs.first() {
        let why = format!("its command has no word for {keyword}, which `{}` needs", message.name);
        return Err(RunError::Unsupported(Unsupported(why)));
    }
    let mail = HandedOver { from: message.from.clone(), to: message.to.clone(), content: content.to_vec() };
    let ordinal = world.hand_over("client", mail).await?;
    let parameters = [compose::sender_parameters(message), compose::recipient_parameters(message)];
    Ok((ordinal, parameters.concat()))
}
