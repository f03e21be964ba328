//! What a relay that has times of its own is excused from, and what not.

use std::time::Duration;

use mock_servers::script::{Glob, Range};
use mock_servers::transcript::{Close, Side};

use super::testing::{delivered, expecting, returned};
use super::{Outcome, judge};
use crate::record::testing::{Run, Talk, content, deferral, delivery, minutes, notice, relayed};
use crate::record::{OwnTime, Record};
use crate::scenario::{Check, Delivered, Level, RelaySettings, Returned, Scenario, Wire};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";

fn run() -> Run {
    Run::new().sent("note", &[BOB])
}

fn hub(ordinal: u32, at: mock_servers::RunTime) -> Talk {
    delivery("hub", ordinal, at, "note-1", &[BOB])
}

fn failed() -> Vec<u8> {
    notice("note-1", BOB, "failed", "5.1.1")
}

fn up_to<T>(to: T) -> Range<T> {
    Range { from: None, to: Some(to) }
}

/// A relay that cannot be told `retry first`, nor `end of data timeout`.
fn with_times_of_its_own(mut run: Run, own: bool) -> Record {
    let times = ["retry first", "end of data timeout"].map(|setting| OwnTime {
        setting: setting.to_owned(),
        why: format!("smtpd cannot be told `{setting}`: it is fixed"),
    });
    run.raw.relay.own_times = if own { times.to_vec() } else { Vec::new() };
    run.record()
}

fn as_asked(check: &Check, record: &Record) -> Outcome {
    let settings = RelaySettings {
        retry_first: Some(Duration::from_mins(30)),
        retry_at_most: Some(Duration::from_hours(4)),
        ..RelaySettings::default()
    };
    judge(&Scenario { relay: settings, ..expecting(Level::Should, check.clone()) }, record).outcome
}

fn within(range: Range<Duration>) -> Check {
    Check::Delivered(Delivered { within: Some(range), ..delivered("note") })
}

#[test]
fn what_hangs_on_times_that_the_relay_has_of_its_own_is_not_judged() {
    let own_times = |own: bool| {
        let put_off = run().talk(deferral("hub", 1, minutes(0), BOB, "451 4.7.1 later"));
        let put_off = put_off.queued(minutes(0), &[BOB], 1, Some(minutes(47)));
        with_times_of_its_own(put_off.talk(hub(2, minutes(47)).quit()).emptied(minutes(47)), own)
    };
    let soon = within(up_to(Duration::from_mins(40)));
    let Outcome::Unsupported { reason } = as_asked(&soon, &own_times(true)) else { panic!("it is judged") };
    assert!(reason.contains("smtpd cannot be told `retry first`: it is fixed"), "{reason}");
    assert!(!reason.contains("end of data"), "no reply was long in coming: {reason}");
    assert_eq!(as_asked(&soon, &own_times(false)), Outcome::Deviates);
    let in_time = within(up_to(Duration::from_mins(50)));
    assert_eq!(as_asked(&in_time, &own_times(true)), Outcome::Pass);
    let at_once = within(up_to(Duration::from_mins(30)));
    let broken = as_asked(&at_once, &own_times(true));
    assert_eq!(broken, Outcome::Deviates, "what the first attempt must do hangs on no wait after it");
    let elsewhere = Check::Delivered(Delivered {
        by: Some("backup".to_owned()),
        within: Some(up_to(Duration::from_mins(40))),
        ..delivered("note")
    });
    assert_eq!(
        as_asked(&elsewhere, &own_times(true)),
        Outcome::Deviates,
        "no schedule excuses the wrong server"
    );
}

#[test]
fn times_of_its_own_excuse_nothing_where_nothing_waited() {
    let late = with_times_of_its_own(run().talk(hub(1, minutes(7)).quit()), true);
    assert_eq!(as_asked(&within(up_to(Duration::from_mins(5))), &late), Outcome::Deviates);
}

#[test]
fn a_status_that_is_wrong_is_so_by_any_schedule() {
    let put_off = run().talk(deferral("hub", 1, minutes(0), BOB, "451 4.7.1 later"));
    let put_off = put_off.queued(minutes(0), &[BOB], 1, Some(minutes(7)));
    let returned_with = |status: &str| {
        let wanted = vec![Glob(status.to_owned())];
        let within = Some(up_to(Duration::from_mins(40)));
        Check::Returned(Returned { status: wanted, within, ..returned("note") })
    };
    let record =
        with_times_of_its_own(put_off.notified(1, minutes(47), &failed()).emptied(minutes(47)), true);
    assert_eq!(as_asked(&returned_with("5.3.4"), &record), Outcome::Deviates);
    assert!(matches!(as_asked(&returned_with("5.1.1"), &record), Outcome::Unsupported { .. }));
}

#[test]
fn a_reply_that_was_long_in_coming_hangs_on_the_timeout_for_it() {
    let at = |minute| delivery("hub", 1 + minute as u32, minutes(minute), "note-1", &[BOB]);
    let gives_up = Talk::server("hub", 1, minutes(0)).hello(&["8BITMIME"]).mail(ALICE, &[], "250 OK");
    let gives_up = gives_up.rcpt(BOB, &[], "250 OK").data_unanswered(&relayed(&content("note-1")));
    let gives_up = gives_up.at(minutes(5)).close(Side::Client, Close::Fin);
    let record = with_times_of_its_own(run().talk(gives_up).talk(at(12).quit()), true);
    let waits = within(Range { from: Some(Duration::from_mins(20)), to: None });
    let Outcome::Unsupported { reason } = as_asked(&waits, &record) else { panic!("it is judged") };
    assert!(reason.contains("smtpd cannot be told `end of data timeout`"), "{reason}");
    let mut by_timeout_alone = record;
    by_timeout_alone.relay.own_times.retain(|own| own.setting == "end of data timeout");
    let told = |timeout: Duration| {
        let settings = RelaySettings { end_of_data_timeout: Some(timeout), ..RelaySettings::default() };
        judge(&Scenario { relay: settings, ..expecting(Level::Should, waits.clone()) }, &by_timeout_alone)
            .outcome
    };
    assert!(matches!(told(Duration::from_mins(30)), Outcome::Unsupported { .. }));
    let ten = told(Duration::from_mins(10));
    assert_eq!(ten, Outcome::Deviates, "ten minutes every client waits (RFC 5321 section 4.5.3.2.6)");
}

#[test]
fn too_many_sessions_are_too_many_by_the_scenario_s_own_waits() {
    let sessions = |most| {
        Check::Wire(Wire { at: Some("hub".to_owned()), sessions: Some(up_to(most)), ..Wire::default() })
    };
    let mut often = run();
    for hour in 0..=24_u32 {
        let at = minutes(60 * u64::from(hour));
        often = often.talk(deferral("hub", 1 + hour, at, BOB, "451 4.7.1 later"));
    }
    let record = with_times_of_its_own(often.queued(minutes(1440), &[BOB], 25, Some(minutes(1500))), true);
    assert_eq!(as_asked(&sessions(4), &record), Outcome::Deviates);
    assert!(matches!(as_asked(&sessions(10), &record), Outcome::Unsupported { .. }));
}
