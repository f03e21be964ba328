//! A relay's own author: a project elsewhere, with a program just built, an adapter and scenarios of its own; by the command, and by
//! `cargo test`.
//!
//! Needs labs; where there can be none it says so and is skipped, and fails with `GAUNTLET_REQUIRE_LABS=1`.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn has_labs() -> bool {
    match lab_init::check() {
        Ok(()) => true,
        Err(error) => {
            let required = std::env::var_os("GAUNTLET_REQUIRE_LABS").is_some_and(|value| value == "1");
            assert!(!required && error.is_missing_right(), "a lab is required, but {error}");
            eprintln!("skipped: {error}");
            false
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// The example, as somebody else's project: outside of this repository, with the versions of crates that are here already.
fn project(at: &Path) {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&ours.join("harness/examples/our-relay"), at);
    let manifest = std::fs::read_to_string(at.join("Cargo.toml")).unwrap();
    let path = format!("path = {:?}", ours.to_str().unwrap());
    assert!(manifest.contains("path = \"../../..\""));
    std::fs::write(at.join("Cargo.toml"), manifest.replace("path = \"../../..\"", &path)).unwrap();
    std::fs::copy(ours.join("Cargo.lock"), at.join("Cargo.lock")).unwrap();
}

/// Cargo in that project; what is built of this one is not built again.
fn cargo(project: &Path, arguments: &[&str]) -> Output {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_gauntlet"));
    let target = built.ancestors().nth(2).expect("target/debug/gauntlet").to_owned();
    Command::new(env!("CARGO"))
        .args(&arguments[..1])
        .args(["--offline", "--quiet"])
        .args(&arguments[1..])
        .current_dir(project)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[test]
fn a_project_of_its_own_tests_its_relay() {
    if !has_labs() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    project(at);

    // By the command, with what its adapter says was built.
    let gauntlet = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gauntlet"));
        command.current_dir(at).env_remove("GAUNTLET_RELAY").args(["run", "--relay", "./our-relay.yaml"]);
        command.output().unwrap()
    };
    let not_built = gauntlet();
    assert_eq!(not_built.status.code(), Some(3), "{}", told(&not_built));
    assert!(
        told(&not_built).contains("there is no ./target/debug/our-relay")
            && told(&not_built).contains("build it"),
        "{}",
        told(&not_built)
    );

    // By its own tests, with what Cargo has built.
    let tests = cargo(at, &["test", "--", "--nocapture"]);
    assert!(tests.status.success(), "{}", told(&tests));
    assert!(told(&tests).contains("retried every 30m, 3 times"), "{}", told(&tests));

    std::fs::create_dir_all(at.join("target/debug")).unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_gauntlet")).with_file_name("our-relay");
    std::fs::copy(built, at.join("target/debug/our-relay")).unwrap();
    let run = gauntlet();
    assert_eq!(run.status.code(), Some(0), "{}", told(&run));
    assert!(told(&run).contains("2 runs: 2 pass"), "{}", told(&run));

    // A test that is to fail tells the clause, and how to see more.
    let scenario = at.join("scenarios/plain.yaml");
    let text = std::fs::read_to_string(&scenario).unwrap();
    std::fs::write(
        &scenario,
        text.replace(
            "delivered: { message: note, by: hub }",
            "delivered: { message: note, by: hub, attempt: 2.. }\n    must: RFC 5321 section 4.5.4.1",
        ),
    )
    .unwrap();
    let tests = cargo(at, &["test"]);
    assert!(!tests.status.success());
    for words in [
        "1 of 2 runs failed",
        "VIOLATES plain on our-relay.yaml",
        "RFC 5321 section 4.5.4.1",
        "again: gauntlet run",
    ] {
        assert!(told(&tests).contains(words), "`{words}` is not in\n{}", told(&tests));
    }
}
