//! From a destination to the hosts and addresses to try, best first (RFC 5321 section 5.1).

use std::net::{IpAddr, SocketAddr};

use super::destination::{Destination, NamedHost};
use super::problem;
use crate::config::TlsPolicy;
use crate::dns::{Addresses, Exchanger, Exchangers};
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

/// Where to reach a host.
pub(super) struct Place {
    pub(super) addresses: Vec<SocketAddr>,
    /// What DNS said, unless the host needs no looking up.
    found: Option<Addresses>,
}

/// The hosts of a destination: those of the same preference together, the best first. Hosts that this relay is among by
/// its name are left out.
pub(super) async fn of(context: &Context, destination: &Destination) -> Result<Vec<Vec<Host>>, Problem> {
    let domain = match destination {
        Destination::Named { host: NamedHost::Name(name), .. } => {
            let host = Host { name: name.clone(), address: None, secure: true, domains: Vec::new() };
            return Ok(vec![vec![host]]);
        }
        Destination::Named { host: NamedHost::Address(address), .. } => return Ok(vec![vec![at(*address)]]),
        // Kept, and not sent anywhere.
        Destination::Postmaster => return Ok(Vec::new()),
        Destination::Literal(ip) => return Ok(vec![vec![at(SocketAddr::new(*ip, SMTP_PORT))]]),
        Destination::Domain(domain) => domain,
    };
    let exchangers = context.resolver.exchangers(domain).await;
    let exchangers = exchangers.map_err(|error| problem::of_domain(context, domain, &error))?;
    let Exchangers { hosts, explicit, secure, canonical } = exchangers;
    let better = better_than(hosts, &context.config.hostname);
    if better.is_empty() {
        return Err(own(context, destination));
    }
    let mut domains = vec![domain.clone()];
    domains.extend((canonical != *domain).then_some(canonical));
    // RFC 7672 section 2.2.1: not for hosts that anybody may have put there. A domain without MX is its own host.
    let secure = secure || !explicit;
    let host = |exchanger: &Exchanger| Host {
        name: exchanger.host.clone(),
        address: None,
        secure,
        domains: domains.clone(),
    };
    let levels = better.chunk_by(|one, other| one.preference == other.preference);
    Ok(levels.map(|level| level.iter().map(host).collect()).collect())
}

/// Section 5.1: the exchangers that are to be preferred to this relay, if it is one of them; all others would pass the
/// mail back to it. This is about its name; [`places`] sees to its address.
fn better_than(exchangers: Vec<Exchanger>, own_name: &str) -> Vec<Exchanger> {
    let is_own = |host: &str| host.trim_end_matches('.').eq_ignore_ascii_case(own_name.trim_end_matches('.'));
    let own = exchangers.iter().filter(|exchanger| is_own(&exchanger.host)).map(|own| own.preference).min();
    exchangers.into_iter().filter(|other| own.is_none_or(|own| other.preference < own)).collect()
}

/// Section 5.1: if nobody else takes the mail of a domain, it must be returned; RFC 3463's X.4.6 is what happened.
pub(super) fn own(context: &Context, destination: &Destination) -> Problem {
    let whose = match destination {
        Destination::Domain(domain) => domain,
        _ => &context.config.hostname,
    };
    let explanation = format!("The mail for {whose} would come back here: this relay is its mail exchanger.");
    problem::own(context, "5.4.6", explanation)
}

/// Where the hosts of one preference are, each with the addresses in the order in which the resolver gives them. All are
/// looked up before the first is tried, for `None` says that one of them is this relay, by whatever name: then neither
/// they nor any host after them is to be tried (section 5.1).
pub(super) async fn places(
    context: &Context,
    destination: &Destination,
    level: Vec<Host>,
) -> Option<Vec<(Host, Result<Place, Problem>)>> {
    let own = context.config.listen.ip().to_canonical();
    let mut places = Vec::new();
    for host in level {
        let place = place(context, destination, &host).await;
        let is_own = |address: &SocketAddr| address.ip().to_canonical() == own;
        let by_dns = matches!(destination, Destination::Domain(_));
        if by_dns && place.as_ref().is_ok_and(|place| place.addresses.iter().any(is_own)) {
            return None;
        }
        places.push((host, place));
    }
    Some(places)
}

async fn place(context: &Context, destination: &Destination, host: &Host) -> Result<Place, Problem> {
    if let Some(address) = host.address {
        return Ok(Place { addresses: vec![address], found: None });
    }
    match context.resolver.addresses(&host.name).await {
        Ok(found) => {
            let addresses = found.addresses.iter().map(|&ip| SocketAddr::new(ip, SMTP_PORT)).collect();
            Ok(Place { addresses, found: Some(found) })
        }
        Err(error) if matches!(destination, Destination::Named { .. }) => {
            Err(problem::of_named_host(context, &host.name, &error))
        }
        Err(error) => Err(problem::of_exchanger(context, &host.name, &error)),
    }
}

/// A host's secure TLSA records, if there are any and they are to be heeded. They are asked for after its addresses, as RFC
/// 7672 section 2.2.2 wants it.
pub(super) async fn dane(context: &Context, host: &Host, place: &Place) -> Result<Option<Dane>, Problem> {
    let Some(found) = place.found.as_ref().filter(|_| context.config.tls == TlsPolicy::Dane && host.secure)
    else {
        return Ok(None);
    };
    let records = context.resolver.tlsa(&host.name, SMTP_PORT, found).await;
    let records = records.map_err(|error| problem::of_tlsa(context, &host.name, &error))?;
    Ok(records.map(|(base, records)| {
        let others = host.domains.iter().filter(|&domain| *domain != base).cloned();
        let names = std::iter::once(base.clone()).chain(others).collect();
        let usable = |record: &crate::dns::Tlsa| {
            Association::usable(record.usage, record.selector, record.matching, &record.data)
        };
        Dane { records: records.iter().filter_map(usable).collect(), names }
    }))
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
            .into_iter()
            .map(|exchanger| exchanger.host)
            .collect()
    }

    #[test]
    fn exchangers_that_are_no_better_than_the_relay_itself_are_passed_over() {
        let all = [(5, "a.example"), (10, "b.example"), (10, "Relay.Example."), (20, "c.example")];
        assert_eq!(names(&all), ["a.example"]);
        assert_eq!(names(&[(5, "relay.example"), (10, "c.example")]), [""; 0]);
        assert_eq!(names(&[(10, "a.example"), (20, "c.example")]), ["a.example", "c.example"]);
    }
}
