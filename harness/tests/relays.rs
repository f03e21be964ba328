//! The relays that carry the world's mail, each from its own distribution package, in labs of their own: what they do in a
//! few scenarios, and that they do the same each time.
//!
//! Needs root, and the roots that `ci/relay-roots.sh` prepares. Where either is missing a test says so and is skipped; with
//! `GAUNTLET_REQUIRE_RELAYS=1` it fails.

#[path = "../lab-init/tests/common/ordinary.rs"]
mod ordinary;

use std::path::Path;
use std::time::Duration;

use gauntlet::record::{Ending, Record};
use gauntlet::relay::{self, Chosen};
use gauntlet::run::{self, RunError, RunOptions};
use gauntlet::scenario::{self, Scenario};
use gauntlet::verdict::Outcome;
use gauntlet::{render, verdict};
use rstest::rstest;

/// Why the relay cannot be run here.
fn missing(name: &str) -> Option<String> {
    let why = match relay::choose(name).expect("it comes with the harness") {
        Chosen::Embedded | Chosen::External(_) => panic!("{name} is to be one that is started here"),
        Chosen::Process(adapter) => relay::roots::root(&adapter)
            .err()
            .or_else(|| lab_init::check().err().map(|error| error.to_string()))?,
    };
    let required = std::env::var_os("GAUNTLET_REQUIRE_RELAYS").is_some_and(|value| value == "1");
    assert!(!required, "{name} is required, but {why}");
    eprintln!("skipped: {name}: {why}");
    Some(why)
}

fn load(name: &str) -> Scenario {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut scenarios = scenario::load(&root.join(format!("{name}.yaml")), &root)
        .unwrap_or_else(|mistakes| panic!("{name} cannot be read:\n{mistakes}"));
    scenarios.remove(0)
}

/// The story. The log's order among a relay's processes, and their numbers, are the system's.
fn told(record: &Record) -> String {
    render::story(record).split("\n== log").next().unwrap_or_default().to_owned()
}

/// What comes of it, in a word or with its reason, and the story.
fn run_on(scenario: &Scenario, relay: &str) -> (String, String) {
    match run::run(scenario, relay, &RunOptions::default()) {
        Ok(record) => {
            let outcome = match verdict::judge(scenario, &record).outcome {
                Outcome::Pass => "passes".to_owned(),
                Outcome::Deviates => "deviates".to_owned(),
                Outcome::Violates => "violates".to_owned(),
                Outcome::Unsupported { reason } => format!("unsupported: {reason}"),
                other => format!("{other:?}"),
            };
            (outcome, told(&record))
        }
        Err(RunError::Unsupported(reason)) => (format!("unsupported: {reason}"), String::new()),
        Err(error) => panic!("{} on {relay}: {error}", scenario.name),
    }
}

/// By the manuals: Postfix and Sendmail convert 8-bit content for a server that does not offer 8BITMIME; Exim's
/// `accept_8bitmime` says that it does not, and OpenSMTPD has no conversion.
#[rstest]
#[case("postfix", "passes")]
#[case("sendmail", "passes")]
#[case("exim", "violates")]
#[case("opensmtpd", "violates")]
fn a_server_without_8bitmime(#[case] relay: &str, #[case] expected: &str) {
    if missing(relay).is_some() {
        return;
    }
    let scenario = load("seeds/domino-8bitmime");
    let (outcome, story) = run_on(&scenario, relay);
    assert_eq!(outcome, expected, "{story}");
    for _ in 0..3 {
        assert_eq!(
            run_on(&scenario, relay),
            (outcome.clone(), story.clone()),
            "{relay} is to do the same again"
        );
    }
}

/// Days of an unmodified relay's life pass in seconds: a mail that nobody takes comes back to its sender when its time is over,
/// and the second time it is tried at the same moments.
#[rstest]
#[case("postfix")]
#[case("sendmail")]
#[case("exim")]
#[case("opensmtpd")]
fn days_pass_in_seconds(#[case] relay: &str) {
    if missing(relay).is_some() {
        return;
    }
    let scenario = load("queue/expiry");
    let run = || run::run(&scenario, relay, &RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let record = run();
    assert_eq!(record.end.how, Ending::Finished, "{relay}");
    assert!(record.end.at.since_start() >= Duration::from_hours(24), "{relay} ended at {}", record.end.at);
    let schedule = |record: &Record| {
        let mut times: Vec<_> =
            record.sessions.iter().map(|session| (session.mock.clone(), session.opened)).collect();
        times.sort();
        times
    };
    assert!(schedule(&record).len() > 5, "{relay}: {:?}", schedule(&record));
    assert_eq!(schedule(&run()), schedule(&record), "{relay} is to do the same again");
}

/// By the manuals: Courier converts 8-bit content; dma and nullmailer take mail by a command alone, which has no word for BODY=; chasquid
/// relays for those with a password alone, and lives by the machine's clock.
#[rstest]
#[case("courier", "seeds/domino-8bitmime-enabled", "delivered")]
#[case("courier", "queue/expiry", "returned")]
#[case("dma", "seeds/non-fqdn-banner", "delivered")]
#[case("dma", "seeds/domino-8bitmime", "no word for 8BITMIME")]
#[case("dma", "intake/untrusted-sender", "listens nowhere")]
#[case("nullmailer", "seeds/non-fqdn-banner", "relay-only mail transport agent")]
#[case("nullmailer", "seeds/auth-rejected-smarthost", "retried after waits of 30m, 1h, 2h")]
#[case("chasquid", "seeds/non-fqdn-banner", "delivered")]
#[case("chasquid", "seeds/ehlo-trailing-dot", "with a password alone")]
#[case("chasquid", "queue/back-after-a-day", "no virtual clock")]
fn what_becomes_of_mail(#[case] relay: &str, #[case] scenario: &str, #[case] expected: &str) {
    if missing(relay).is_some() {
        return;
    }
    let scenario = load(scenario);
    let told = match run::run(&scenario, relay, &RunOptions::default()) {
        Ok(record) => render::brief(&record),
        Err(RunError::Unsupported(reason)) => reason.to_string(),
        Err(error) => panic!("{} on {relay}: {error}", scenario.name),
    };
    assert!(told.contains(expected), "{} on {relay}: {told}", scenario.name);
}

/// Without root, from roots that an ordinary user has made: `GAUNTLET_USER_ROOTS` says where they are.
#[rstest]
#[case("postfix")]
#[case("sendmail")]
#[case("exim")]
#[case("opensmtpd")]
fn an_ordinary_user_runs_it(#[case] relay: &str) {
    let name = std::thread::current().name().map(str::to_owned).expect("a test's thread has its name");
    if !ordinary::is_ordinary(&name) {
        return;
    }
    let root = std::env::var_os("GAUNTLET_USER_ROOTS").map(|roots| Path::new(&roots).join(relay));
    let Some(root) = root.filter(|root| root.exists()) else {
        let required = std::env::var_os("GAUNTLET_REQUIRE_USER_LABS").is_some_and(|value| value == "1");
        assert!(!required || relay != "postfix", "postfix is required, and GAUNTLET_USER_ROOTS has none");
        eprintln!("skipped: {relay}: GAUNTLET_USER_ROOTS has no root of it that an ordinary user has made");
        return;
    };
    if missing(relay).is_some() {
        return;
    }
    let (outcome, story) = run_on(&load("seeds/ehlo-refused-421"), relay);
    assert_eq!(outcome, "passes", "{}: {story}", root.display());
}

/// What a relay cannot be told is a reason, in its manual's words.
#[test]
fn what_a_relay_cannot_be_told_is_unsupported() {
    if missing("opensmtpd").is_some() {
        return;
    }
    let (outcome, _) = run_on(&load("seeds/auth-rejected-smarthost"), "opensmtpd");
    assert!(outcome.starts_with("unsupported: opensmtpd cannot be told"), "{outcome}");
}

/// Many labs at a time have the same addresses and do not meet.
#[test]
fn labs_run_side_by_side() {
    if missing("postfix").is_some() || missing("sendmail").is_some() {
        return;
    }
    let scenario = load("seeds/domino-8bitmime");
    std::thread::scope(|scope| {
        let runs: Vec<_> = ["postfix", "sendmail", "postfix", "sendmail"]
            .map(|relay| scope.spawn(|| run_on(&load(&scenario.name), relay).0))
            .into_iter()
            .collect();
        for run in runs {
            assert_eq!(run.join().expect("no panic"), "passes");
        }
    });
}
