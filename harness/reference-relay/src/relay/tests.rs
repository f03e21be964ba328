//! The whole relay, in a small world: each test says what hosts do, and looks at what comes of it.

mod chunks;
mod dane;
mod delivers;
mod full_disk;
mod remembers;
mod returns;
mod secures;
mod survives;
mod takes;
mod utf8;
mod vintages;
mod waits;

use std::sync::atomic::{AtomicUsize, Ordering};

use rstest::rstest;

use super::*;
use crate::config::{Auth, AuthScope, Host as NextHop, Mechanism, Route, TlsPolicy};
use crate::queue::RecipientState;
use crate::testing::{Delivered, Early, Host, Say, World, ids};

const MX: [u8; 4] = [198, 51, 100, 7];
const MX2: [u8; 4] = [198, 51, 100, 17];
/// Where the relay itself listens.
const RELAY: [u8; 4] = [198, 51, 100, 1];

/// A world in which `mx.x.example` is `host`.
fn world(host: Host) -> World {
    let world = World::new();
    world.put(MX, host);
    world
}

fn plain() -> Host {
    Host::new("mx.x.example")
}

/// Adds `mx2.x.example`, which is preferred less.
fn with_second(world: World, host: Host) -> World {
    world.names(|zone| {
        zone.mx("x.example", 20, "mx2.x.example");
        zone.a("mx2.x.example", MX2);
    });
    world.put(MX2, host);
    world
}

fn second() -> Host {
    Host::new("mx2.x.example")
}

/// Each recipient of each mail that came to `host`.
fn recipients(world: &World, host: &str) -> Vec<String> {
    world.delivered().into_iter().filter(|mail| mail.host == host).flat_map(|mail| mail.recipients).collect()
}

/// The commands that a host heard.
fn commands(world: &World, host: &str) -> Vec<String> {
    world.heard(host).into_iter().filter(|line| !line.starts_with("> ")).collect()
}

fn log(relay: &Relay) -> String {
    relay.log().into_iter().map(|line| line.text + "\n").collect()
}

/// Why the only recipient of the only message waits.
fn reason(relay: &Relay) -> String {
    match relay.queue().as_slice() {
        [entry] => match entry.recipients.as_slice() {
            [only] => match &only.state {
                RecipientState::Deferred { reason, .. } => reason.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}\n{}", log(relay)),
    }
}

/// The only notification.
fn notification(world: &World) -> Delivered {
    match world.notifications().as_slice() {
        [only] => only.clone(),
        other => panic!("{} notifications: {other:#?}", other.len()),
    }
}

fn assert_fields(content: &str, fields: &[&str]) {
    for field in fields {
        assert!(content.contains(&format!("\r\n{field}\r\n")), "no {field} in\n{content}");
    }
}

/// True the first `n` times.
fn first(n: usize) -> impl Fn() -> bool {
    let calls = AtomicUsize::new(0);
    move || calls.fetch_add(1, Ordering::Relaxed) < n
}
