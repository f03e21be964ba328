//! Where a scenario's servers stand on this machine, for a relay that the harness does not start.

use std::net::{IpAddr, Ipv4Addr};

/// Where servers listen. What a scenario has at 198.51.100.10 stands, unless told otherwise, at 127.51.100.10: a loopback
/// address of its own for each, and one port for all, so that a relay finds them by MX and needs to be told that port alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Addresses of this machine to stand at, in turn, each family for itself. Where there are fewer than servers, ports
    /// count on. Without any, IPv4 is on loopback, and IPv6 is left out: there is one loopback address of it.
    pub listen: Vec<IpAddr>,
    /// The port of the servers; the first, where ports count on.
    pub port: u16,
    /// The port of the DNS server.
    pub dns_port: u16,
    /// That addresses which others may reach are meant.
    pub public: bool,
}

impl Default for Serving {
    fn default() -> Self {
        Self { listen: Vec::new(), port: Self::PORT, dns_port: Self::DNS_PORT, public: false }
    }
}

/// An address that others may reach, and nobody said that this is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is {kind}: whoever reaches it could hand mail to these servers, which take it and lose it", kind = kind(.0))]
pub struct Public(pub IpAddr);

impl Serving {
    /// A port for which nobody needs rights.
    pub const PORT: u16 = 2525;
    /// Likewise. 5353 is in use wherever there is multicast DNS (RFC 6762).
    pub const DNS_PORT: u16 = 5300;

    /// Whether it may be as it says.
    ///
    /// # Errors
    /// The first address that is public, where that is not said to be meant.
    pub fn check(&self) -> Result<(), Public> {
        let public = self.listen.iter().copied().find(|address| is_public(*address));
        public.filter(|_| !self.public).map_or(Ok(()), |address| Err(Public(address)))
    }
}

/// Whether others than this machine and the networks of its own house may reach an address. All addresses at once are.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // RFC 6598, RFC 2544
            let is_shared = a == 100 && b & 0xc0 == 64;
            let is_benchmark = a == 198 && b & 0xfe == 18;
            let is_home = v4.is_loopback() || v4.is_private() || v4.is_link_local();
            !(is_home || is_shared || is_benchmark || v4.is_documentation())
        }
        IpAddr::V6(v6) => {
            let is_documentation = v6.segments()[..2] == [0x2001, 0xdb8];
            !(v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unique_local() || is_documentation)
        }
    }
}

fn kind(address: &IpAddr) -> &'static str {
    if address.is_unspecified() { "every address of this machine" } else { "a public address" }
}

/// Where an address of documentation (RFC 5737) stands on loopback: the same with 127 in front.
pub fn on_loopback(address: Ipv4Addr) -> Option<Ipv4Addr> {
    let [_, b, c, d] = address.octets();
    address.is_documentation().then(|| Ipv4Addr::new(127, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(listen: &str, public: bool) -> Result<(), String> {
        let listen = vec![listen.parse().expect("an address")];
        Serving { listen, public, ..Serving::default() }.check().map_err(|why| why.to_string())
    }

    #[test]
    fn an_address_that_others_may_reach_has_to_be_meant() {
        let home = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.7", "169.254.1.1", "100.64.0.1", "::1"];
        for address in
            home.into_iter().chain(["fe80::1", "fd00::1", "198.51.100.10", "2001:db8::1", "::ffff:10.0.0.1"])
        {
            assert_eq!(checked(address, false), Ok(()), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2600::1", "0.0.0.0", "::", "::ffff:8.8.8.8"]
        {
            let refused = checked(address, false).expect_err(address);
            assert!(refused.contains("whoever reaches it"), "{refused}");
            assert_eq!(checked(address, true), Ok(()), "{address}");
        }
        assert!(checked("0.0.0.0", false).unwrap_err().contains("every address of this machine"));
    }

    #[test]
    fn documentation_addresses_have_a_place_each_on_loopback() {
        let place = |address: &str| on_loopback(address.parse().unwrap()).map(|at| at.to_string());
        assert_eq!(place("198.51.100.10").as_deref(), Some("127.51.100.10"));
        assert_eq!(place("203.0.113.25").as_deref(), Some("127.0.113.25"));
        assert_eq!(place("8.8.8.8"), None);
    }
}
