//! The DNS of a run: what servers serve, and what the scenario sets itself.

use std::collections::BTreeSet;
use std::net::IpAddr;

use mock_servers::RunTime;
use mock_servers::dns::{Fault, Node, Record, RecordSet, RecordType, State, Tcp, Zone, reverse_name};
use mock_servers::smtp::tls::TlsMaterial;
use ring::digest::{SHA256, digest};

use super::places::{self, ORIGIN, Places};
use crate::record::dkim;
use crate::scenario::{DnsEntry, DnsFault, DnsRecords, DnsTlsa, Message, Scenario};

/// What [`DnsTlsa::Wrong`] has for a digest: no key is known that has it.
const NO_KEY: [u8; 32] = [0xbd; 32];

/// Makes the zone. Certificates are made for the TLSA records that speak of them.
///
/// # Errors
/// When an entry names a record type that there is not, or a certificate cannot be made.
pub(super) fn zone(
    scenario: &Scenario,
    places: &Places,
    relay_hostname: &str,
    tls: &TlsMaterial,
) -> Result<Zone, String> {
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
    let signing: BTreeSet<String> = scenario.messages.iter().filter_map(Message::signing_domain).collect();
    for domain in signing {
        zone.add(&dkim::key_name(&domain), Record::text(dkim::key_record()));
    }
    // Each entry starts from what the servers gave, whatever other entries say.
    let given = zone.clone();
    for entry in &scenario.dns {
        let making = Making { scenario, places, relay: relay_hostname, tls, given: &given };
        let (name, node) = making.node(entry)?;
        zone.insert(&written(name), node);
    }
    Ok(zone)
}

/// Whether a server of the scenario takes the senders' own mail.
pub(super) fn serves_origin(scenario: &Scenario) -> bool {
    let mut serves = scenario.servers.iter().flat_map(|server| &server.serves);
    serves.any(|serves| serves.domain.eq_ignore_ascii_case(ORIGIN))
}

/// What an entry is made with.
struct Making<'a> {
    scenario: &'a Scenario,
    places: &'a Places,
    relay: &'a str,
    tls: &'a TlsMaterial,
    given: &'a Zone,
}

impl Making<'_> {
    fn node<'e>(&self, entry: &'e DnsEntry) -> Result<(&'e str, Node), String> {
        let mut phases = Vec::new();
        let name = self.collect(entry, RunTime::ZERO, &mut phases)?;
        let mut later = phases.into_iter();
        let first = Node::from(later.next().map(|(_, state)| state).unwrap_or_default());
        Ok((name, later.fold(first, |node, (from, state)| node.then(from, state))))
    }

    /// The states of an entry, each with the moment from which it holds.
    fn collect<'e>(
        &self,
        entry: &'e DnsEntry,
        from: RunTime,
        phases: &mut Vec<(RunTime, State)>,
    ) -> Result<&'e str, String> {
        match entry {
            DnsEntry::Fault { name, fault: kind } => {
                phases.push((from, fault_state(*kind)));
                Ok(name)
            }
            DnsEntry::Until { until, first, then } => {
                self.collect(first, from, phases)?;
                self.collect(then, RunTime::new(*until), phases)
            }
            DnsEntry::Records(records) => {
                phases.push((from, self.state(records)?));
                Ok(&records.name)
            }
        }
    }

    fn state(&self, records: &DnsRecords) -> Result<State, String> {
        let mut state = if records.is_settings_alone() {
            let given = self.given.get(&written(&records.name));
            given.map_or_else(State::default, |node| node.at(RunTime::ZERO).clone())
        } else {
            self.records(records)?
        };
        state.ttl = records.ttl.unwrap_or(state.ttl);
        state.secure = records.secure;
        state.truncated = records.truncated;
        state.tcp = if records.tcp_refused { Tcp::Refused } else { Tcp::Answered };
        Ok(state)
    }

    fn records(&self, records: &DnsRecords) -> Result<State, String> {
        let DnsRecords { name, mx, a, aaaa, txt, cname, ptr, tlsa, faults, .. } = records;
        let mut state = State::default();
        for (preference, exchange) in mx.iter().flatten() {
            let exchange = if exchange == "{relay}" { self.relay } else { exchange };
            state.add(Record::Mx { preference: *preference, exchange: exchange.to_owned() });
        }
        for ip in a.iter().flatten().flat_map(|target| addresses(target, self.places)) {
            if let IpAddr::V4(v4) = ip {
                state.add(Record::A(v4));
            }
        }
        for ip in aaaa.iter().flatten().flat_map(|target| addresses(target, self.places)) {
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
        for name in ptr.iter().flatten() {
            state.add(Record::Ptr(name.clone()));
        }
        for record in tlsa.iter().flatten() {
            state.add(self.tlsa(record)?);
        }
        for (kind, fault) in faults {
            let kind: RecordType = kind.parse().map_err(|error| format!("{name}: {error}"))?;
            state.set(kind, set(*fault));
        }
        Ok(state)
    }

    fn tlsa(&self, record: &DnsTlsa) -> Result<Record, String> {
        // 3 1 1: the key of the server's own certificate, by its SHA-256 (RFC 7672 section 3.1.1)
        let of_key = |data| Record::Tlsa { usage: 3, selector: 1, matching: 1, data };
        Ok(match record {
            DnsTlsa::Good { server } => {
                let script = self.scenario.server(server).map(|server| &server.script);
                let script = script.ok_or_else(|| format!("there is no server `{server}`"))?;
                let key = self
                    .tls
                    .public_key(&script.hostname, script.certificate)
                    .map_err(|why| why.to_string())?;
                of_key(digest(&SHA256, &key).as_ref().to_vec())
            }
            DnsTlsa::Wrong => of_key(NO_KEY.to_vec()),
            DnsTlsa::Given { usage, selector, matching, data } => {
                Record::Tlsa { usage: *usage, selector: *selector, matching: *matching, data: data.clone() }
            }
        })
    }
}

/// The name that an entry is about: an address stands for its reverse name.
fn written(name: &str) -> String {
    name.parse().map_or_else(|_| name.to_owned(), reverse_name)
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
        DnsFault::NotImplemented => Fault::NotImplemented,
        DnsFault::Garbage => Fault::Garbage,
        DnsFault::WrongId => Fault::WrongId,
        DnsFault::Timeout => Fault::Timeout,
        DnsFault::Empty => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use mock_servers::dns::Content;

    use super::*;
    use crate::scenario;

    /// The zone of a scenario with one server `hub` and these lines.
    fn of(dns: &str) -> (Zone, TlsMaterial) {
        let yaml = format!(
            "title: t\nservers:\n  hub: {{ serves: [hub.example], certificate: self-signed }}\n\
             messages:\n  note: {{ from: a@origin.example, to: b@hub.example }}\n{dns}\nexpect: [delivered: {{}}]\n"
        );
        let scenario =
            scenario::parse(&yaml, Path::new("t.yaml"), "t").unwrap_or_else(|bad| panic!("{bad}")).remove(0);
        let tls = TlsMaterial::new(std::time::SystemTime::UNIX_EPOCH);
        let zone = zone(&scenario, &Places::new(&scenario), "relay.origin.example", &tls).expect("a zone");
        (zone, tls)
    }

    fn at(zone: &Zone, name: &str, minutes: u64) -> State {
        let node = zone.get(name).unwrap_or_else(|| panic!("{name} is not there"));
        node.at(RunTime::new(Duration::from_mins(minutes))).clone()
    }

    fn records(state: &State) -> Vec<String> {
        let Content::Records(sets) = &state.content else { return vec!["fault".to_owned()] };
        let one = |set: &RecordSet| match set {
            RecordSet::Records(records) => records.iter().map(Record::to_string).collect(),
            RecordSet::Fault(fault) => vec![format!("{fault:?}")],
        };
        sets.values().flat_map(one).collect()
    }

    #[test]
    fn settings_alone_leave_the_records_as_the_servers_gave_them() {
        let (zone, _) = of("dns: { hub.example: { ttl: 1m, secure: true, truncated: true, tcp: refused } }");
        let state = at(&zone, "hub.example", 0);
        assert_eq!(records(&state), ["MX 10 mx.hub.example"]);
        assert_eq!((state.ttl, state.secure), (Duration::from_mins(1), Some(true)));
        assert_eq!((state.truncated, state.tcp), (true, Tcp::Refused));
    }

    #[test]
    fn every_setting_can_change_with_time() {
        let (zone, _) =
            of("dns: { hub.example: { secure: true, until: 20m, then: { MX: wrong-id, ttl: 0s } } }");
        assert_eq!(
            (records(&at(&zone, "hub.example", 19)), at(&zone, "hub.example", 19).secure),
            (vec!["MX 10 mx.hub.example".to_owned()], Some(true))
        );
        let later = at(&zone, "hub.example", 20);
        assert_eq!(
            (records(&later), later.ttl, later.secure),
            (vec!["WrongId".to_owned()], Duration::ZERO, None)
        );
    }

    #[test]
    fn a_good_tlsa_record_is_of_the_certificate_that_the_server_shows() {
        let (zone, tls) = of("dns:\n  _25._tcp.mx.hub.example: { TLSA: [good, wrong, \"2 0 1 00ff\"] }");
        let key =
            tls.public_key("mx.hub.example", mock_servers::script::Certificate::SelfSigned).expect("a key");
        let hash: Vec<String> =
            digest(&SHA256, &key).as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        let hash = hash.concat();
        assert_eq!(
            records(&at(&zone, "_25._tcp.mx.hub.example", 0)),
            [
                format!("TLSA 3 1 1 {hash}"),
                format!("TLSA 3 1 1 {}", "bd".repeat(32)),
                "TLSA 2 0 1 00ff".to_owned()
            ]
        );
    }

    #[test]
    fn the_key_of_a_signing_domain_is_published() {
        let signed = "  two: { from: a@sender.example, to: b@hub.example, content: { dkim: true } }\n\
                      steps: [send: [note, two], settle]\nobserve: [delivered: { message: note }]";
        let yaml = signed.replace("observe", "expect");
        let scenario = format!(
            "title: t\nservers: {{ hub: {{ serves: [hub.example] }} }}\nmessages:\n  note: {{ from: a@o.example, to: b@hub.example }}\n{yaml}\n"
        );
        let scenario = scenario::parse(&scenario, Path::new("t.yaml"), "t")
            .unwrap_or_else(|bad| panic!("{bad}"))
            .remove(0);
        let tls = TlsMaterial::new(std::time::SystemTime::UNIX_EPOCH);
        let zone = zone(&scenario, &Places::new(&scenario), "relay.origin.example", &tls).expect("a zone");
        let key = records(&at(&zone, "gauntlet._domainkey.sender.example", 0));
        assert_eq!(key, [format!("TXT \"{}\"", dkim::key_record())]);
        assert!(zone.get("gauntlet._domainkey.o.example").is_none());
    }

    #[test]
    fn an_address_stands_for_its_reverse_name() {
        let (zone, _) =
            of("dns: { 203.0.113.25: { PTR: [one.example, two.example] }, 198.51.100.10: { ttl: 1s } }");
        assert_eq!(
            records(&at(&zone, "25.113.0.203.in-addr.arpa", 0)),
            ["PTR one.example", "PTR two.example"]
        );
        assert_eq!(records(&at(&zone, "10.100.51.198.in-addr.arpa", 0)), ["PTR mx.hub.example"]);
    }
}
