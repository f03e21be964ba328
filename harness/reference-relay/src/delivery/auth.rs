//! AUTH as a client (RFC 4954): PLAIN, LOGIN and CRAM-MD5.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;

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
/// PLAIN and LOGIN show the password to whoever reads along. Whether that is acceptable is the operator's choice, made
/// with [`TlsPolicy`](crate::config::TlsPolicy) and the mechanisms.
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
            Mechanism::CramMd5 => "CRAM-MD5",
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

/// One mechanism, from AUTH to the reply that is no challenge. None of them begins with EHLO once more: that is for mechanisms
/// with a security layer (RFC 4954 section 4), and servers have been seen to forget the client's name at it.
async fn exchange(connection: &mut Connection, auth: &Auth, mechanism: Mechanism) -> Result<Reply, Broken> {
    let limit = connection.context.config.timeouts.command;
    let command = match mechanism {
        // RFC 4616: no authorization identity, the user, the password. As an initial response, to save a round trip.
        Mechanism::Plain => {
            format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{}\0{}", auth.user, auth.password)))
        }
        Mechanism::Login => "AUTH LOGIN".to_owned(),
        Mechanism::CramMd5 => "AUTH CRAM-MD5".to_owned(),
    };
    let mut reply = connection.ask(&command, limit).await?;
    let mut step = 0;
    while is_challenge(&reply) && !connection.is_over() {
        let response = challenge(&reply).and_then(|challenge| match (mechanism, step) {
            // What LOGIN asks for is known by its order; the text of its challenges was never agreed on.
            (Mechanism::Login, 0) => Some(STANDARD.encode(&auth.user)),
            (Mechanism::Login, 1) => Some(STANDARD.encode(&auth.password)),
            (Mechanism::CramMd5, 0) => digest(auth, &challenge),
            _ => None,
        });
        let Some(response) = response else {
            // A challenge that is no base64: section 4 has the client cancel (MUST). Or one more than the mechanism has: then
            // it may.
            let cancelled = connection.ask("*", limit).await?;
            // What is said to a server that goes on after that is taken for one more response.
            return if is_challenge(&cancelled) { Err(Broken::Endless) } else { Ok(cancelled) };
        };
        reply = connection.ask(&response, limit).await?;
        step += 1;
    }
    Ok(reply)
}

/// 334; and 350, which Mercury 1.48 says in its place: the first digit tells as much (RFC 5321 section 4.2.1).
fn is_challenge(reply: &Reply) -> bool {
    reply.code / 100 == 3
}

/// What a challenge says; an empty one (`334 `) is one too.
fn challenge(reply: &Reply) -> Option<Vec<u8>> {
    STANDARD.decode(reply.lines.last()?.trim()).ok()
}

/// RFC 2195 section 2: the user, and the challenge, keyed with the password.
fn digest(auth: &Auth, challenge: &[u8]) -> Option<String> {
    let mut keyed = Hmac::<Md5>::new_from_slice(auth.password.as_bytes()).ok()?;
    keyed.update(challenge);
    let mut response = format!("{} ", auth.user);
    for octet in keyed.finalize().into_bytes() {
        let nibbles = [octet >> 4, octet & 15];
        response.extend(nibbles.into_iter().filter_map(|nibble| char::from_digit(nibble.into(), 16)));
    }
    Some(STANDARD.encode(response))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AuthScope;

    /// The example of RFC 2195 section 2.
    #[test]
    fn cram_md5_answers_as_its_rfc_does() {
        let (user, password) = ("tim".to_owned(), "tanstaaftanstaaf".to_owned());
        let auth = Auth { to: AuthScope::Any, user, password, mechanisms: vec![Mechanism::CramMd5] };
        let response = digest(&auth, b"<1896.697170952@postoffice.reston.mci.net>");
        assert_eq!(response.as_deref(), Some("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"));
    }
}
