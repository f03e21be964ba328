//! The DNS of a run: what servers serve, and what the scenario sets itself.

use std::net::IpAddr;

use mock_servers::RunTime;
use mock_servers::dns::{Fault, Node, Record, RecordSet, RecordType, State, Zone};

use super::places::{self, ORIGIN, Places};
use crate::scenario::{DnsEntry, DnsFault, Scenario};

/// Makes the zone.
///
/// # Errors
/// When an entry names a record type that there is not; the loader tells authors of it first.
pub(super) fn zone(scenario: &Scenario, places: &Places, relay_hostname: &str) -> Result<Zone, String> {
    let mut zone = Zone::new();
    let host = |zone: &mut Zone, name: &str, ip: IpAddr| {
        zone.address(name, ip).ptr(ip, name);
    };
    host(&mut zone, relay_hostname, places::RELAY.into());
    host(&mut zone, relay_hostname, places::RELAY_V6.into());
    host(&mut zone, "client.origin.example", places::TRUSTED.into());
    host(&mut zone, "stranger.example", places::STRANGER.into());
    if !serves_origin(scenario) {
        zone.mx(ORIGIN, 10, places::MAILBOX_NAME);
        host(&mut zone, places::MAILBOX_NAME, places::MAILBOX.into());
    }
    for (server, placed) in scenario.servers.iter().zip(&places.0) {
        for (address, _) in &placed.addresses {
            host(&mut zone, &placed.hostname, address.ip());
        }
        for serves in &server.serves {
            zone.mx(&serves.domain, serves.preference, &placed.hostname);
        }
    }
    for entry in &scenario.dns {
        let (name, states) = named(entry, places, relay_hostname)?;
        zone.insert(name, states);
    }
    Ok(zone)
}

/// Whether a server of the scenario takes the senders' own mail.
pub(super) fn serves_origin(scenario: &Scenario) -> bool {
    let mut serves = scenario.servers.iter().flat_map(|server| &server.serves);
    serves.any(|serves| serves.domain.eq_ignore_ascii_case(ORIGIN))
}

fn named<'a>(entry: &'a DnsEntry, places: &Places, relay: &str) -> Result<(&'a str, Node), String> {
    let mut phases = Vec::new();
    let name = collect(entry, RunTime::ZERO, places, relay, &mut phases)?;
    let mut later = phases.into_iter();
    let first = Node::from(later.next().map(|(_, state)| state).unwrap_or_default());
    Ok((name, later.fold(first, |node, (from, state)| node.then(from, state))))
}

/// The states of an entry, each with the moment from which it holds.
fn collect<'a>(
    entry: &'a DnsEntry,
    from: RunTime,
    places: &Places,
    relay: &str,
    phases: &mut Vec<(RunTime, State)>,
) -> Result<&'a str, String> {
    match entry {
        DnsEntry::Fault { name, fault: kind } => {
            phases.push((from, fault_state(*kind)));
            Ok(name)
        }
        DnsEntry::Until { until, first, then } => {
            collect(first, from, places, relay, phases)?;
            collect(then, RunTime::new(*until), places, relay, phases)
        }
        DnsEntry::Records { name, mx, a, aaaa, txt, cname, faults } => {
            let mut state = State::default();
            for (preference, exchange) in mx.iter().flatten() {
                let exchange = if exchange == "{relay}" { relay } else { exchange };
                state.add(Record::Mx { preference: *preference, exchange: exchange.to_owned() });
            }
            for ip in a.iter().flatten().flat_map(|target| addresses(target, places)) {
                if let IpAddr::V4(v4) = ip {
                    state.add(Record::A(v4));
                }
            }
            for ip in aaaa.iter().flatten().flat_map(|target| addresses(target, places)) {
                if let IpAddr::V6(v6) = ip {
                    state.add(Record::Aaaa(v6));
                }
            }
            for text in txt.iter().flatten() {
                state.add(Record::text(text.as_str()));
            }
            if let Some(target) = cname {
                state.add(Record::Cname(target.clone()));
            }
            for (kind, fault) in faults {
                let kind: RecordType = kind.parse().map_err(|error| format!("{name}: {error}"))?;
                state.set(kind, set(*fault));
            }
            phases.push((from, state));
            Ok(name)
        }
    }
}

/// An address as written, or those of the server of this name.
fn addresses(target: &str, places: &Places) -> Vec<IpAddr> {
    match (target.parse(), places.get(target)) {
        (Ok(ip), _) => vec![ip],
        (Err(_), Some(server)) => server.addresses.iter().map(|(address, _)| address.ip()).collect(),
        (Err(_), None) => Vec::new(),
    }
}

fn fault_state(fault: DnsFault) -> State {
    kind(fault).map_or_else(State::default, State::fault)
}

fn set(fault: DnsFault) -> RecordSet {
    kind(fault).map_or_else(|| RecordSet::Records(Vec::new()), RecordSet::Fault)
}

/// `None`: no fault, but nothing there either.
fn kind(fault: DnsFault) -> Option<Fault> {
    Some(match fault {
        DnsFault::NxDomain => Fault::NxDomain,
        DnsFault::Servfail => Fault::Servfail,
        DnsFault::Refused => Fault::Refused,
        DnsFault::Timeout => Fault::Timeout,
        DnsFault::Empty => return None,
    })
}
