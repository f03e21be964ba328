//! The command as its users meet it: what it prints, its exit codes, and what it leaves behind.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;
use tempfile::TempDir;

/// The clause that iis-5 breaks in the Domino scenario.
const DOMINO: &str = "Microsoft KB Q295734";

fn gauntlet(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the command starts")
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gauntlet"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("GAUNTLET_RELAY");
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// A directory with one scenario in it.
fn with_scenario(yaml: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("case.yaml");
    std::fs::write(&path, yaml).expect("written");
    (directory, path)
}

#[test]
fn every_scenario_passes_on_the_reference_relay_and_the_command_says_so() {
    let output = gauntlet(&["run"]);
    assert_eq!(code(&output), Some(0), "{}{}", stdout(&output), stderr(&output));
    let printed = stdout(&output);
    assert!(printed.contains("pass  seeds/"), "{printed}");
    assert!(
        printed.lines().last().is_some_and(|line| line.contains("runs: ") && line.contains(" pass")),
        "{printed}"
    );
}

#[test]
fn a_violation_is_told_with_clause_lines_and_how_to_run_it_again_and_ends_with_1() {
    let output = gauntlet(&["run", "--relay", "exchange-5.5", "scenarios/seeds/send-again.yaml"]);
    let printed = stdout(&output);
    assert_eq!(code(&output), Some(1), "{printed}{}", stderr(&output));
    for shown in [
        "VIOLATES",
        "RFC 5321 section",
        "│ ",
        "again: gauntlet run --relay exchange-5.5 scenarios/seeds/send-again.yaml --story",
    ] {
        assert!(printed.contains(shown), "{shown:?} is missing in\n{printed}");
    }
}

#[test]
fn a_deviation_alone_ends_with_0_and_with_1_when_strict() {
    let arguments = ["run", "--relay", "iis-5", "scenarios/seeds/domino-8bitmime.yaml"];
    let output = gauntlet(&arguments);
    assert_eq!(code(&output), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("1 deviates"), "{}", stdout(&output));
    let strict = gauntlet(&[&arguments[..], &["--strict"]].concat());
    assert_eq!(code(&strict), Some(1), "{}", stdout(&strict));
}

/// A folder with the Domino scenario and, with this clause, what iis-5 is known to fail there.
fn with_known_failure(clause: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/seeds/domino-8bitmime.yaml");
    std::fs::copy(seed, directory.path().join("domino.yaml")).expect("copied");
    let list = format!(
        "- relay: iis-5\n  scenario: domino\n  clause: {clause}\n  reason: it sends 8 bits or nothing\n  seen: [\"5.0\"]\n"
    );
    std::fs::write(directory.path().join("known-failures.yaml"), list).expect("written");
    let path = directory.path().join("domino.yaml").to_string_lossy().into_owned();
    (directory, path)
}

#[test]
fn a_known_failure_is_told_apart_with_its_reason_and_ends_with_0() {
    let (_directory, path) = with_known_failure(DOMINO);
    let output = gauntlet(&["run", "--strict", "--relay", "reference,iis-5", &path]);
    let printed = stdout(&output);
    assert_eq!(code(&output), Some(0), "{printed}{}", stderr(&output));
    let line = "known failure  domino  iis-5               it sends 8 bits or nothing";
    assert!(printed.contains(line), "{printed}");
    let row = printed.lines().find(|line| line.starts_with("domino")).unwrap_or_default();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["domino", "pass", "known"], "{printed}");
    assert!(printed.contains("2 runs: 1 pass, 1 known failure ("), "{printed}");
    assert!(!printed.contains("again:"), "{printed}");
    let story = stdout(&gauntlet(&["run", "--story", "--relay", "iis-5", &path]));
    assert!(story.contains("EHLO relay.origin.example") && story.contains("broken: should"), "{story}");
}

#[test]
fn what_is_not_known_is_still_held_against_the_relay() {
    let (_directory, path) = with_known_failure("RFC 5321 section 2.1");
    let output = gauntlet(&["run", "--strict", "--relay", "iis-5", &path]);
    assert_eq!(code(&output), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("1 run: 1 deviates ("), "{}", stdout(&output));
}

#[test]
fn a_known_failure_that_passes_is_an_error_and_ends_with_1() {
    let (directory, path) = with_known_failure(DOMINO);
    let list = directory.path().join("known-failures.yaml");
    let other = std::fs::read_to_string(&list).expect("read").replace("iis-5", "exchange-5.5");
    std::fs::write(&list, other).expect("written");
    let output = gauntlet(&["run", "--relay", "exchange-5.5", &path]);
    let printed = stdout(&output);
    assert_eq!(code(&output), Some(1), "{printed}{}", stderr(&output));
    for shown in [
        "PASSES NOW  domino  a known failure passes: remove it (",
        "known-failures.yaml:1)",
        "PASSES NOW domino on exchange-5.5: ",
        "1 run: 1 PASSES NOW (",
    ] {
        assert!(printed.contains(shown), "{shown:?} is missing in\n{printed}");
    }
}

#[test]
fn a_mistake_in_what_is_known_ends_with_2_and_says_where() {
    let (directory, path) = with_known_failure(DOMINO);
    let list = directory.path().join("known-failures.yaml");
    let wrong = std::fs::read_to_string(&list).expect("read").replace("domino", "domina");
    std::fs::write(&list, wrong).expect("written");
    let list = list.to_string_lossy().into_owned();
    for arguments in [["run", path.as_str()], ["check", path.as_str()], ["check", list.as_str()]] {
        let output = gauntlet(&arguments);
        assert_eq!(code(&output), Some(2), "{}", stdout(&output));
        let told = stderr(&output);
        for shown in ["known-failures.yaml:2:13", "there is no scenario `domina`", "did you mean `domino`?"] {
            assert!(told.contains(shown), "{shown:?} is missing in\n{told}");
        }
    }
}

#[test]
fn a_scenario_is_explained_with_clauses_and_without_being_run() {
    let output = gauntlet(&["explain", "scenarios/seeds/domino-8bitmime.yaml"]);
    let printed = stdout(&output);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    for shown in ["Microsoft KB Q295734", "lotus (mx.lotus.example)", "MUST", "RFC 6152 section 3"] {
        assert!(printed.contains(shown), "{shown:?} is missing in\n{printed}");
    }
    assert_eq!(code(&gauntlet(&["explain", "scenarios/nowhere.yaml"])), Some(2));
    assert_eq!(code(&gauntlet(&["explain"])), Some(2));
}

#[test]
fn several_relays_make_a_table() {
    let output = gauntlet(&[
        "run",
        "--relay",
        "reference",
        "--relay",
        "iis-5",
        "scenarios/seeds/domino-8bitmime.yaml",
    ]);
    let printed = stdout(&output);
    let row = printed.lines().find(|line| line.starts_with("  domino-8bitmime")).unwrap_or_default();
    assert_eq!(row.split_whitespace().skip(1).collect::<Vec<_>>(), ["pass", "deviates"], "{printed}");
}

#[test]
fn the_story_is_told_when_asked_for() {
    let output = gauntlet(&["run", "--story", "scenarios/seeds/domino-8bitmime.yaml"]);
    let printed = stdout(&output);
    assert!(printed.contains("EHLO relay.origin.example") && printed.contains("354 "), "{printed}");
}

#[test]
fn what_cannot_be_found_or_read_ends_with_2_and_says_what_and_where() {
    let missing = gauntlet(&["run", "scenarios/no-such-file.yaml"]);
    assert_eq!(code(&missing), Some(2));
    assert!(stderr(&missing).contains("scenarios/no-such-file.yaml"), "{}", stderr(&missing));

    let empty = tempfile::tempdir().expect("a directory");
    let nothing = gauntlet(&["run", &empty.path().to_string_lossy()]);
    assert_eq!(code(&nothing), Some(2));
    assert!(stderr(&nothing).contains("no *.yaml in"), "{}", stderr(&nothing));

    let (_directory, path) = with_scenario("title: Broken\nservers:\n  hub: { profil: rfc5321 }\n");
    for verb in ["run", "check"] {
        let broken = gauntlet(&[verb, &path.to_string_lossy()]);
        assert_eq!(code(&broken), Some(2), "{}", stderr(&broken));
        let told = stderr(&broken);
        for shown in ["case.yaml:3:10", "profil", "^", "did you mean `profile`"] {
            assert!(told.contains(shown), "{shown:?} is missing in\n{told}");
        }
    }
}

#[test]
fn a_template_runs_as_its_cases_or_as_the_one_that_is_asked_for() {
    let (_directory, path) = with_scenario(
        "title: \"{code} at {stage}\"\nfor each: { stage: [MAIL, RCPT], code: [550, 554] }\n\
         servers:\n  hub: { serves: [hub.example], on: { \"{stage}\": \"{code} 5.7.1 No\" } }\n\
         messages:\n  note: { from: a@origin.example, to: b@hub.example }\n\
         expect:\n  - delivered: {}\n",
    );
    let path = path.to_string_lossy();
    let all = gauntlet(&["run", &path]);
    for case in ["MAIL-550", "MAIL-554", "RCPT-550", "RCPT-554"] {
        let printed = stdout(&all);
        let again = format!("again: gauntlet run --relay reference {path} --case {case} --story");
        assert!(printed.contains(&format!("deviates  case/{case}")) && printed.contains(&again), "{printed}");
    }
    let one = gauntlet(&["run", "--case", "RCPT-554", &path]);
    let printed = stdout(&one);
    assert!(
        printed.contains("case/RCPT-554 on reference: 554 at RCPT") && printed.contains(" 1 deviates ("),
        "{printed}"
    );
    let none = gauntlet(&["run", "--case", "RCPT-555", &path]);
    assert_eq!(code(&none), Some(2));
    assert!(stderr(&none).contains("did you mean `RCPT-55"), "{}", stderr(&none));
}

#[test]
fn an_unknown_relay_ends_with_2_and_a_suggestion() {
    let output = gauntlet(&["run", "--relay", "exchnge-5.5"]);
    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("did you mean `exchange-5.5`?"), "{}", stderr(&output));
}

#[test]
fn a_wrong_option_ends_with_2() {
    assert_eq!(code(&gauntlet(&["run", "--relais", "x"])), Some(2));
}

#[test]
fn check_reads_everything_and_runs_nothing() {
    let output = gauntlet(&["check", "scenarios"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("no mistakes"), "{}", stdout(&output));
}

#[test]
fn editors_get_the_mistakes_as_json() {
    let (_directory, path) = with_scenario(
        "title: \"é {code}\"\nfor each: { code: [550, 750] }\n\
         servers:\n  hub: { serves: [hub.example], \"é\": 1, on: { RCPT: \"{code} No\" }, \"é\": 2 }\n\
         messages:\n  note: { from: a@origin.example, to: b@hub.example }\nexpect:\n  - delivered: {}\n",
    );
    let output = gauntlet(&["check", "--format", "json", &path.to_string_lossy()]);
    assert_eq!((code(&output), stderr(&output).as_str()), (Some(2), ""));
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one document");
    let list = told.as_array().expect("an array");
    assert_eq!(list.len(), 4, "{told}");
    let range = |line, from, to| serde_json::json!({ "start": { "line": line, "column": from }, "end": { "line": line, "column": to } });
    let unknown = &list[0];
    assert_eq!(unknown["file"], path.to_string_lossy().as_ref());
    assert_eq!(unknown["message"], "a server has no `é:`");
    assert_eq!((&unknown["range"], &unknown["label"]), (&range(4, 33, 36), &"unknown".into()));
    assert!(unknown["help"][0].as_str().is_some_and(|help| help.starts_with("known here: ")), "{told}");
    assert_eq!((&unknown["case"], &unknown["related"]), (&serde_json::Value::Null, &serde_json::json!([])));
    assert_eq!(list[1]["case"], "code=750");
    assert_eq!(list[1]["cases"], 1);
    assert_eq!(list[1]["range"], range(4, 53, 64));
    let twice = list.iter().find(|one| one["message"] == "the key is there twice: `é`").expect("told");
    assert_eq!(twice["range"], range(4, 68, 71));
    assert_eq!(
        twice["related"],
        serde_json::json!([{ "range": range(4, 33, 36), "message": "the first time" }])
    );

    let missing = gauntlet(&["check", "--format", "json", "scenarios/no-such-file.yaml"]);
    assert_eq!(code(&missing), Some(2));
    let told: serde_json::Value = serde_json::from_str(&stdout(&missing)).expect("one document");
    assert_eq!(told[0]["file"], "scenarios/no-such-file.yaml");
    assert_eq!(told[0]["range"], serde_json::Value::Null);

    let good = gauntlet(&["check", "--format", "json", "scenarios"]);
    assert_eq!((code(&good), stdout(&good).trim()), (Some(0), "[]"));
}

/// Every bad scenario of the tests: each mistake has a place inside its file, in the file's order, and twice the same.
#[test]
fn each_mistake_in_json_lies_inside_its_file() {
    let arguments = ["check", "--format", "json", "harness/tests/diagnostics"];
    let output = gauntlet(&arguments);
    assert_eq!((code(&output), stderr(&output).as_str()), (Some(2), ""));
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one document");
    let list = told.as_array().expect("an array");
    let mut before = (String::new(), (0, 0));
    let mut files = std::collections::BTreeSet::new();
    for one in list {
        let file = one["file"].as_str().expect("a file").to_owned();
        assert!(one["message"].as_str().is_some_and(|message| !message.is_empty()), "{one}");
        assert!(one["label"].is_string() && one["help"].is_array() && one["related"].is_array(), "{one}");
        assert!(one["case"].is_null() || one["cases"].is_u64(), "{one}");
        let octets = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect("it is there");
        let text = String::from_utf8_lossy(&octets);
        let lines: Vec<&str> = text.split('\n').collect();
        let inside = |range: &serde_json::Value| {
            let place = |end: &str| {
                let number = |of: &str| range[end][of].as_u64().expect("a number") as usize;
                let (line, column) = (number("line"), number("column"));
                assert!((1..=lines.len()).contains(&line), "{one}");
                assert!((1..=lines[line - 1].chars().count() + 1).contains(&column), "{one}");
                (line, column)
            };
            assert!(place("start") <= place("end"), "{one}");
            place("start")
        };
        let start = if one["range"].is_null() { (0, 0) } else { inside(&one["range"]) };
        for related in one["related"].as_array().into_iter().flatten() {
            assert!(related["message"].is_string(), "{one}");
            inside(&related["range"]);
        }
        let here = (file.clone(), start);
        assert!(before <= here, "{here:?} after {before:?}");
        before = here;
        files.insert(file);
    }
    let all = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/tests/diagnostics"));
    assert_eq!(files.len(), all.expect("a folder").count(), "each file has a mistake");
    assert_eq!(stdout(&gauntlet(&arguments)), stdout(&output));
}

/// Columns are characters, whatever their width and however many octets or UTF-16 units they have; the first line is not
/// shifted by a byte order mark, nor is any by CRLF.
#[rstest]
#[case::beyond_the_basic_plane("title: x\nservers: { \"\u{1F600}\u{1F600}\": 1, hub: { profil: x } }\n", (2, 28))]
#[case::combining("title: \"e\u{301}\"\nservers: { hub: { profil: x } }\n", (2, 19))]
#[case::carriage_returns("title: x\r\nservers:\r\n  hub: { profil: x }\r\n", (3, 10))]
#[case::byte_order_mark("\u{FEFF}titel: x\n", (1, 1))]
#[case::byte_order_mark_and_carriage_return("\u{FEFF}titel: x\r\n", (1, 1))]
#[case::tab_in_a_text("title: \"a\tb\"\nservers: { \"a\tb\": 1, hub: { profil: x } }\n", (2, 29))]
fn columns_in_json_are_characters(#[case] text: &str, #[case] place: (u64, u64)) {
    let (_directory, path) = with_scenario(text);
    let output = gauntlet(&["check", "--format", "json", &path.to_string_lossy()]);
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one document");
    let unknown = |one: &&serde_json::Value| one["label"] == "unknown";
    let found = told.as_array().and_then(|list| list.iter().find(unknown)).expect("the misspelt key is told");
    let (start, end) = (&found["range"]["start"], &found["range"]["end"]);
    assert_eq!((start["line"].as_u64(), start["column"].as_u64()), (Some(place.0), Some(place.1)), "{told}");
    let misspelt = if place.1 == 1 { "titel" } else { "profil" };
    assert_eq!(end["column"].as_u64(), Some(place.1 + misspelt.len() as u64), "{told}");
}

#[test]
fn the_relays_are_listed() {
    let printed = stdout(&gauntlet(&["relays"]));
    for name in
        ["reference", "iis-5", "mcis", "exchange-2000", "exchange-5.5", "exchange-2000-auth", "haraka-2.0"]
    {
        assert!(printed.lines().any(|line| line.starts_with(name)), "{name} is missing in\n{printed}");
    }
}

/// Of real relays the list has their adapters' line, and where they are: in roots of the test's own, with or without a record.
#[test]
fn real_relays_are_listed_with_where_they_are() {
    let roots = tempfile::tempdir().expect("a directory");
    let write = |file: &str, text: &str| {
        let path = roots.path().join(file);
        std::fs::create_dir_all(path.parent().expect("below the roots")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("postfix/usr/sbin/postfix", "");
    write(
        "postfix/etc/gauntlet-root",
        "recipe: 0\npackage: libsasl2-modules 2.1\npackage: postfix 3.7.11-0\n",
    );
    write("exim/usr/sbin/exim4", "");
    let output = command(&["relays"]).env("GAUNTLET_ROOTS", roots.path()).output().expect("it starts");
    let printed = stdout(&output);
    let root = roots.path().display();
    for line in [
        format!(
            "postfix              Postfix, as Debian 12 packages it (postfix 3.7.11-0 in {root}/postfix)"
        ),
        format!("exim                 Exim, as Debian 12 packages it (in {root}/exim)"),
    ] {
        assert!(printed.lines().any(|other| other == line), "{line:?} is missing in\n{printed}");
    }
}

/// An adapter in a directory of its own, of a relay that this file shows to be here.
fn with_adapter(provides: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("our-relay.yaml");
    let text = format!(
        "about: Ours\ninstall: {{ debian: [our-relay] }}\nprovides: {provides}\nversion: echo ours 1.2\n\
         start: exit 1\nqueue: {{ list: 'true' }}\n"
    );
    std::fs::write(&path, text).expect("written");
    (directory, path.to_string_lossy().into_owned())
}

#[test]
fn the_doctor_tells_what_is_here_and_ends_with_0_where_nothing_else_was_asked_for() {
    let output = gauntlet(&["doctor"]);
    let printed = stdout(&output);
    assert_eq!(code(&output), Some(0), "{printed}{}", stderr(&output));
    for name in [
        "a lab",
        "overlayfs",
        "exim",
        "opensmtpd",
        "postfix",
        "sendmail",
        "mmdebstrap",
        "can be run here: reference",
    ] {
        assert!(printed.contains(name), "{name} is missing in\n{printed}");
    }
    let json = gauntlet(&["doctor", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&stdout(&json)).expect("one document");
    let lab = told.as_array().and_then(|all| all.iter().find(|one| one["name"] == "a lab")).expect("told");
    assert_eq!(lab["state"] == "ok", lab_init::check().is_ok(), "{told}");
}

#[test]
fn a_relay_that_the_doctor_finds_ends_with_0_and_one_that_is_nowhere_with_1() {
    let (_directory, nowhere) = with_adapter("/nowhere/our-relay");
    let output = gauntlet(&["doctor", &nowhere]);
    assert_eq!(code(&output), Some(1), "{}{}", stdout(&output), stderr(&output));
    for shown in [format!("→ sudo ci/relay-roots.sh {nowhere}"), "cannot be run: our-relay".to_owned()] {
        assert!(stdout(&output).contains(&shown), "{shown} is missing in\n{}", stdout(&output));
    }
    let (_directory, here) = with_adapter("/bin/sh");
    let output = gauntlet(&["doctor", &here]);
    // On a machine without labs it cannot be run, wherever it is.
    let labs_work = lab_init::check().is_ok();
    assert_eq!(code(&output), Some(i32::from(!labs_work)), "{}{}", stdout(&output), stderr(&output));
    let version = if labs_work { "ours 1.2, " } else { "" };
    let line = format!("our-relay    {version}as it is installed on this machine");
    assert!(stdout(&output).contains(&line), "{line} is missing in\n{}", stdout(&output));
}

#[test]
fn the_doctor_knows_no_unknown_relay_and_ends_with_2() {
    let output = gauntlet(&["doctor", "postfx"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (Some(2), ""));
    assert!(stderr(&output).contains("did you mean `postfix`?"), "{}", stderr(&output));
    let (directory, path) = with_adapter("/bin/sh");
    std::fs::write(directory.path().join("our-relay.yaml"), "abuot: x\n").expect("written");
    let output = gauntlet(&["doctor", &path]);
    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("our-relay.yaml:1:1"), "{}", stderr(&output));
}

/// A lab that the system refuses sockets to is an error of its own, not a verdict about a relay.
#[cfg(unix)]
#[test]
fn a_lab_that_cannot_be_built_ends_with_3_and_says_why() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 11 && exec \"$0\" run --jobs 1 scenarios/seeds/domino-8bitmime.yaml"])
        .arg(env!("CARGO_BIN_EXE_gauntlet"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("sh starts");
    assert_eq!(code(&output), Some(3), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("Too many open files"), "{}{}", stdout(&output), stderr(&output));
}

#[cfg(unix)]
#[rstest]
#[case::ctrl_c("INT")]
#[case::terminated("TERM")]
#[case::hung_up("HUP")]
fn a_signal_ends_with_130_and_leaves_nothing_behind(#[case] name: &str) {
    let (scratch, mut child) = long_run();
    signal(&child, name);
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));
    assert_eq!(entries(scratch.path()), 0, "files of the run are left");
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_gone_is_no_mistake_and_a_full_disk_is() {
    let shell = |script: &str| {
        Command::new("bash")
            .args(["-c", script, env!("CARGO_BIN_EXE_gauntlet")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("GAUNTLET_RELAY")
            .output()
            .expect("bash starts")
    };
    let piped = shell("\"$0\" run --story | head -n 1 >/dev/null; exit ${PIPESTATUS[0]}");
    assert_eq!(code(&piped), Some(0), "{}", stderr(&piped));
    assert!(!stderr(&piped).contains("panicked"), "{}", stderr(&piped));
    if Path::new("/dev/full").exists() {
        for verb in ["run", "run --story", "check", "relays", "doctor"] {
            let full = shell(&format!("\"$0\" {verb} >/dev/full"));
            assert_eq!(code(&full), Some(3), "{verb}: {}", stderr(&full));
            assert!(stderr(&full).contains("cannot write the report"), "{verb}: {}", stderr(&full));
        }
    }
}

/// SIGKILL leaves the run no time to take its files away; whoever comes next does, and touches nothing else.
#[cfg(unix)]
#[test]
fn what_a_killed_command_left_is_taken_away_by_the_next_one() {
    let (scratch, mut child) = long_run();
    let short = || {
        let output = command(&["run", "scenarios/seeds/domino-8bitmime.yaml"])
            .env("TMPDIR", scratch.path())
            .output()
            .expect("the command starts");
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    };
    short();
    assert_eq!(entries(scratch.path()), 1, "the other command still runs, and keeps its files");
    signal(&child, "KILL");
    child.wait().expect("it ends");
    assert_eq!(entries(scratch.path()), 1, "nobody was left to take them away");
    std::fs::create_dir(scratch.path().join("gauntlet-plans")).expect("somebody else's");
    short();
    assert_eq!(entries(scratch.path()), 1, "files of the killed run are left");
    assert!(scratch.path().join("gauntlet-plans").exists());
}

/// A disk that is full, at the start or halfway, is nobody's breach. The disk is a tiny one of the test's own, in a
/// namespace of its own.
#[cfg(target_os = "linux")]
#[rstest]
#[case::at_the_start("nr_inodes=1", "make a directory for the run")]
#[case::before_the_relay_starts("nr_inodes=4", "No space left on device")]
#[case::halfway("size=256k", "keep the relay's files in")]
fn a_full_disk_under_the_run_ends_with_3_and_says_so(#[case] disk: &str, #[case] told: &str) {
    let namespaces = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !namespaces.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no file system can be mounted here: {namespaces:?}");
        return;
    }
    let (place, path) = with_scenario(
        "title: A megabyte\n\
         servers:\n  hub: { serves: [hub.example] }\n\
         messages:\n  note: { from: a@origin.example, to: b@hub.example, content: { lines: 40000 } }\n\
         expect:\n  - delivered: { message: note, by: hub }\n",
    );
    let disk_is_at = place.path().join("disk");
    std::fs::create_dir(&disk_is_at).expect("a directory");
    let script = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" && TMPDIR=$2 \"$0\" run \"$3\"; code=$?; ls -A \"$2\" >&2; exit $code";
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_gauntlet"), disk])
        .args([&disk_is_at, &path])
        .env_remove("GAUNTLET_RELAY")
        .output()
        .expect("unshare starts");
    assert_eq!(code(&output), Some(3), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains(told), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stderr(&output), "", "something is left on the disk, or was complained of");
}

/// A run of some seconds, in a scratch directory of its own.
fn long_run() -> (TempDir, Child) {
    let scratch = tempfile::tempdir().expect("a directory");
    let (directory, path) = with_scenario(
        "title: Many copies\n\
         servers:\n  hub: { serves: [hub.example] }\n\
         messages:\n  note: { from: a@origin.example, to: b@hub.example, copies: 20000 }\n\
         expect:\n  - delivered: { message: note, by: hub }\n",
    );
    let child = command(&["run", &path.to_string_lossy()])
        .env("TMPDIR", scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    // Read at the start of the run; the child waits for nothing else in there.
    wait_until("the run has begun", || entries(scratch.path()) > 0);
    drop(directory);
    (scratch, child)
}

fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal was not sent");
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited 20 s until {what}");
        std::thread::yield_now();
    }
}
