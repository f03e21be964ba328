//! What no run comes to: times beyond its end, events that no session has, servers that nothing leads to.
//!
//! Only what is sure is told. A relay may say `STARTTLS` to a server that does not offer it, so a rule may wait for that;
//! a step that has nothing else to wait for may not.

use mock_servers::script::{Action, On, Rule, Script, Verb};
use mock_servers::time::human;

use super::context::{Context, Late, entries};
use super::model::{DnsEntry, Scenario, Server, Step};
use crate::yaml::{Diagnostic, Node};

/// Times that come after the longest run.
pub(super) fn too_late(scenario: &Scenario, cx: &Context<'_>) {
    let longest = scenario.longest_run();
    for due in cx.dues().into_iter().filter(|due| due.time > longest) {
        let (title, help) = match due.what {
            Late::Waited => (
                "what comes after this wait never comes",
                "a rule whose server says nothing any more has `stall: true`; to wait a little: `wait: 30s`",
            ),
            Late::Silence => ("a rule that can never fire", "a silence of hours is long: `after: 30m`"),
            Late::Condition => {
                ("a rule that can never fire", "a `wait:` among the steps makes the run longer")
            }
            Late::Answer => (
                "the second answer is never given",
                "give the moment from the start of the run: `until: 20m`; or leave `until:` and `then:` out",
            ),
            Late::Expected => (
                "an expectation that can never hold",
                "`within: ..2d` is at most, `within: 2d..` at least; a `wait:` among the steps makes the run longer",
            ),
        };
        cx.doubt(
            Diagnostic::new(due.span, title)
                .because(format!(
                    "a run ends after {} here: three lifetimes of mail, two days and all waits",
                    human(longest)
                ))
                .help(help),
        );
    }
}

/// The rules on `challenge` of servers that ask nobody anything.
pub(super) fn challenges(root: &Node, servers: &[Server], cx: &Context<'_>) {
    let nodes = entries(root).filter(|(key, _)| *key == "servers").flat_map(|(_, node)| entries(node));
    for (name, node) in nodes {
        let Some(server) = servers.iter().find(|server| server.script.name == name) else { continue };
        let events = entries(node).filter(|(key, _)| *key == "on").flat_map(|(_, node)| entries(node));
        for (_, rules) in events.filter(|(event, _)| *event == "challenge") {
            if !asks(&server.script) {
                cx.doubt(
                    Diagnostic::new(rules.span.clone(), "a rule that can never fire")
                        .because(format!("`{name}` does not offer AUTH and answers nothing with 334"))
                        .help("offer it: `offers: { add: [AUTH LOGIN] }`"),
                );
            }
        }
    }
}

/// Why no session of a conformant relay comes to this event; `None`: one may.
pub(super) fn never_comes(on: &On, script: &Script, scenario: &Scenario) -> Option<(String, &'static str)> {
    let name = &script.name;
    let keyword = match on {
        On::Command(Verb::StartTls) => "STARTTLS",
        On::Command(Verb::Bdat) => "CHUNKING",
        On::Command(Verb::Auth) | On::Challenge => "AUTH",
        _ => return None,
    };
    let has_credentials =
        scenario.relay.auth.as_ref().is_some_and(|auth| auth.to.as_ref().is_none_or(|to| to == name));
    let rewritten =
        rules(script).any(|rule| rule.actions.iter().any(|one| matches!(one, Action::Rewrite(_))));
    if keyword == "AUTH" && !has_credentials && !rewritten {
        let why = format!("the relay has no credentials for `{name}`");
        return Some((why, "`relay: { auth: { to: any, user: relay, password: secret } }`"));
    }
    (!lists(script, keyword) && !speaks_for_itself(script) && !rewritten).then(|| {
        let way = match keyword {
            "STARTTLS" => "`offers: { add: [STARTTLS] }`",
            "CHUNKING" => "`offers: { add: [CHUNKING] }`",
            _ => "`offers: { add: [AUTH LOGIN] }`",
        };
        (format!("`{name}` does not offer {keyword}"), way)
    })
}

/// Whether anything leads a relay to this server: a domain, the relay's settings, a name in the DNS. What cannot be seen
/// for sure counts.
pub(super) fn is_led_to(name: &str, scenario: &Scenario, cx: &Context<'_>) -> bool {
    let Some(server) = scenario.server(name) else { return true };
    let text = cx.text.to_ascii_lowercase();
    let host = server.script.hostname.to_ascii_lowercase();
    // Its own `hostname:` is one mention; the name by which it goes without one is none.
    let own = usize::from(!host.eq_ignore_ascii_case(&format!("{name}.example")));
    !server.serves.is_empty()
        || scenario.relay.smarthost.as_deref() == Some(name)
        || scenario.dns.iter().any(|entry| leads(entry, name))
        || text.matches(&host).count() > own
        || ["198.51.100.", "2001:db8:100:", "for each"].iter().any(|part| text.contains(part))
}

fn leads(entry: &DnsEntry, name: &str) -> bool {
    match entry {
        DnsEntry::Fault { .. } => false,
        DnsEntry::Until { first, then, .. } => leads(first, name) || leads(then, name),
        DnsEntry::Records(records) => {
            records.a.iter().chain(&records.aaaa).flatten().any(|host| host == name)
        }
    }
}

/// Whether something was sent, or a client ran, before a step.
pub(super) fn anything_done(before: &[Step]) -> bool {
    before.iter().any(|step| matches!(step, Step::Send(_) | Step::Client(_)))
}

/// Whether it can answer with 334.
fn asks(script: &Script) -> bool {
    let asks = |action: &Action| match action {
        Action::Reply(text) => text.code == 334,
        Action::Send { .. } => true,
        _ => false,
    };
    lists(script, "AUTH")
        || rules(script).any(|rule| rule.actions.iter().any(asks))
        || script.profile.replies.iter().any(|(_, text)| text.code == 334)
}

/// Whether its EHLO replies list a keyword, in any phase.
fn lists(script: &Script, keyword: &str) -> bool {
    let offers = &script.profile.offers;
    let later = offers.after_tls.iter().chain(&offers.after_auth).flatten();
    offers.at_first.iter().chain(later).any(|line| {
        let word = line.split([' ', '=']).next().unwrap_or_default();
        word.eq_ignore_ascii_case(keyword)
    })
}

/// Whether a rule may give an EHLO reply of its own, which lists what it likes.
fn speaks_for_itself(script: &Script) -> bool {
    let events = script.rules.iter().chain(&script.profile.habits);
    let mut rules = events
        .filter(|(on, _)| {
            matches!(on, On::Command(Verb::Ehlo | Verb::Helo) | On::Any | On::Connect | On::Early)
        })
        .flat_map(|(_, rules)| rules);
    rules.any(|rule| rule.actions.iter().any(|one| matches!(one, Action::Reply(_) | Action::Send { .. })))
}

/// All its rules, and its profile's habits.
pub(super) fn rules(script: &Script) -> impl Iterator<Item = &Rule> {
    script.rules.iter().chain(&script.profile.habits).flat_map(|(_, rules)| rules)
}
