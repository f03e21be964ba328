//! Where a scenario's servers stand on this machine, for a relay that the harness does not start.

use std::net::{IpAddr, SocketAddr};

use super::places::{self, Places};
use super::zone::serves_origin;
use crate::relay::serving::{Serving, on_loopback};
use crate::scenario::{Reach, Scenario};

/// The table of who stands where.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The DNS server first, then the scenario's servers in its order, each at all of its addresses, and the senders' mailbox.
    pub rows: Vec<Row>,
    /// Where the relay itself is, if that is known.
    relay: Option<IpAddr>,
    /// Whether what has no row is on loopback too.
    on_loopback: bool,
}

/// An address of the scenario's, and the one that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Who lives there.
    pub who: Who,
    /// In the scenario, as records show it.
    pub scenario: SocketAddr,
    /// On this machine; `None`: there is no place for it.
    pub here: Option<SocketAddr>,
    /// What a SYN meets.
    pub reach: Reach,
}

/// Who lives at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The DNS server, on UDP and TCP.
    Dns,
    /// A server of the scenario's, by its name there.
    Server(String),
    /// The server that collects what comes back to the senders.
    Mailbox,
}

impl Plan {
    /// Gives everyone a place. `relay` is where the relay under test is, if that is known.
    ///
    /// # Errors
    /// When there are not as many ports as servers.
    pub fn new(scenario: &Scenario, serving: &Serving, relay: Option<IpAddr>) -> Result<Self, String> {
        let dns = SocketAddr::new(places::DNS.into(), 53);
        let mut rows = vec![Row { who: Who::Dns, scenario: dns, here: None, reach: Reach::Good }];
        for placed in Places::new(scenario).0 {
            rows.extend(placed.addresses.into_iter().map(|(scenario, reach)| Row {
                who: Who::Server(placed.name.clone()),
                scenario,
                here: None,
                reach,
            }));
        }
        if !serves_origin(scenario) {
            let mailbox = SocketAddr::new(places::MAILBOX.into(), 25);
            rows.push(Row { who: Who::Mailbox, scenario: mailbox, here: None, reach: Reach::Good });
        }
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = serving.listen.iter().partition(|ip| ip.is_ipv4());
        let dns_at = v4.first().or(v6.first()).copied().or_else(|| loopback(dns.ip()));
        let dns_at = dns_at.map(|at| SocketAddr::new(at, serving.dns_port));
        let mut taken = [0; 2];
        for row in &mut rows {
            let is_v4 = row.scenario.is_ipv4();
            let listen = if is_v4 { &v4 } else { &v6 };
            row.here = if row.who == Who::Dns {
                dns_at
            } else if listen.is_empty() {
                loopback(row.scenario.ip()).map(|at| SocketAddr::new(at, serving.port))
            } else {
                let count = &mut taken[usize::from(is_v4)];
                let mut place = next(listen, serving.port, count)?;
                if Some(place) == dns_at {
                    place = next(listen, serving.port, count)?;
                }
                Some(place)
            };
        }
        Ok(Self { rows, relay, on_loopback: v4.is_empty() })
    }

    /// Where a server's address, or the DNS server's, stands.
    pub fn socket(&self, scenario: SocketAddr) -> Option<SocketAddr> {
        self.rows.iter().find(|row| row.scenario == scenario)?.here
    }

    /// What stands for an address of the scenario's in the DNS. None that leads away from here does: mail cannot escape.
    pub fn address(&self, scenario: IpAddr) -> Option<IpAddr> {
        let own = [IpAddr::from(places::RELAY), places::RELAY_V6.into()].contains(&scenario);
        if let Some(relay) = self.relay.filter(|_| own) {
            return Some(relay).filter(|relay| relay.is_ipv4() == scenario.is_ipv4());
        }
        if let Some(row) = self.rows.iter().find(|row| row.scenario.ip() == scenario) {
            return Some(row.here?.ip());
        }
        if scenario.is_loopback() {
            return Some(scenario);
        }
        loopback(scenario).filter(|_| self.on_loopback)
    }

    /// From where a client calls that lives at this address of the scenario's; `None`: from wherever the system has it.
    pub fn client(&self, scenario: IpAddr) -> Option<IpAddr> {
        loopback(scenario).filter(|_| self.on_loopback)
    }

    /// Whether a client that may not relay has an address of its own to a relay on loopback.
    pub fn has_strangers(&self) -> bool {
        self.client(places::STRANGER.into()).is_some()
    }

    /// The port of all servers, where it is the same for all: only then can a relay that goes by the DNS find them.
    pub fn one_port(&self) -> Option<u16> {
        let mut ports =
            self.rows.iter().filter(|row| row.who != Who::Dns).filter_map(|row| Some(row.here?.port()));
        let first = ports.next()?;
        ports.all(|port| port == first).then_some(first)
    }
}

/// The next place at these addresses in turn, of which so many are taken.
fn next(listen: &[IpAddr], first: u16, taken: &mut usize) -> Result<SocketAddr, String> {
    let port = u16::try_from(*taken / listen.len()).ok().and_then(|on| first.checked_add(on));
    let port = port.ok_or_else(|| format!("there are not enough ports from {first} on"))?;
    let place = SocketAddr::new(listen[*taken % listen.len()], port);
    *taken += 1;
    Ok(place)
}

fn loopback(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => on_loopback(v4).map(IpAddr::V4),
        // There is only one, and it is the machine's.
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn plan(listen: &[&str]) -> Plan {
        let yaml = "title: t\nservers:\n  a: { serves: [a.example], addresses: [v4, { v4: refused }] }\n  \
            b: { serves: [b.example], addresses: [v4, v6] }\nmessages:\n  note: { from: a@origin.example, to: b@a.example }\n\
            expect: [delivered: {}]\n";
        let scenario = crate::scenario::parse(yaml, Path::new("t.yaml"), "t")
            .unwrap_or_else(|bad| panic!("{bad}"))
            .remove(0);
        let listen = listen.iter().map(|ip| ip.parse().unwrap()).collect();
        Plan::new(&scenario, &Serving { listen, ..Serving::default() }, None).unwrap()
    }

    fn here(plan: &Plan) -> Vec<String> {
        let told = |row: &Row| row.here.map_or_else(|| "nowhere".to_owned(), |here| here.to_string());
        plan.rows.iter().map(told).collect()
    }

    #[test]
    fn without_a_word_each_has_a_loopback_address_and_all_one_port() {
        let plan = plan(&[]);
        let expected =
            ["127.51.100.3:5300", "127.51.100.10:2525", "127.51.100.11:2525", "127.51.100.20:2525"];
        assert_eq!(here(&plan)[..4], expected);
        assert_eq!(here(&plan)[4..], ["nowhere", "127.51.100.2:2525"]);
        assert_eq!(plan.one_port(), Some(2525));
    }

    #[test]
    fn at_one_address_ports_count_on() {
        let one = plan(&["10.0.0.5", "::1"]);
        let ports = [
            "10.0.0.5:5300",
            "10.0.0.5:2525",
            "10.0.0.5:2526",
            "10.0.0.5:2527",
            "[::1]:2525",
            "10.0.0.5:2528",
        ];
        assert_eq!(here(&one), ports);
        assert_eq!(one.one_port(), None);
        let several = plan(&["10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8"]);
        assert_eq!(several.one_port(), Some(2525), "one for each");
    }

    #[test]
    fn the_dns_servers_port_is_left_to_it() {
        let yaml = "title: t\nservers: { a: { serves: [a.example] } }\nmessages:\n  note: { from: a@origin.example, to: b@a.example }\n\
            expect: [delivered: {}]\n";
        let scenario = crate::scenario::parse(yaml, Path::new("t.yaml"), "t")
            .unwrap_or_else(|bad| panic!("{bad}"))
            .remove(0);
        let listen = vec!["127.0.0.1".parse().unwrap()];
        let serving = Serving { listen, port: 2525, dns_port: 2525, public: false };
        let plan = Plan::new(&scenario, &serving, None).unwrap();
        assert_eq!(here(&plan), ["127.0.0.1:2525", "127.0.0.1:2526", "127.0.0.1:2527"]);
        let last = Serving { port: 65535, dns_port: 53, ..serving };
        assert_eq!(
            Plan::new(&scenario, &last, None).unwrap_err(),
            "there are not enough ports from 65535 on"
        );
    }

    #[test]
    fn no_address_in_the_dns_leads_away() {
        let plan = plan(&[]);
        let at = |ip: &str| plan.address(ip.parse().unwrap()).map(|ip| ip.to_string());
        assert_eq!(at("198.51.100.10").as_deref(), Some("127.51.100.10"));
        assert_eq!(at("203.0.113.25").as_deref(), Some("127.0.113.25"));
        assert_eq!(at("127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(at("8.8.8.8"), None);
        assert_eq!(at("2001:db8:100::20"), None);
    }
}
