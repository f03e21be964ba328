//! AUTH as a client (RFC 4954): PLAIN and LOGIN.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::connection::{Broken, Connection};
use crate::config::{Auth, Mechanism};
use crate::reply::Reply;

/// What came of it.
pub(super) enum Authenticated {
    Yes,
    /// No mechanism of ours is offered, or each was refused; the last refusal.
    No(Option<Reply>),
}

/// Tries the configured mechanisms that are offered, in their order, until one succeeds. A refusal of one is none of the
/// next: 504 and 534 (section 4 and 6) are about the mechanism alone, and 454 and 535 need not be about more.
///
/// Both mechanisms show the password to whoever reads along. Whether that is acceptable is the operator's choice, made
/// with [`TlsPolicy`](crate::config::TlsPolicy).
pub(super) async fn authenticate(
    connection: &mut Connection,
    auth: &Auth,
    offered: &str,
) -> Result<Authenticated, Broken> {
    let mut refusal = None;
    for mechanism in &auth.mechanisms {
        let name = match mechanism {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        };
        if !offered.split_ascii_whitespace().any(|offer| offer.eq_ignore_ascii_case(name)) {
            continue;
        }
        let reply = exchange(connection, auth, *mechanism).await?;
        if reply.code == 235 {
            return Ok(Authenticated::Yes);
        }
        refusal = Some(reply);
        if connection.is_over() {
            break;
        }
    }
    Ok(Authenticated::No(refusal))
}

async fn exchange(connection: &mut Connection, auth: &Auth, mechanism: Mechanism) -> Result<Reply, Broken> {
    let limit = connection.context.config.timeouts.command;
    let (command, responses) = match mechanism {
        // RFC 4616: no authorization identity, the user, the password. As an initial response, to save a round trip.
        Mechanism::Plain => {
            (format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{}\0{}", auth.user, auth.password))), vec![])
        }
        Mechanism::Login => {
            ("AUTH LOGIN".to_owned(), vec![STANDARD.encode(&auth.user), STANDARD.encode(&auth.password)])
        }
    };
    let mut reply = connection.ask(&command, limit).await?;
    for response in responses {
        if reply.code != 334 {
            return Ok(reply);
        }
        reply = connection.ask(&response, limit).await?;
    }
    if reply.code == 334 {
        // Asked for more than the mechanism has: section 4 lets the client cancel.
        reply = connection.ask("*", limit).await?;
    }
    Ok(reply)
}
