//! What the relay is told, what is sent, and in which order things are done.

use mock_servers::time::human;

use super::page::{Page, and, quoted};
use super::requirements;
use crate::scenario::{
    Bdat, Canonicalization, Content, Inside, Message, Part, RelayFault, RelaySettings, Scenario, Step, Text,
    Tls,
};

/// How many recipients are named.
const FEW: usize = 4;

pub(super) fn tell(scenario: &Scenario, page: &mut Page) {
    let told = settings(&scenario.relay);
    page.heading("What the relay is told");
    if told.is_empty() {
        page.line(2, "Nothing: its own defaults.");
    }
    for line in &told {
        page.line(2, line);
    }
    if !scenario.messages.is_empty() {
        page.heading("What is sent");
        for one in &scenario.messages {
            message(one, page);
        }
    }
    page.heading("What is done, in order");
    for (n, one) in scenario.steps.iter().enumerate() {
        page.hanging(2, 5, &format!("{}. {}", n + 1, step(one)));
        if let Step::Check(expectations) = one {
            for one in expectations {
                requirements::expectation(one, 5, page);
            }
        }
    }
}

fn settings(relay: &RelaySettings) -> Vec<String> {
    let mut told = Vec::new();
    told.extend(relay.hostname.as_ref().map(|name| format!("Its name is {name}.")));
    told.extend(
        relay
            .smarthost
            .as_ref()
            .map(|server| format!("All mail goes through {server}, but that to origin.example.")),
    );
    if let Some(auth) = &relay.auth {
        let to = auth.to.as_deref().unwrap_or("any next hop that offers AUTH");
        let by = if auth.mechanisms.is_empty() {
            String::new()
        } else {
            format!(", by {}", auth.mechanisms.join(", else "))
        };
        told.push(format!("It authenticates as {} to {to}{by}.", auth.user));
    }
    told.extend(relay.tls.map(|tls| match tls {
        Tls::Off => "It never uses TLS.".to_owned(),
        Tls::Opportunistic => "It uses TLS where a next hop offers it.".to_owned(),
        Tls::Required => "It uses TLS with a valid certificate, or does not deliver.".to_owned(),
        Tls::Dane => "It uses TLS as TLSA records say (RFC 7672).".to_owned(),
    }));
    told.extend(relay.offers_tls.map(|offers| {
        if offers { "It offers STARTTLS to clients." } else { "It offers no STARTTLS to clients." }.to_owned()
    }));
    let mut time = |of: Option<std::time::Duration>, text: &str| {
        told.extend(of.map(|time| text.replace("{}", &human(time))));
    };
    time(relay.retry_first, "It tries again after {} at first.");
    time(relay.retry_at_most, "It waits at most {} between attempts.");
    time(relay.warn, "It warns the sender after {}.");
    time(relay.lifetime, "It returns mail after {}.");
    time(relay.greeting_timeout, "It waits {} for a greeting.");
    time(relay.command_timeout, "It waits {} for the reply to a command.");
    time(relay.end_of_data_timeout, "It waits {} for the reply at the end of data.");
    told.extend(relay.size_limit.map(|size| format!("It takes messages of up to {size} octets.")));
    told.extend(relay.reuse.map(|reuse| {
        if reuse { "It reuses sessions." } else { "It makes a session for each message." }.to_owned()
    }));
    told
}

fn message(message: &Message, page: &mut Page) {
    let from =
        if message.from.is_empty() { "the null reverse-path".to_owned() } else { message.from.clone() };
    let many = message.to.len();
    let to = if many > FEW {
        format!("{} and {} more recipients", message.to[..FEW - 1].join(", "), many - FEW + 1)
    } else {
        and(&message.to.iter().map(|to| shown(to)).collect::<Vec<_>>())
    };
    let copies =
        if message.copies > 1 { format!(", {} times at each `send`", message.copies) } else { String::new() };
    let whose = if message.trusted { "" } else { ", by a stranger who may not relay" };
    page.line(2, &format!("{}: from {from} to {to}{copies}{whose}.", message.name));
    let envelope = &message.envelope;
    let mut asked = Vec::new();
    asked.extend(envelope.body.map(|body| format!("BODY={}", body.word())));
    asked.extend(envelope.smtputf8.then(|| "SMTPUTF8".to_owned()));
    asked.extend((!envelope.notify.is_empty()).then(|| format!("NOTIFY={}", envelope.notify.join(","))));
    asked.extend(envelope.ret.as_ref().map(|ret| format!("RET={ret}")));
    asked.extend(envelope.envid.as_ref().map(|id| format!("ENVID {id}")));
    asked.extend(envelope.orcpt.as_ref().map(|(kind, address)| format!("ORCPT {kind};{address}")));
    asked.extend(envelope.auth.as_ref().map(|auth| format!("AUTH {auth}")));
    asked.extend(envelope.size.map(|size| format!("SIZE={size}")));
    if !asked.is_empty() {
        page.line(4, &format!("Its envelope asks for {}.", and(&asked)));
    }
    match envelope.bdat {
        None => {}
        Some(Bdat::Whole) => page.line(4, "It is sent by BDAT, in one chunk."),
        Some(Bdat::Chunks(size)) => page.line(4, &format!("It is sent by BDAT, in chunks of {size} octets.")),
    }
    let fields = fields(&message.headers);
    if !fields.is_empty() {
        page.line(4, &format!("Its header: {}.", fields.join("; ")));
    }
    content(&message.content, page);
}

/// An address; in quotes where its spaces would not be seen.
fn shown(address: &str) -> String {
    if address.contains(' ') { quoted(address.as_bytes()) } else { address.to_owned() }
}

/// Fields, those that repeat themselves told once.
fn fields(headers: &[(String, Option<String>)]) -> Vec<String> {
    let mut told: Vec<(String, usize)> = Vec::new();
    for (name, value) in headers {
        let one = match value {
            None => format!("no {name}"),
            Some(value) => format!("{name}: {value}"),
        };
        match told.last_mut() {
            Some((last, times)) if *last == one => *times += 1,
            _ => told.push((one, 1)),
        }
    }
    let shown =
        |(one, times): (String, usize)| if times > 1 { format!("{one} ({times} times)") } else { one };
    told.into_iter().map(shown).collect()
}

fn content(content: &Content, page: &mut Page) {
    if let Some(whole) = content.raw.as_ref().or(content.file.as_ref()) {
        return page.line(4, &format!("The whole message, as it stands: {}.", start(whole)));
    }
    part(&content.body, "Its content", 4, page);
    if content.no_final_newline {
        page.line(4, "Its last line has no end.");
    }
    if let Some(canonicalization) = content.dkim {
        let how = match canonicalization {
            Canonicalization::Relaxed => "relaxed",
            Canonicalization::Simple => "simple",
        };
        page.line(4, &format!("It is signed by the sender's domain (DKIM, {how})."));
    }
}

/// A MIME entity and what is in it; nothing of a plain short line.
fn part(part: &Part, what: &str, indent: usize, page: &mut Page) {
    let mut about = Vec::new();
    about.extend(part.kind.clone());
    about.extend(part.charset.as_ref().map(|charset| format!("in {charset}")));
    about.extend(part.encoding.map(|encoding| encoding.word().to_owned()));
    about.extend(part.name.as_ref().map(|name| format!("named {name:?}")));
    about.extend(fields(&part.headers));
    let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
    match &part.inside {
        Inside::Text(Text { text: None, lines: 0 | 1, width: None }) if about.is_empty() => {}
        Inside::Text(Text { text, lines, width }) => {
            let text = text.as_ref().map_or_else(|| "a short line".to_owned(), |text| start(text.as_bytes()));
            let lines = if *lines > 1 {
                format!(", {lines} times, each on a line of its own")
            } else {
                String::new()
            };
            let width = width.map_or_else(String::new, |width| format!(", each line {width} octets wide"));
            page.line(indent, &format!("{what}{about}: {text}{lines}{width}."));
        }
        Inside::Octets(octets) => page.line(indent, &format!("{what}{about}: {}.", start(octets))),
        Inside::Parts(parts) => {
            page.line(indent, &format!("{what}{about}, of {} parts:", parts.len()));
            for (n, inner) in parts.iter().enumerate() {
                self::part(inner, &format!("Part {}", n + 1), indent + 2, page);
            }
        }
    }
}

/// The beginning of a long text.
fn start(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    if bytes.len() <= MOST {
        return quoted(bytes);
    }
    format!("{} … ({} octets in all)", quoted(&bytes[..MOST]), bytes.len())
}

fn step(step: &Step) -> String {
    match step {
        Step::Send(names) => {
            format!("{} {} submitted to the relay.", and(names), if names.len() == 1 { "is" } else { "are" })
        }
        Step::Client(name) => format!("The client {name} talks to the relay, to the end of its dialogue."),
        Step::Settle => "The run goes on until all is quiet and nothing live is in the queue.".to_owned(),
        Step::Wait(time) => format!("Nothing is done for {}.", human(*time)),
        Step::Jump(time) => format!(
            "The clock goes {} on at once, as soon as nothing is open; what was due on the way comes due then.",
            human(*time)
        ),
        Step::KillRelay => "The relay is killed.".to_owned(),
        Step::RestartRelay => "The relay is started again on its queue.".to_owned(),
        Step::Stop(server) => format!("{server} stops: connections to it are refused."),
        Step::Start(server) => format!("{server} is back."),
        Step::QueueRunForce => "The relay tries everything in its queue.".to_owned(),
        Step::QueueRunDue => "The relay tries what is due in its queue.".to_owned(),
        Step::At { server, on } => {
            format!(
                "A session with {server} comes to {on}, and is held there while the next steps are carried out."
            )
        }
        Step::Fault(Some(RelayFault::DiskFull)) => "The disk of the relay's queue is full.".to_owned(),
        Step::Fault(None) => "Nothing is wrong with the relay's machine any more.".to_owned(),
        Step::Check(_) => "By now this must hold:".to_owned(),
    }
}
