//! From a destination to the hosts and addresses to try, best first (RFC 5321 section 5.1).

use std::net::{IpAddr, SocketAddr};

use super::destination::{Destination, NamedHost};
use super::problem;
use crate::config::TlsPolicy;
use crate::dns::{Exchanger, Exchangers};
use crate::envelope::Problem;
use crate::relay::Context;
use crate::tls::{Association, Dane};

/// RFC 5321 section 4.5.4.2.
const SMTP_PORT: u16 = 25;

/// A host to try.
pub(super) struct Host {
    /// For the log, for notifications, and for the name in its certificate.
    pub(super) name: String,
    /// When it needs no looking up.
    address: Option<SocketAddr>,
    /// Whether DNS, or the operator, vouches that this is the host for the mail.
    secure: bool,
    /// The other names that stand for it in a certificate (RFC 7672 section 3.2.2): the domain's.
    domains: Vec<String>,
}

/// Where to reach a host, and what is known of its certificate.
pub(super) struct Place {
    pub(super) addresses: Vec<SocketAddr>,
    /// Secure TLSA records, if there are any and they are to be heeded.
    pub(super) dane: Option<Dane>,
}

/// The hosts of a destination, best first.
pub(super) async fn of(context: &Context, destination: &Destination) -> Result<Vec<Host>, Problem> {
    let domain = match destination {
        Destination::Named { host: NamedHost::Name(name), .. } => {
            return Ok(vec![Host { name: name.clone(), address: None, secure: true, domains: Vec::new() }]);
        }
        Destination::Named { host: NamedHost::Address(address), .. } => return Ok(vec![at(*address)]),
        // Kept, and not sent anywhere.
        Destination::Postmaster => return Ok(Vec::new()),
        Destination::Literal(ip) => return Ok(vec![at(SocketAddr::new(*ip, SMTP_PORT))]),
        Destination::Domain(domain) => domain,
    };
    let exchangers = context.resolver.exchangers(domain).await;
    let exchangers = exchangers.map_err(|error| problem::of_domain(context, domain, &error))?;
    let Exchangers { hosts, explicit, secure, canonical } = exchangers;
    let better = better_than(hosts, &context.config.hostname);
    if better.is_empty() {
        // Section 5.1: then the message must be returned; RFC 3463's X.4.6 is what happened.
        let explanation =
            format!("The mail for {domain} would come back here: this relay is its mail exchanger.");
        return Err(problem::own(context, "5.4.6", explanation));
    }
    let mut domains = vec![domain.clone()];
    domains.extend((canonical != *domain).then_some(canonical));
    // RFC 7672 section 2.2.1: not for hosts that anybody may have put there. A domain without MX is its own host.
    let secure = secure || !explicit;
    Ok(better
        .into_iter()
        .map(|name| Host { name, address: None, secure, domains: domains.clone() })
        .collect())
}

/// Section 5.1: the exchangers that are to be preferred to this relay, if it is one of them; all others would pass the
/// mail back to it. The relay knows itself by its name.
fn better_than(exchangers: Vec<Exchanger>, own_name: &str) -> Vec<String> {
    let is_own = |host: &str| host.trim_end_matches('.').eq_ignore_ascii_case(own_name.trim_end_matches('.'));
    let own = exchangers.iter().filter(|exchanger| is_own(&exchanger.host)).map(|own| own.preference).min();
    let better = exchangers.into_iter().filter(|other| own.is_none_or(|own| other.preference < own));
    better.map(|exchanger| exchanger.host).collect()
}

/// The addresses of a host, in the order in which the resolver gives them, and its TLSA records after them, as RFC 7672
/// section 2.2.2 asks.
pub(super) async fn place(
    context: &Context,
    destination: &Destination,
    host: &Host,
) -> Result<Place, Problem> {
    if let Some(address) = host.address {
        return Ok(Place { addresses: vec![address], dane: None });
    }
    let found = match context.resolver.addresses(&host.name).await {
        Ok(found) => found,
        Err(error) if matches!(destination, Destination::Named { .. }) => {
            return Err(problem::of_named_host(context, &host.name, &error));
        }
        Err(error) => return Err(problem::of_exchanger(context, &host.name, &error)),
    };
    let mut dane = None;
    if context.config.tls == TlsPolicy::Dane && host.secure {
        let records = context.resolver.tlsa(&host.name, SMTP_PORT, &found).await;
        let records = records.map_err(|error| problem::of_tlsa(context, &host.name, &error))?;
        dane = records.map(|(base, records)| {
            let others = host.domains.iter().filter(|&domain| *domain != base).cloned();
            let names = std::iter::once(base.clone()).chain(others).collect();
            let usable = |record: &crate::dns::Tlsa| {
                Association::usable(record.usage, record.selector, record.matching, &record.data)
            };
            Dane { records: records.iter().filter_map(usable).collect(), names }
        });
    }
    let addresses = found.addresses.into_iter().map(|ip| SocketAddr::new(ip, SMTP_PORT)).collect();
    Ok(Place { addresses, dane })
}

fn at(address: SocketAddr) -> Host {
    let name = match address.ip() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    };
    Host { name, address: Some(address), secure: false, domains: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(exchangers: &[(u16, &str)]) -> Vec<String> {
        let exchanger = |&(preference, host): &(u16, &str)| Exchanger { preference, host: host.into() };
        better_than(exchangers.iter().map(exchanger).collect(), "relay.example")
    }

    #[test]
    fn exchangers_that_are_no_better_than_the_relay_itself_are_passed_over() {
        let all = [(5, "a.example"), (10, "b.example"), (10, "Relay.Example."), (20, "c.example")];
        assert_eq!(names(&all), ["a.example"]);
        assert_eq!(names(&[(5, "relay.example"), (10, "c.example")]), [""; 0]);
        assert_eq!(names(&[(10, "a.example"), (20, "c.example")]), ["a.example", "c.example"]);
    }
}
