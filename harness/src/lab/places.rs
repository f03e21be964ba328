//! Who lives where: documentation addresses, the same in every run, so that transcripts read the same everywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::scenario::{Reach, Scenario};

/// The senders' own domain: what comes back to them is collected there.
pub const ORIGIN: &str = "origin.example";

/// The mailbox's server of [`ORIGIN`], where the scenario has none of its own.
pub(super) const MAILBOX: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// Its name.
pub(super) const MAILBOX_NAME: &str = "mx.origin.example";
/// The DNS server.
pub(super) const DNS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
/// The relay under test.
pub(super) const RELAY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 25);
pub(super) const RELAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x25);
/// The client that may relay.
pub(super) const TRUSTED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// A client that may not.
pub(super) const STRANGER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 250);

/// Where the servers of a scenario are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places(pub Vec<Placed>);

/// A server and its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its name in the scenario.
    pub name: String,
    /// Its host name.
    pub hostname: String,
    /// Its addresses, on port 25, in the scenario's order.
    pub addresses: Vec<(SocketAddr, Reach)>,
}

impl Places {
    /// Gives each server its addresses: the n-th one lives at 198.51.100.(10n) and up, and 2001:db8:100::(10n).
    pub fn new(scenario: &Scenario) -> Self {
        let place = |(n, server): (usize, &crate::scenario::Server)| {
            let base = 10 * (n as u16 + 1);
            let addresses = server.addresses.iter().enumerate().map(|(i, address)| {
                let host = base + i as u16;
                let ip = if address.v6 {
                    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, host))
                } else {
                    // The loader allows no more servers and addresses than fit below the stranger's.
                    IpAddr::V4(Ipv4Addr::new(198, 51, 100, host as u8))
                };
                (SocketAddr::new(ip, 25), address.reach)
            });
            Placed {
                name: server.script.name.clone(),
                hostname: server.script.hostname.clone(),
                addresses: addresses.collect(),
            }
        };
        Self(scenario.servers.iter().enumerate().map(place).collect())
    }

    /// The server of this name.
    pub fn get(&self, name: &str) -> Option<&Placed> {
        self.0.iter().find(|placed| placed.name == name)
    }
}
