//! What the relay is told: the scenario's neutral words, with names made addresses.

use std::net::SocketAddr;

use mock_servers::script::Certificate;
use mock_servers::smtp::tls::TlsMaterial;

use super::places::{self, ORIGIN, Places};
use super::world::{LabError, relay_address};
use super::{forwarding, zone::serves_origin};
use crate::relay::{self, Settings, StartError, Unsupported};
use crate::scenario::{Scenario, Tls};

/// The scenario's words for a relay that lives in these places.
pub(super) fn settings(
    scenario: &Scenario,
    places: &Places,
    hostname: &str,
    directory: &std::path::Path,
    tls: &TlsMaterial,
) -> Result<Settings, LabError> {
    let asked = &scenario.relay;
    if let Some(to) = asked.auth.as_ref().and_then(|auth| auth.to.as_ref())
        && asked.smarthost.as_ref() != Some(to)
    {
        let why =
            format!("credentials for `{to}` alone, which is not the smart host, cannot be told to a relay");
        return Err(StartError::from(Unsupported(why)).into());
    }
    let mut routes = Vec::new();
    if !serves_origin(scenario) {
        routes.push((ORIGIN.to_owned(), places::MAILBOX_NAME.to_owned()));
    }
    Ok(Settings {
        hostname: hostname.to_owned(),
        listen: relay_address(),
        addresses: vec![places::RELAY.into(), places::RELAY_V6.into()],
        resolver: SocketAddr::new(places::DNS.into(), 53),
        // A server that hands mail back to the relay is one of its clients that may relay.
        trusted: std::iter::once(places::TRUSTED.into())
            .chain(forwarding::servers(scenario, places).into_values())
            .collect(),
        directory: directory.to_owned(),
        smarthost: asked
            .smarthost
            .as_ref()
            .and_then(|name| places.get(name))
            .map(|placed| placed.hostname.clone()),
        routes,
        auth: asked.auth.as_ref().map(|auth| relay::AuthSettings {
            smarthost_only: auth.to.is_some(),
            user: auth.user.clone(),
            password: auth.password.clone(),
            mechanisms: auth.mechanisms.clone(),
        }),
        tls: match asked.tls {
            None | Some(Tls::Opportunistic) => relay::Tls::Opportunistic,
            Some(Tls::Off) => relay::Tls::Off,
            Some(Tls::Required) => relay::Tls::Required,
            Some(Tls::Dane) => relay::Tls::Dane,
        },
        // Made only where it is needed: a key costs more than a run.
        tls_root: (asked.tls == Some(Tls::Required)).then(|| tls.root_pem()).transpose()?,
        certificate: match asked.offers_tls {
            Some(true) => {
                let (chain, key) = tls.pem(hostname, Certificate::Good)?;
                Some(relay::Certificate { chain, key })
            }
            _ => None,
        },
        retry_first: asked.retry_first,
        retry_at_most: asked.retry_at_most,
        warn: asked.warn,
        lifetime: asked.lifetime,
        size_limit: asked.size_limit,
        reuse: asked.reuse,
        greeting_timeout: asked.greeting_timeout,
        command_timeout: asked.command_timeout,
        end_of_data_timeout: asked.end_of_data_timeout,
    })
}
