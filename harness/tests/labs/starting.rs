//! Relays that do not start, and what the author of their adapter is told.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use gauntlet::run::RunOptions;
use gauntlet::verdict::{self, Outcome};
use rstest::rstest;

use crate::{Own, SETTLE, START, assert_says, has_labs, note, parsed, printed};

#[rstest]
#[case::in_the_foreground("")]
#[case::that_forks_away("forks")]
fn a_relay_by_the_guide_passes(#[case] habit: &str) {
    if !has_labs() {
        return;
    }
    let own = Own::that(habit);
    let record = own.run(SETTLE, &RunOptions::default()).expect("it runs");
    let verdict = verdict::judge(&parsed(&note(SETTLE)), &record);
    assert_eq!(verdict.outcome, Outcome::Pass, "{verdict:#?}");
    assert_eq!((record.relay.name.as_str(), record.deliveries.len()), ("own-relay", 1));
    assert!(record.relay.version.starts_with("5."), "{}", record.relay.version);

    let output = own.command().output().expect("the command starts");
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
}

#[test]
fn one_that_ends_at_once_is_told_of_with_its_own_words() {
    if !has_labs() {
        return;
    }
    let own = Own::relay(&[
        "start: echo 'cannot read the table' >&2; echo 'the table is from 1999' >>/var/log/own.log; exit 1",
        "log: /var/log/own.log",
    ]);
    let output = own.command().output().expect("the command starts");
    assert_eq!(output.status.code(), Some(3), "{}", printed(&output));
    assert_says(
        &printed(&output),
        &[
            "the relay `own-relay` did not start",
            "it ended before it answered: exit status: 1",
            "it said:\n",
            "cannot read the table",
            "its log:\n",
            "the table is from 1999",
        ],
    );
}

#[test]
fn what_prepares_it_and_fails_is_told_of_with_its_words() {
    if !has_labs() {
        return;
    }
    for line in ["prepare: echo 'no such map' >&2; exit 9", "version: echo 'no such map' >&2; exit 9"] {
        let error = Own::relay(&[line]).run_in_haste(SETTLE).expect_err("it does not start").to_string();
        assert_says(&error, &["`own-relay` did not start", "ended with exit status: 9", "no such map"]);
    }
    let error =
        Own::relay(&["prepare: exec sleep 1000"]).run_in_haste(SETTLE).expect_err("it does not start");
    assert_says(&error.to_string(), &["`exec sleep 1000`: it still runs after 1s"]);
}

#[test]
fn one_that_greets_nobody_is_given_up() {
    if !has_labs() {
        return;
    }
    let told = |own: Own| own.run_in_haste(SETTLE).expect_err("it does not start").to_string();
    let silent = told(Own::that("never greets"));
    assert_says(&silent, &["it listens at 203.0.113.25:25, and greeted no caller for 1s"]);
    let idle = told(Own::relay(&["start: exec sleep 1000"]));
    assert_says(&idle, &["nobody listens at 203.0.113.25:25 after 1s: it listens nowhere"]);
}

#[rstest]
#[case::another_address("127.0.0.1:25")]
#[case::another_port("203.0.113.25:2525")]
fn one_that_listens_elsewhere_is_told_where(#[case] place: &str) {
    if !has_labs() {
        return;
    }
    let start = START.replace("{{ addresses[0] }}:25", place);
    let error = Own::relay(&[&start]).run_in_haste(SETTLE).expect_err("it does not start").to_string();
    assert_says(&error, &["nobody listens at 203.0.113.25:25 after 1s", &format!("it listens at {place}")]);
}

#[test]
fn a_misspelt_adapter_is_shown_with_carets() {
    let own = Own::relay(&["start: exec perl {{ smarthots }}"]);
    let output = own.command().output().expect("the command starts");
    assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
    assert_says(&printed(&output), &["own-relay.yaml:", "smarthots", "^^^", "did you mean `smarthost`?"]);
}

#[test]
fn one_that_is_not_here_is_told_with_the_command_that_brings_it() {
    let own = Own::relay(&["provides: /usr/sbin/own-relay-is-not-here"]);
    let told = || {
        let output = own.command().env("GAUNTLET_ROOTS", own.0.path()).output().expect("the command starts");
        assert_eq!(output.status.code(), Some(3), "{}", printed(&output));
        printed(&output)
    };
    assert_says(&told(), &["no /usr/sbin/own-relay-is-not-here on this machine", "`install:`"]);
    let text = std::fs::read_to_string(own.path()).expect("it was written");
    std::fs::write(own.path(), format!("install: {{ debian: [own-relay] }}\n{text}")).expect("written");
    assert_says(
        &told(),
        &[
            "no /usr/sbin/own-relay-is-not-here on this machine",
            "ci/relay-roots.sh ./own-relay.yaml",
            "as root",
        ],
    );
}

#[test]
fn who_lacks_the_right_is_told_which_and_how_to_get_it() {
    // Only one who has the rights can give them up.
    if !has_labs() {
        return;
    }
    let own = Own::that("");
    own.write(&note(SETTLE));
    // Where another user can read it, which a build's directory may not be.
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let program = own.0.path().join("gauntlet");
    std::fs::copy(env!("CARGO_BIN_EXE_gauntlet"), &program).expect("copied");
    open(&program, 0o755);
    open(own.0.path(), 0o755);
    let output = Command::new(&program)
        .args(["run", "--relay", "./own-relay.yaml", "note.yaml"])
        .current_dir(own.0.path())
        .env_remove("GAUNTLET_RELAY")
        .env_remove("TMPDIR")
        .uid(65534)
        .gid(65534)
        .output()
        .expect("the command starts");
    assert_eq!(output.status.code(), Some(3), "{}", printed(&output));
    assert_says(
        &printed(&output),
        &["the right SYS_ADMIN is missing", "run as root", "docker run --cap-add SYS_ADMIN"],
    );
}
