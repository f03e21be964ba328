//! Rules: when, and what then.

use std::time::Duration;

use mock_servers::script::{
    Action, Certificate, Condition, HeaderChanges, MeansFor, On, Range, Reading, ReplyText, Rule, TlsAction,
    TlsFault, TlsVersion,
};
use mock_servers::time::human;

use super::page::{Page, and, quoted};
use crate::scenario::phrases;

/// The rules of one event.
pub(super) fn tell(on: &On, rules: &[Rule], page: &mut Page) {
    let event = event(on);
    if let [rule] = rules {
        return page.line(4, &format!("{event}{}: {}.", when(rule), actions(&rule.actions)));
    }
    page.line(4, &format!("{event}, the first of these that fits:"));
    for (n, rule) in rules.iter().enumerate() {
        let when = when(rule);
        let when = if when.is_empty() { "always" } else { when.trim_start_matches([',', ' ']) };
        page.hanging(6, 9, &format!("{}. {when}: {}.", n + 1, actions(&rule.actions)));
    }
}

fn event(on: &On) -> String {
    match on {
        On::Connect => "When a connection comes".to_owned(),
        On::Early => "When the client speaks before its turn".to_owned(),
        On::Command(verb) => format!("On {}", verb.name()),
        On::Challenge => "On the answer to a 334".to_owned(),
        On::Data => "While the content comes".to_owned(),
        On::EndOfData => "At the end of data".to_owned(),
        On::Idle => "When nothing comes".to_owned(),
        On::Unknown => "On a verb that it does not know".to_owned(),
        On::Any => "On any command".to_owned(),
    }
}

/// `, when the recipient is bob@* and …`; nothing where the rule always fires.
fn when(rule: &Rule) -> String {
    let after = rule.after.map_or_else(String::new, |after| format!(" for {}", human(after)));
    if rule.when.is_empty() {
        return after;
    }
    let conditions: Vec<String> = rule.when.iter().map(condition).collect();
    format!("{after}, when {}", and(&conditions))
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Seen(range) if *range == Range::exactly(1) => {
            "sender and recipient come here for the first time".to_owned()
        }
        Condition::Seen(range) => {
            format!("sender and recipient came here in {}", counted(range, "transaction"))
        }
        Condition::Session(range) => format!("it is session {}", phrases::range(range)),
        Condition::Transaction(range) => {
            format!("it is transaction {} of the session", phrases::range(range))
        }
        Condition::Nth(range) => format!("it is number {} of its kind", phrases::range(range)),
        Condition::SinceFirst(range) => format!("the mail was first seen {} ago", time(range)),
        Condition::From(glob) => format!("the sender is {}", path(&glob.0)),
        Condition::To(glob) => format!("the recipient is {}", path(&glob.0)),
        Condition::Helo(glob) => format!("the client calls itself {}", glob.0),
        Condition::Client(glob) => format!("the client's address is {}", glob.0),
        Condition::Domains(range) => {
            format!("the transaction has {}", counted(range, "recipient domain"))
        }
        Condition::Parameter(glob) => format!("a parameter is {}", glob.0),
        Condition::Declares(range) => format!("SIZE declares {}", counted(range, "octet")),
        Condition::Octets(range) => format!("the content so far has {}", counted(range, "octet")),
        Condition::Line(range) => format!("its longest line has {}", counted(range, "octet")),
        Condition::Header(glob) => format!("a header field is {:?}", glob.0),
        Condition::Tls(true) => "the session is encrypted".to_owned(),
        Condition::Tls(false) => "the session is in the clear".to_owned(),
        Condition::Authenticated(true) => "the client is authenticated".to_owned(),
        Condition::Authenticated(false) => "the client is not authenticated".to_owned(),
        Condition::OpenSessions(range) => {
            format!("{} open, this one included", counted(range, "session"))
        }
        Condition::Matches(regex) => format!("the line matches /{regex}/"),
    }
}

fn path(glob: &str) -> String {
    if glob.is_empty() { "the null reverse-path".to_owned() } else { glob.to_owned() }
}

fn counted(range: &Range<u64>, one: &str) -> String {
    phrases::counted(range, one, &format!("{one}s"))
}

fn time(range: &Range<Duration>) -> String {
    phrases::duration(range)
}

fn actions(actions: &[Action]) -> String {
    actions.iter().map(action).collect::<Vec<_>>().join(", then ")
}

fn action(action: &Action) -> String {
    match action {
        Action::Wait(time) => format!("waits {}", human(*time)),
        Action::Reply(text) => format!("replies {}", reply(text)),
        Action::Send { bytes, means } => {
            let means = match means {
                Some(MeansFor::Accepted) => ", which accepts",
                Some(MeansFor::Refused) => ", which refuses",
                None => "",
            };
            format!("sends {}{means}", quoted(bytes))
        }
        Action::Pace(size) => format!("cuts what it sends into segments of {size} octets"),
        Action::Read(how) => reading(*how),
        Action::Tls(action) => tls(action),
        Action::Rewrite(line) => format!("understands {line:?} in its place"),
        Action::Forward(changes) => format!("submits the mail to the relay once more{}", header(changes)),
        Action::Take(true) => "keeps the mail".to_owned(),
        Action::Take(false) => "does not keep the mail".to_owned(),
        Action::CloseFin => "closes".to_owned(),
        Action::CloseWithoutNotify => "closes without close_notify".to_owned(),
        Action::CloseReset { at_once: false } => "resets the connection".to_owned(),
        Action::CloseReset { at_once: true } => "resets the connection at once".to_owned(),
        Action::Stall => "says and reads nothing more".to_owned(),
    }
}

fn header(changes: &HeaderChanges) -> String {
    let mut told = Vec::new();
    told.extend(changes.drop.iter().map(|name| format!("without {name}")));
    told.extend(changes.set.iter().map(|(name, value)| format!("with {name}: {value}")));
    if told.is_empty() { String::new() } else { format!(", {}", and(&told)) }
}

/// How fast it reads.
pub(super) fn reading(reading: Reading) -> String {
    match reading {
        Reading::Freely => "reads all that comes".to_owned(),
        Reading::Nothing => "reads nothing".to_owned(),
        Reading::Slowly { octets, every } => format!("reads at most {octets} octets in {}", human(every)),
    }
}

/// What a handshake is like.
pub(super) fn tls(action: &TlsAction) -> String {
    let mut told = vec![match action.fault {
        None => "begins TLS".to_owned(),
        Some(TlsFault::Eof) => "closes on the ClientHello".to_owned(),
        Some(TlsFault::Corrupt) => "answers the ClientHello with no TLS".to_owned(),
        Some(TlsFault::Alert) => "answers the ClientHello with a handshake_failure alert".to_owned(),
        Some(TlsFault::Stall) => "never answers the ClientHello".to_owned(),
    }];
    told.extend(action.certificate.map(|kind| format!("with a certificate that is {}", certificate(kind))));
    if !action.versions.is_empty() {
        let versions: Vec<&str> = action
            .versions
            .iter()
            .map(|version| match version {
                TlsVersion::V1_2 => "1.2",
                TlsVersion::V1_3 => "1.3",
            })
            .collect();
        told.push(format!("in version {} alone", versions.join(" or ")));
    }
    if action.refuse_resumption {
        told.push("refusing to resume an earlier session".to_owned());
    }
    for (bytes, place) in [(&action.clear_before, "before"), (&action.clear_after, "after")] {
        if !bytes.is_empty() {
            told.push(format!("with {} in the clear {place} it", quoted(bytes)));
        }
    }
    told.join(", ")
}

/// `good`, `expired`.
pub(super) fn certificate(kind: Certificate) -> &'static str {
    match kind {
        Certificate::Good => "good",
        Certificate::SelfSigned => "signed by itself",
        Certificate::Expired => "expired",
        Certificate::NotYet => "not valid yet",
        Certificate::WrongName => "for another name",
        Certificate::UnknownCa => "by an authority that nobody knows",
    }
}

/// `"250 OK"`, or its lines.
pub(super) fn reply(text: &ReplyText) -> String {
    let last = text.lines.len().saturating_sub(1);
    let lines: Vec<String> = text
        .lines
        .iter()
        .enumerate()
        .map(|(n, line)| format!("{}{}{line}", text.code, if n == last { ' ' } else { '-' }))
        .collect();
    format!("{:?}", lines.join(" / ").trim_end())
}
