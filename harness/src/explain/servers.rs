//! Who is there: servers, dialogues, DNS.

use mock_servers::script::{Choice, Dialogue, Line, Script, Speech};
use mock_servers::time::human;
use mock_servers::transcript::Side;

use super::page::{Page, and, quoted};
use super::rules;
use crate::scenario::{DnsEntry, DnsFault, DnsRecords, DnsTlsa, Reach, Scenario, Server};

pub(super) fn tell(scenario: &Scenario, page: &mut Page) {
    page.heading("Who is there");
    for server in &scenario.servers {
        one(server, page);
    }
    if !scenario.servers.iter().any(serves_origin) {
        page.line(2, "The senders' mailbox takes what comes back to origin.example.");
    }
    for client in &scenario.clients {
        let may = if client.trusted { "may relay" } else { "may not relay" };
        page.line(2, &format!("{}: a client that {may}. It says and hears:", client.name));
        dialogue(&client.dialogue, page);
    }
    if !scenario.dns.is_empty() {
        page.heading("What DNS says");
        page.line(2, "The servers' names as they are, and besides:");
        for entry in &scenario.dns {
            page.line(4, &format!("{}: {}", name(entry), answers(entry)));
        }
    }
}

fn serves_origin(server: &Server) -> bool {
    server.serves.iter().any(|serves| serves.domain.eq_ignore_ascii_case("origin.example"))
}

fn one(server: &Server, page: &mut Page) {
    let script = &server.script;
    let domains: Vec<String> =
        server.serves.iter().map(|serves| format!("{} (MX {})", serves.domain, serves.preference)).collect();
    let domains =
        if domains.is_empty() { String::new() } else { format!(" takes the mail of {}", and(&domains)) };
    page.line(2, &format!("{} ({}){domains}{}", script.name, script.hostname, addresses(server)));
    if let Some(lines) = &script.dialogue {
        page.line(4, "In each session it says and hears:");
        return dialogue(lines, page);
    }
    let Script { profile, certificate, credentials, pace, .. } = script;
    page.line(4, &format!("It is a server by the profile `{}`.", profile.name));
    page.verbatim(4, &format!("It greets: {}", rules::reply(&profile.banner)));
    let list = |list: &[String]| if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
    page.line(4, &format!("Its EHLO reply lists: {}.", list(&profile.offers.at_first)));
    if let Some(after) = &profile.offers.after_tls {
        page.line(4, &format!("After STARTTLS: {}.", list(after)));
    }
    if let Some(after) = &profile.offers.after_auth {
        page.line(4, &format!("After AUTH: {}.", list(after)));
    }
    if profile.offers.at_first.iter().any(|keyword| keyword.eq_ignore_ascii_case("STARTTLS")) {
        page.line(4, &format!("Its certificate is {}.", rules::certificate(*certificate)));
    }
    if let Some((user, _)) = credentials {
        page.line(4, &format!("AUTH succeeds for {user} with the right password alone."));
    }
    if script.read.is_held_back() {
        page.line(4, &format!("It {}.", rules::reading(script.read)));
    }
    if let Some(size) = pace {
        page.line(4, &format!("All it sends is cut into segments of {size} octets."));
    }
    for (on, list) in &script.rules {
        rules::tell(on, list, page);
    }
}

fn addresses(server: &Server) -> String {
    let told: Vec<String> = server
        .addresses
        .iter()
        .map(|address| {
            let family = if address.v6 { "an IPv6 address" } else { "an IPv4 address" };
            match address.reach {
                Reach::Good => family.to_owned(),
                Reach::Refused => format!("{family} that refuses connections"),
                Reach::Filtered => format!("{family} that never answers"),
            }
        })
        .collect();
    if told == ["an IPv4 address"] { String::new() } else { format!("; it has {}", and(&told)) }
}

fn dialogue(dialogue: &Dialogue, page: &mut Page) {
    let (own, other) = match dialogue.mock_is {
        Side::Client => ("C", "S"),
        Side::Server => ("S", "C"),
    };
    lines(&dialogue.lines, own, other, 6, page);
}

fn lines(list: &[Line], own: &str, other: &str, indent: usize, page: &mut Page) {
    for line in list {
        let within = line.within.map_or_else(String::new, |within| format!("   (within {})", human(within)));
        match &line.what {
            Speech::Say(bytes) => page.verbatim(indent, &format!("{own}: {}", quoted(bytes))),
            Speech::Hear(pattern) => page.verbatim(indent, &format!("{other}: {}{within}", pattern.0)),
            Speech::HearContent => {
                page.verbatim(indent, &format!("{other}: content, up to the final dot{within}"));
            }
            Speech::HearClose => page.verbatim(indent, &format!("{other} closes{within}")),
            Speech::Wait(time) => page.verbatim(indent, &format!("waits {}", human(*time))),
            Speech::Tls(action) => page.verbatim(indent, &rules::tls(action)),
            Speech::CloseFin => page.verbatim(indent, "closes"),
            Speech::CloseReset => page.verbatim(indent, "resets the connection"),
            Speech::OneOf(choices) => {
                page.verbatim(indent, &format!("one of these{within}:"));
                for (n, Choice(list)) in choices.iter().enumerate() {
                    page.verbatim(indent + 2, &format!("{}.", n + 1));
                    lines(list, own, other, indent + 5, page);
                }
            }
        }
    }
}

fn name(entry: &DnsEntry) -> &str {
    match entry {
        DnsEntry::Records(records) => &records.name,
        DnsEntry::Fault { name, .. } => name,
        DnsEntry::Until { first, .. } => name(first),
    }
}

fn answers(entry: &DnsEntry) -> String {
    match entry {
        DnsEntry::Fault { fault: kind, .. } => fault(*kind).to_owned(),
        DnsEntry::Until { until, first, then } => {
            format!("{}; from {} on {}", answers(first), human(*until), answers(then))
        }
        DnsEntry::Records(records) => {
            let DnsRecords { mx, a, aaaa, txt, cname, ptr, tlsa, faults, .. } = &**records;
            let mut told = Vec::new();
            told.extend(mx.iter().flatten().map(|(preference, host)| format!("MX {preference} {host}")));
            told.extend(a.iter().flatten().map(|host| format!("A {host}")));
            told.extend(aaaa.iter().flatten().map(|host| format!("AAAA {host}")));
            told.extend(txt.iter().flatten().map(|text| format!("TXT {text:?}")));
            told.extend(cname.iter().map(|host| format!("CNAME {host}")));
            told.extend(ptr.iter().flatten().map(|host| format!("PTR {host}")));
            told.extend(tlsa.iter().flatten().map(|record| format!("TLSA {}", association(record))));
            told.extend(faults.iter().map(|(kind, how)| format!("{kind}: {}", fault(*how))));
            told.extend(records.ttl.map(|ttl| format!("to be kept for {}", human(ttl))));
            told.extend(
                records
                    .secure
                    .map(|secure| if secure { "validated (AD)" } else { "not validated" }.to_owned()),
            );
            told.extend(records.truncated.then(|| "cut short over UDP (TC)".to_owned()));
            told.extend(records.tcp_refused.then(|| "refused over TCP".to_owned()));
            if told.is_empty() { "no records".to_owned() } else { told.join(", ") }
        }
    }
}

fn association(record: &DnsTlsa) -> String {
    match record {
        DnsTlsa::Good { server } => format!("of the key of {server}"),
        DnsTlsa::Wrong => "of a key that nobody has".to_owned(),
        DnsTlsa::Given { usage, selector, matching, data } => {
            let hex: Vec<String> = data.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{usage} {selector} {matching} {}", hex.concat())
        }
    }
}

fn fault(fault: DnsFault) -> &'static str {
    match fault {
        DnsFault::NxDomain => "does not exist (NXDOMAIN)",
        DnsFault::Servfail => "SERVFAIL",
        DnsFault::Refused => "REFUSED",
        DnsFault::NotImplemented => "NOTIMP",
        DnsFault::Timeout => "no answer",
        DnsFault::Garbage => "an answer that is none",
        DnsFault::WrongId => "an answer with another id",
        DnsFault::Empty => "no records",
    }
}
