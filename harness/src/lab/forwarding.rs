//! Mail that mock servers hand to the relay once more: each is submitted from its server's own address, as by a client
//! that may relay.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mock_servers::environment::Clock;
use mock_servers::script::{Action, Script};
use mock_servers::smtp::client::{self, Outcome};
use mock_servers::smtp::forward::{Forwarded, Forwarder};
use mock_servers::transcript::{Recorder, Reply, Side};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::places::Places;
use super::wires::Wires;
use super::world::relay_address;
use crate::scenario::Scenario;

/// Between a server's taking of a mail and its forwarding, so that what follows from it comes later in the record too.
const A_MOMENT: Duration = Duration::from_secs(1);

/// A relay that cannot be reached, or answers 4yz, is tried so often, with this pause.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_mins(30);

/// The servers of a scenario that forward mail, and the address that each of them does so from: its first of IPv4, where
/// the relay listens.
pub(super) fn servers(scenario: &Scenario, places: &Places) -> BTreeMap<String, IpAddr> {
    let forwarding = scenario.servers.iter().filter(|server| forwards(&server.script));
    let address = |placed: &super::Placed| {
        let ips = || placed.addresses.iter().map(|(at, _)| at.ip());
        Some((placed.name.clone(), ips().find(IpAddr::is_ipv4).or_else(|| ips().next())?))
    };
    forwarding.filter_map(|server| places.get(&server.script.name)).filter_map(address).collect()
}

fn forwards(script: &Script) -> bool {
    let rules = script.rules.iter().chain(&script.profile.habits).flat_map(|(_, rules)| rules);
    rules.flat_map(|rule| &rule.actions).any(|action| matches!(action, Action::Forward(_)))
}

/// What the servers hand their mail to, and where it comes out.
pub(super) fn channel() -> (Forwarder, UnboundedReceiver<Forwarded>) {
    let (give, take) = unbounded_channel();
    // Whoever took it may be gone: a world that is being dropped.
    (Forwarder::new(move |mail| _ = give.send(mail)), take)
}

/// Carries mail until the returned future is dropped. A panic of a client is passed on.
pub(super) async fn carry(
    wires: Wires,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    from: BTreeMap<String, IpAddr>,
    mut mail: UnboundedReceiver<Forwarded>,
) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
            Some(mail) = mail.recv() => {
                if let Some(from) = from.get(&mail.server) {
                    under_way.spawn(submit(wires.clone(), clock.clone(), recorder.clone(), *from, mail));
                }
            }
            else => return,
        }
    }
}

async fn submit(wires: Wires, clock: Arc<dyn Clock>, recorder: Recorder, from: IpAddr, mail: Forwarded) {
    for wait in std::iter::once(A_MOMENT).chain((1..TRIES).map(|_| PAUSE)) {
        clock.sleep_until(clock.now() + wait).await;
        let Ok((socket, client)) = wires.connect(from, relay_address()).await else { continue };
        let record = recorder.open(&mail.server, Side::Client, client, relay_address(), clock.now());
        let outcome = client::submit(socket, mail.submission.clone(), clock.clone(), record).await;
        if is_final(&outcome) {
            return;
        }
    }
}

/// Whether the relay took the mail, or refused it for good.
fn is_final(outcome: &Outcome) -> bool {
    let Some(t) = &outcome.transaction else { return outcome.missing.is_some() };
    let replies = [&t.mail_reply, &t.data_reply, &t.final_reply].into_iter().flatten();
    let mut replies = replies.chain(t.recipients.iter().filter_map(|r| r.reply.as_ref()));
    outcome.is_accepted() || outcome.broken.is_none() && !replies.any(Reply::is_transient)
}
