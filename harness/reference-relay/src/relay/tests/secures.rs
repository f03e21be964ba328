//! STARTTLS and AUTH.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

/// A certificate for `name` from an authority of its own: what the host needs, and the authority in PEM.
pub(super) fn certified(name: &str) -> (TlsAcceptor, String) {
    let Certified { tls, authority, .. } = certify(name);
    (tls, pem(&authority))
}

/// What [`certify`] makes, in DER.
pub(super) struct Certified {
    pub(super) tls: TlsAcceptor,
    pub(super) certificate: Vec<u8>,
    /// The SubjectPublicKeyInfo.
    pub(super) key: Vec<u8>,
    pub(super) authority: Vec<u8>,
}

/// A host with a certificate for `name` from an authority of its own, which it sends along.
pub(super) fn certify(name: &str) -> Certified {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let certificate = parameters.signed_by(&key, &authority).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone(), authority.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("a configuration");
    Certified {
        tls: TlsAcceptor::from(Arc::new(config)),
        certificate: certificate.der().to_vec(),
        key: key.subject_public_key_info(),
        authority: authority.der().to_vec(),
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[tokio::test(start_paused = true)]
async fn tls_is_used_where_offered_and_ehlo_is_said_again() {
    let (tls, _) = certified("another.example");
    let world = world(plain().with_tls(tls));
    let _relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    let heard = commands(&world, "mx.x.example");
    assert_eq!(heard[..3], ["EHLO relay.example", "STARTTLS", "EHLO relay.example"]);
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn tls_is_not_used_when_it_is_off() {
    let (tls, _) = certified("mx.x.example");
    let world = world(plain().with_tls(tls));
    let _relay = world.relay_with(|config| config.tls = TlsPolicy::Off).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(world.when("mx.x.example", "STARTTLS"), [0; 0]);
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_starttls_leaves_the_session_in_the_clear() {
    let (tls, _) = certified("mx.x.example");
    let world = world(plain().with_tls(tls).saying("STARTTLS", "454 4.7.0 Not now"));
    let _relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(world.when("mx.x.example", "EHLO").len(), 1);
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

/// The second one sends octets after its 220 in the clear, which would count as encrypted ones if they were kept.
#[rstest]
#[case::no_handshake(Say::Usual)]
#[case::injected("220 2.0.0 Go on\r\n250-mx.x.example\r\n250 AUTH PLAIN".into())]
#[tokio::test(start_paused = true)]
async fn a_failed_handshake_is_followed_by_a_connection_in_the_clear(#[case] reply: Say) {
    let host = plain().offering(&["STARTTLS"]);
    let world =
        world(host.scripted(move |heard| if heard == "STARTTLS" { reply.clone() } else { Say::Usual }));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(world.when("mx.x.example", "EHLO").len(), 2);
    assert_eq!(world.when("mx.x.example", "STARTTLS").len(), 1);
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"], "{}", log(&relay));
}

#[tokio::test(start_paused = true)]
async fn required_tls_takes_a_valid_certificate() {
    let (tls, root) = certified("mx.x.example");
    let world = world(plain().with_tls(tls));
    let relay = world
        .relay_with(|config| {
            config.tls = TlsPolicy::Required;
            config.tls_roots = vec![root];
        })
        .await;
    world.names(|_| {});
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"], "{}", log(&relay));
}

#[rstest]
#[case::other_name("mx.y.example", true, "its certificate is not for mx.x.example.")]
#[case::authority_of_the_same_name("mx.x.example", false, "its certificate has a wrong signature.")]
#[tokio::test(start_paused = true)]
async fn required_tls_keeps_mail_from_a_host_it_cannot_verify(
    #[case] name: &str,
    #[case] known: bool,
    #[case] why: &str,
) {
    let (tls, root) = certified(name);
    let (_, other) = certified(name);
    let world = world(plain().with_tls(tls));
    let relay = world
        .relay_with(|config| {
            config.tls = TlsPolicy::Required;
            config.tls_roots = vec![if known { root } else { other }];
        })
        .await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert!(reason(&relay).starts_with("TLS with mx.x.example failed: "), "{}", reason(&relay));
    assert!(reason(&relay).contains(why), "{}", reason(&relay));
    assert_eq!(world.when("mx.x.example", "MAIL"), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn required_tls_keeps_mail_from_a_host_without_it() {
    let world = world(plain());
    let relay = world.relay_with(|config| config.tls = TlsPolicy::Required).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(reason(&relay), "mx.x.example does not offer STARTTLS, which is required.");
    assert_eq!(commands(&world, "mx.x.example"), ["EHLO relay.example", "QUIT"]);
}

fn credentials(to: AuthScope) -> Auth {
    let mechanisms = vec![Mechanism::Plain, Mechanism::Login];
    Auth { to, user: "user".into(), password: "secret".into(), mechanisms }
}

/// A host with AUTH that knows the password, or does not.
fn asks_for_auth(offer: &'static str, right: bool) -> Host {
    plain().offering(&[offer]).scripted(move |heard| match heard {
        "AUTH LOGIN" => "334 VXNlcm5hbWU6".into(),
        "dXNlcg==" => "334 UGFzc3dvcmQ6".into(),
        "c2VjcmV0" | "AUTH PLAIN AHVzZXIAc2VjcmV0" if right => "235 2.7.0 Welcome".into(),
        "c2VjcmV0" | "AUTH PLAIN AHVzZXIAc2VjcmV0" => "535 5.7.8 No".into(),
        _ => Say::Usual,
    })
}

#[rstest]
#[case("AUTH LOGIN PLAIN", &["AUTH PLAIN AHVzZXIAc2VjcmV0"])]
#[case("AUTH=LOGIN", &["AUTH LOGIN", "dXNlcg==", "c2VjcmV0"])]
#[case("AUTH CRAM-MD5", &[])]
#[tokio::test(start_paused = true)]
async fn the_first_mechanism_that_both_have_is_used(#[case] offer: &'static str, #[case] exchange: &[&str]) {
    let world = world(asks_for_auth(offer, true));
    let _relay = world.relay_with(|config| config.auth = Some(credentials(AuthScope::Any))).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(commands(&world, "mx.x.example")[1..=exchange.len()], *exchange);
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn credentials_for_the_smart_host_go_to_no_other() {
    let world = world(asks_for_auth("AUTH PLAIN", true));
    let _relay = world.relay_with(|config| config.auth = Some(credentials(AuthScope::Smarthost))).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert!(commands(&world, "mx.x.example").iter().all(|command| !command.starts_with("AUTH")));
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_do_not_keep_mail_from_a_host_that_takes_it_without() {
    let world = world(asks_for_auth("AUTH PLAIN LOGIN", false));
    let _relay = world.relay_with(|config| config.auth = Some(credentials(AuthScope::Any))).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    let heard = commands(&world, "mx.x.example");
    let exchange = ["AUTH PLAIN AHVzZXIAc2VjcmV0", "AUTH LOGIN", "dXNlcg==", "c2VjcmV0"];
    assert_eq!(heard[1..5], exchange, "each mechanism is tried");
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[rstest]
#[case::rejected(true)]
#[case::never_tried(false)]
#[tokio::test(start_paused = true)]
async fn a_host_that_insists_keeps_mail_waiting_if_ours_were_rejected(#[case] configured: bool) {
    let world = world(plain().offering(&["AUTH PLAIN"]).scripted(|heard| match heard {
        heard if heard.starts_with("AUTH") => "535 5.7.8 No".into(),
        heard if heard.starts_with("MAIL") => "530 5.7.0 Authentication required".into(),
        _ => Say::Usual,
    }));
    let auth = configured.then(|| credentials(AuthScope::Any));
    let relay = world.relay_with(|config| config.auth = auth).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(world.notifications().len(), usize::from(!configured));
    assert_eq!(relay.queue().len(), usize::from(configured));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_asks_for_more_than_a_mechanism_has_is_told_that_it_is_over() {
    let world = world(plain().offering(&["AUTH LOGIN"]).scripted(|heard| match heard {
        "AUTH LOGIN" | "dXNlcg==" | "c2VjcmV0" => "334 TW9yZTo=".into(),
        "*" => "501 5.7.0 Cancelled".into(),
        _ => Say::Usual,
    }));
    let _relay = world.relay_with(|config| config.auth = Some(credentials(AuthScope::Any))).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(commands(&world, "mx.x.example")[1..5], ["AUTH LOGIN", "dXNlcg==", "c2VjcmV0", "*"]);
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

/// RFC 4954 section 4: whoever cannot decode a challenge MUST cancel. LOGIN's challenges are base64 as all others are.
#[rstest]
#[case::the_first("334 Username:", "334 UGFzc3dvcmQ6", &["AUTH LOGIN", "*"])]
#[case::the_second("334 VXNlcm5hbWU6", "334 Password:", &["AUTH LOGIN", "dXNlcg==", "*"])]
#[case::padding_within("334 VXN=bWU6", "334 UGFzc3dvcmQ6", &["AUTH LOGIN", "*"])]
#[case::an_empty_one("334 ", "334 UGFzc3dvcmQ6", &["AUTH LOGIN", "dXNlcg==", "c2VjcmV0"])]
#[tokio::test(start_paused = true)]
async fn login_is_cancelled_where_a_challenge_is_no_base64(
    #[case] user: &'static str,
    #[case] password: &'static str,
    #[case] exchange: &[&str],
) {
    let world = world(plain().offering(&["AUTH LOGIN"]).scripted(move |heard| match heard {
        "AUTH LOGIN" => user.into(),
        "dXNlcg==" => password.into(),
        "c2VjcmV0" => "235 2.7.0 Welcome".into(),
        "*" => "501 5.7.0 Cancelled".into(),
        _ => Say::Usual,
    }));
    let _relay = world.relay_with(|config| config.auth = Some(credentials(AuthScope::Any))).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    let heard = commands(&world, "mx.x.example");
    assert_eq!(heard[1..=exchange.len()], *exchange);
    assert!(heard[exchange.len() + 1].starts_with("MAIL"), "{heard:?}");
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_offered_in_the_clear_counts_for_nothing_after_tls() {
    let (tls, _) = certified("mx.x.example");
    let clear = first(1);
    let world = world(plain().with_tls(tls).scripted(move |heard| match heard {
        heard if heard.starts_with("EHLO") && clear() => {
            "250-mx.x.example\r\n250-STARTTLS\r\n250 SIZE".into()
        }
        heard if heard.starts_with("EHLO") => "250 mx.x.example".into(),
        _ => Say::Usual,
    }));
    let _relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(commands(&world, "mx.x.example")[3], "MAIL FROM:<a@origin.example>");
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn octets_after_the_reply_to_starttls_are_not_taken_for_encrypted_ones() {
    let (tls, _) = certified("mx.x.example");
    let injected = "220 2.0.0 Go on\r\n250-mx.x.example\r\n250 AUTH PLAIN";
    let world = world(plain().with_tls(tls).saying("STARTTLS", injected));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert!(log(&relay).contains("there were octets after the reply to STARTTLS"), "{}", log(&relay));
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"], "in the clear, on a second connection");
}

/// RFC 5321 section 3.8: it is about the session, and says nothing of TLS.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_session_that_ends_at_starttls_is_not_a_matter_of_tls(
    #[values(TlsPolicy::Opportunistic, TlsPolicy::Required)] policy: TlsPolicy,
) {
    let (tls, _) = certified("mx.x.example");
    let world = world(plain().with_tls(tls).saying("STARTTLS", "421 4.3.2 Closing"));
    let relay = world.relay_with(|config| config.tls = policy).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(reason(&relay), "421 4.3.2 Closing");
    assert_eq!(world.when("mx.x.example", "QUIT"), [0; 0]);
}

#[rstest]
#[case::challenge("334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+", &["AUTH CRAM-MD5", "dXNlciA3MzNiYTg3ZTY0ZWQ3ZTQ0MWYwNjJjNGFjNmRiMDEwMw=="])]
#[case::no_base64("334 CRAM-MD5 supported", &["AUTH CRAM-MD5", "*", "AUTH PLAIN AHVzZXIAc2VjcmV0"])]
#[tokio::test(start_paused = true)]
async fn cram_md5_answers_the_challenge_if_it_is_one(#[case] challenge: &'static str, #[case] said: &[&str]) {
    let world = world(plain().offering(&["AUTH PLAIN CRAM-MD5"]).scripted(move |heard| match heard {
        "AUTH CRAM-MD5" => challenge.into(),
        "*" => "501 5.7.0 Cancelled".into(),
        heard if heard.starts_with("AUTH") || heard.starts_with("dXN") => "235 2.7.0 Welcome".into(),
        _ => Say::Usual,
    }));
    let mechanisms = vec![Mechanism::CramMd5, Mechanism::Plain];
    let auth = Auth { mechanisms, ..credentials(AuthScope::Any) };
    let _relay = world.relay_with(|config| config.auth = Some(auth)).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    let heard = commands(&world, "mx.x.example");
    assert_eq!(heard[1..=said.len()], *said);
    assert!(heard[said.len() + 1].starts_with("MAIL"), "no second EHLO: {heard:?}");
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

/// Catalogue: auth-3xx-not-334 (Mercury 1.48).
#[tokio::test(start_paused = true)]
async fn another_code_of_its_class_is_as_good_as_334() {
    let world = world(plain().offering(&["AUTH LOGIN"]).scripted(|heard| match heard {
        "AUTH LOGIN" => "350 VXNlcm5hbWU6".into(),
        "dXNlcg==" => "350 UGFzc3dvcmQ6".into(),
        "c2VjcmV0" => "235 2.7.0 Welcome".into(),
        heard if heard.starts_with("MAIL") => "250 OK".into(),
        _ => Say::Usual,
    }));
    let _relay = world.relay_with(|config| config.auth = Some(credentials(AuthScope::Any))).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(commands(&world, "mx.x.example")[1..4], ["AUTH LOGIN", "dXNlcg==", "c2VjcmV0"]);
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn challenges_without_end_defer() {
    let world = world(plain().offering(&["AUTH LOGIN"]).scripted(|heard| {
        let asks = heard.starts_with("AUTH") || ["dXNlcg==", "c2VjcmV0", "*"].contains(&heard);
        if asks { "334 TW9yZTo=".into() } else { Say::Usual }
    }));
    let relay = world.relay_with(|config| config.auth = Some(credentials(AuthScope::Any))).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(commands(&world, "mx.x.example").last().map(String::as_str), Some("closed"));
    assert_eq!(reason(&relay), "mx.x.example did not stop asking during AUTH.");
}

/// Catalogue: auth-535-temporary. What a host says to those whom it does not know is not about the mail, unless it says so.
#[rstest]
#[case::relaying_denied("550 5.7.1 Relaying denied", false)]
#[case::without_status("550 relay not permitted", false)]
#[case::about_the_recipient("550 5.1.1 No such user", true)]
#[tokio::test(start_paused = true)]
async fn rejected_credentials_do_not_make_mail_bounce(#[case] reply: &'static str, #[case] returned: bool) {
    let world = world(plain().offering(&["AUTH PLAIN"]).scripted(move |heard| match heard {
        heard if heard.starts_with("AUTH") => "535 5.7.8 No".into(),
        heard if heard.starts_with("RCPT") => reply.into(),
        _ => Say::Usual,
    }));
    let relay = world.relay_with(|config| config.auth = Some(credentials(AuthScope::Any))).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(world.notifications().len(), usize::from(returned));
    assert_eq!(relay.queue().len(), usize::from(!returned), "{}", log(&relay));
}
