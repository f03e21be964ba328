//! Where a recipient's mail goes: decided by its domain and the configuration alone.

use std::net::{IpAddr, SocketAddr};

use crate::address::{a_labels, domain_of, literal, same_domain};
use crate::config::{Config, Host};

/// A next hop. Recipients of one destination travel together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Destination {
    /// A host that the operator named.
    Named {
        host: NamedHost,
        /// Whether it is the smart host, and not one of a route.
        smart: bool,
    },
    /// The host at an address literal (RFC 5321 section 4.1.3).
    Literal(IpAddr),
    /// The relay's own folder for its postmaster (section 4.5.1).
    Postmaster,
    /// The mail exchangers of a domain, in lower case.
    Domain(String),
}

/// [`Host`], comparable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NamedHost {
    Name(String),
    Address(SocketAddr),
}

impl Destination {
    /// A route for the domain goes before the postmaster's folder, this before the smart host, and that before DNS.
    pub(crate) fn of(address: &str, config: &Config) -> Self {
        let domain = &*a_labels(domain_of(address));
        let route = config.routes.iter().find(|route| same_domain(&route.domain, domain));
        if let Some(route) = route {
            return Self::Named { host: NamedHost::of(&route.via), smart: false };
        }
        if config.is_own_postmaster(address) {
            return Self::Postmaster;
        }
        if let Some(host) = &config.smarthost {
            return Self::Named { host: NamedHost::of(host), smart: true };
        }
        literal(domain).map_or_else(|| Self::Domain(domain.to_ascii_lowercase()), Self::Literal)
    }
}

impl NamedHost {
    fn of(host: &Host) -> Self {
        match host {
            Host::Name(name) => Self::Name(name.to_ascii_lowercase()),
            Host::Address(address) => Self::Address(*address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Route;
    use crate::testing;

    #[test]
    fn a_route_goes_before_the_smart_host_and_that_before_dns() {
        let mut config = testing::config();
        let of = |address: &str, config: &Config| Destination::of(address, config);
        assert_eq!(of("a@X.Example", &config), Destination::Domain("x.example".into()));
        assert_eq!(of("a@[198.51.100.7]", &config), Destination::Literal([198, 51, 100, 7].into()));
        assert_eq!(of("a@b\u{fc}cher.example", &config), of("a@XN--bcher-kva.example", &config));
        config.smarthost = Some(Host::Name("Smart.Example".into()));
        config.routes.push(Route { domain: "y.example".into(), via: Host::Name("in.example".into()) });
        let named = |name: &str, smart| Destination::Named { host: NamedHost::Name(name.into()), smart };
        assert_eq!(of("a@x.example", &config), named("smart.example", true));
        assert_eq!(of("a@[198.51.100.7]", &config), named("smart.example", true));
        assert_eq!(of("a@Y.example", &config), named("in.example", false));
    }
}
