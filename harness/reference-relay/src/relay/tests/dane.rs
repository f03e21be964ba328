//! DANE (RFC 7672).

use ring::digest::{SHA256, SHA512, digest};

use super::secures::{Certified, certify};
use super::*;

/// A world in which `x.example`, its exchanger and the exchanger's TLSA records are vouched for; the exchanger has TLS.
fn signed(certified: &Certified) -> World {
    let world = world(plain().with_tls(certified.tls.clone()));
    world.names(|zone| zone.sign(&["x.example", "mx.x.example", "_25._tcp.mx.x.example"]));
    world
}

async fn relay(world: &World) -> Relay {
    world.relay_with(|config| config.tls = TlsPolicy::Dane).await
}

async fn submitted(world: &World) -> Relay {
    let relay = relay(world).await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    relay
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    digest(&SHA256, octets).as_ref().to_vec()
}

/// Whether it was delivered over TLS; `None`: it waits.
fn delivered_over_tls(world: &World) -> Option<bool> {
    let delivered = !recipients(world, "mx.x.example").is_empty();
    delivered.then(|| {
        let heard = commands(world, "mx.x.example");
        heard.iter().filter(|line| line.starts_with("EHLO")).count() == 2 && heard[1] == "STARTTLS"
    })
}

/// Names do not matter to usage 3 (section 3.2.1), and authorities do not to either.
#[rstest]
#[case::key("other.example", [3, 1, 1], |c: &Certified| sha256(&c.key), true)]
#[case::certificate("other.example", [3, 0, 2], |c: &Certified| digest(&SHA512, &c.certificate).as_ref().to_vec(), true)]
#[case::whole_key("other.example", [3, 1, 0], |c: &Certified| c.key.clone(), true)]
#[case::authority("mx.x.example", [2, 0, 1], |c: &Certified| sha256(&c.authority), true)]
#[case::authority_for_the_domain("x.example", [2, 0, 1], |c: &Certified| sha256(&c.authority), true)]
#[case::authority_in_dns("mx.x.example", [2, 0, 0], |c: &Certified| c.authority.clone(), true)]
#[case::authority_for_another("other.example", [2, 0, 1], |c: &Certified| sha256(&c.authority), false)]
#[case::another_key("mx.x.example", [3, 1, 1], |_: &Certified| vec![7; 32], false)]
#[case::another_authority("mx.x.example", [2, 0, 1], |_: &Certified| vec![7; 32], false)]
#[case::unusable_only("other.example", [1, 1, 1], |_: &Certified| vec![7; 32], true)]
#[tokio::test(start_paused = true)]
async fn mail_goes_only_to_the_host_that_the_records_stand_for(
    #[case] name: &str,
    #[case] kind: [u8; 3],
    #[case] data: fn(&Certified) -> Vec<u8>,
    #[case] goes: bool,
) {
    let certified = certify(name);
    let world = signed(&certified);
    world.names(|zone| zone.tlsa("mx.x.example", kind, &data(&certified)));
    let relay = submitted(&world).await;
    assert_eq!(delivered_over_tls(&world), goes.then_some(true), "{}", log(&relay));
    if !goes {
        assert!(reason(&relay).starts_with("TLS with mx.x.example failed: "), "{}", reason(&relay));
        assert_eq!(world.when("mx.x.example", "MAIL"), [0; 0], "never in the clear");
    }
}

#[tokio::test(start_paused = true)]
async fn one_record_that_matches_is_enough() {
    let certified = certify("other.example");
    let world = signed(&certified);
    world.names(|zone| {
        zone.tlsa("mx.x.example", [3, 1, 1], &[7; 32]);
        zone.tlsa("mx.x.example", [3, 1, 1], &sha256(&certified.key));
    });
    let _relay = submitted(&world).await;
    assert_eq!(delivered_over_tls(&world), Some(true));
}

#[rstest]
#[case::nothing_is_signed(&[])]
#[case::the_mx_is_not(&["mx.x.example", "_25._tcp.mx.x.example"])]
#[case::the_host_is_not(&["x.example", "_25._tcp.mx.x.example"])]
#[case::the_tlsa_is_not(&["x.example", "mx.x.example"])]
#[tokio::test(start_paused = true)]
async fn what_nobody_vouches_for_asks_for_nothing(#[case] secure: &[&str]) {
    let certified = certify("other.example");
    let world = world(plain().with_tls(certified.tls.clone()));
    world.names(|zone| {
        zone.sign(secure);
        zone.tlsa("mx.x.example", [3, 1, 1], &[7; 32]);
    });
    let _relay = submitted(&world).await;
    assert_eq!(delivered_over_tls(&world), Some(true), "opportunistically");
}

/// RFC 7672 section 2.2.2: there are name servers that fail at TLSA; where the host is not vouched for, they are not asked.
#[rstest]
#[case::nothing_is_signed(&[], true)]
#[case::the_mx_is_not(&["mx.x.example"], true)]
#[case::the_host_is_not(&["x.example"], true)]
#[case::both_are(&["x.example", "mx.x.example"], false)]
#[tokio::test(start_paused = true)]
async fn records_are_not_even_looked_for_where_nobody_vouches_for_the_host(
    #[case] secure: &[&str],
    #[case] goes: bool,
) {
    let world = world(plain());
    world.names(|zone| {
        zone.sign(secure);
        zone.broken.insert("_25._tcp.mx.x.example".to_owned());
    });
    let _relay = submitted(&world).await;
    assert_eq!(delivered_over_tls(&world), goes.then_some(false));
}

/// Section 2.1.1: that there are none is an answer, secure or not.
#[rstest]
#[tokio::test(start_paused = true)]
async fn records_that_do_not_exist_ask_for_nothing(
    #[values(true, false)] signed: bool,
    #[values(true, false)] name_exists: bool,
) {
    let world = world(plain());
    world.names(|zone| {
        zone.sign(&["x.example", "mx.x.example"]);
        if signed {
            zone.sign(&["_25._tcp.mx.x.example"]);
        }
        if name_exists {
            zone.nothing("_25._tcp.mx.x.example");
        }
    });
    let _relay = submitted(&world).await;
    assert_eq!(delivered_over_tls(&world), Some(false));
}

/// Section 2.2.3: the records may stand behind an alias; the chain must be vouched for to its end.
#[rstest]
#[case::all(&["_25._tcp.mx.x.example", "_25._tcp.shared.example"], true)]
#[case::the_alias_alone(&["_25._tcp.mx.x.example"], false)]
#[case::the_target_alone(&["_25._tcp.shared.example"], false)]
#[tokio::test(start_paused = true)]
async fn records_behind_an_alias_count_if_the_alias_does(#[case] secure: &[&str], #[case] heeded: bool) {
    let world = world(plain());
    world.names(|zone| {
        zone.sign(&["x.example", "mx.x.example"]);
        zone.sign(secure);
        zone.cname("_25._tcp.mx.x.example", "_25._tcp.shared.example");
        zone.tlsa("shared.example", [3, 1, 1], &[7; 32]);
    });
    let _relay = submitted(&world).await;
    assert_eq!(delivered_over_tls(&world), (!heeded).then_some(false), "the host has no TLS");
}

#[tokio::test(start_paused = true)]
async fn without_records_a_host_without_tls_gets_its_mail() {
    let world = world(plain());
    world.names(|zone| zone.sign(&["x.example", "mx.x.example"]));
    let _relay = submitted(&world).await;
    assert_eq!(delivered_over_tls(&world), Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_host_with_records_and_without_tls_gets_nothing() {
    let world = world(plain());
    world.names(|zone| {
        zone.sign(&["x.example", "mx.x.example", "_25._tcp.mx.x.example"]);
        zone.tlsa("mx.x.example", [1, 1, 1], &[7; 32]);
    });
    let relay = submitted(&world).await;
    assert_eq!(reason(&relay), "mx.x.example does not offer STARTTLS, which is required.");
}

/// Section 2.1.2.
#[tokio::test(start_paused = true)]
async fn a_host_whose_records_cannot_be_had_is_passed_over() {
    let certified = certify("mx.x.example");
    let world = with_second(signed(&certified), second());
    world.names(|zone| {
        zone.sign(&["mx2.x.example"]);
        zone.broken.insert("_25._tcp.mx.x.example".to_owned());
    });
    let relay = submitted(&world).await;
    assert_eq!(world.heard("mx.x.example"), [""; 0]);
    assert_eq!(recipients(&world, "mx2.x.example"), ["bob@x.example"], "{}", log(&relay));
}

#[tokio::test(start_paused = true)]
async fn a_mismatch_at_one_host_is_followed_by_the_next() {
    let certified = certify("mx.x.example");
    let world = with_second(signed(&certified), second());
    world.names(|zone| zone.tlsa("mx.x.example", [3, 1, 1], &[7; 32]));
    let _relay = submitted(&world).await;
    assert_eq!(recipients(&world, "mx2.x.example"), ["bob@x.example"]);
}

/// Section 2.2.2: the host behind a secure alias is asked for first, then the alias; behind an insecure one, only the alias.
#[rstest]
#[case::both_secure(&["mx.x.example", "real.example"], "real.example", true)]
#[case::alias_has_the_records(&["mx.x.example", "real.example"], "mx.x.example", true)]
#[case::target_is_insecure(&["mx.x.example"], "mx.x.example", true)]
#[case::target_is_insecure_and_has_them(&["mx.x.example"], "real.example", false)]
#[tokio::test(start_paused = true)]
async fn aliases_are_followed_as_far_as_they_are_vouched_for(
    #[case] secure: &[&str],
    #[case] base: &str,
    #[case] heeded: bool,
) {
    let certified = certify("other.example");
    let world = World::new();
    world.put(MX2, plain().with_tls(certified.tls.clone()));
    world.names(|zone| {
        zone.mx("x.example", 5, "alias.x.example");
        zone.cname("alias.x.example", "real.example");
        zone.a("real.example", MX2);
        let secure = secure.iter().map(|&name| if name == "mx.x.example" { "alias.x.example" } else { name });
        let tlsa = ["_25._tcp.alias.x.example", "_25._tcp.real.example"];
        zone.sign(&secure.chain(["x.example"]).chain(tlsa).collect::<Vec<_>>());
        let base = if base == "mx.x.example" { "alias.x.example" } else { base };
        zone.tlsa(base, [3, 1, 1], &[7; 32]);
    });
    let relay = submitted(&world).await;
    // The records match nothing: where they are heeded, nothing is delivered.
    assert_eq!(recipients(&world, "mx.x.example").is_empty(), heeded, "{}", log(&relay));
}

/// Catalogue: dane-mismatch. Never in the clear, however long it lasts.
#[tokio::test(start_paused = true)]
async fn after_the_mail_has_waited_for_its_lifetime_it_is_returned() {
    let certified = certify("mx.x.example");
    let world = signed(&certified);
    world.names(|zone| zone.tlsa("mx.x.example", [3, 1, 1], &[7; 32]));
    let relay = submitted(&world).await;
    world.pass(6 * 24 * 60).await;
    let [_, failure] = &*world.notifications() else { panic!("{}", log(&relay)) };
    assert_fields(&failure.content, &["Action: failed"]);
    assert_eq!(world.when("mx.x.example", "MAIL"), [0; 0]);
}
