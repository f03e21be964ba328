//! What a rule lets pass, and what it does not let pass for all that: each exception of the rules by one example.

mod conservation;
mod content;
mod grounds;
mod notifications;
mod outcomes;
mod wire;

use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::transcript::{Close, Side};
use rstest::rstest;

use super::testing::{
    assert_found, assert_innocent, delivered, expecting, judge_with, of, rules, rules_of, scenario,
};
use super::{Outcome, State, judge};
use crate::record::testing::{
    Run, Talk, content, deferral, delivery, minutes, notice, notice_with, relayed, reply,
};
use crate::record::{Ending, Record, Role};
use crate::scenario::{Check, Level, Refused, Step, Tls};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";
const CAROL: &str = "carol@hub.example";
const INNOCENT: &[&str] = &[];

fn run() -> Run {
    Run::new().sent("note", &[BOB])
}

fn hub(ordinal: u32, at: RunTime) -> Talk {
    delivery("hub", ordinal, at, "note-1", &[BOB])
}

fn call(at: u64) -> Talk {
    Talk::server("hub", 1, minutes(at))
}

fn failed() -> Vec<u8> {
    notice("note-1", BOB, "failed", "5.1.1")
}

/// A submission to a relay that offers this.
fn sent_where(offered: &[&str], to: &[&str]) -> Run {
    let mut talk = Talk::client("sender", 1, minutes(0)).hello(offered).mail(ALICE, &[], "250 OK");
    for to in to {
        talk = talk.rcpt(to, &[], "250 OK");
    }
    let to: Vec<(&str, &[&str])> = to.iter().map(|to| (*to, &[][..])).collect();
    let content = content("note-1");
    Run::new().sent_by("note", ALICE, &to, talk.data(&content, "250 OK").quit(), content)
}
