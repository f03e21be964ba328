use std::path::{Path, PathBuf};

use rstest::rstest;
use tempfile::TempDir;

use super::*;
use crate::scenario;
use crate::verdict::Finding;

const RELAYS: [&str; 3] = ["exim", "postfix", "reference"];
const CLAUSE: &str = "RFC 5321 section 6.1";
const OTHER: &str = "RFC 6152 section 3";

/// A folder with a scenario, `seeds/note`, and a template, `seeds/refused`, of the cases `RCPT` and `DATA`.
fn collection(list: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap().join("scenarios");
    std::fs::create_dir_all(root.join("seeds")).unwrap();
    let rest = "servers:\n  hub: { serves: [hub.example] }\n\
                messages:\n  note: { from: a@origin.example, to: b@hub.example }\nexpect: [{ delivered: {} }]\n";
    std::fs::write(root.join("seeds/note.yaml"), format!("title: A note\n{rest}")).unwrap();
    let rules = rest.replace("] }\nmess", "], on: { \"{at}\": \"550 No\" } }\nmess");
    let template = format!("title: \"No at {{at}}\"\nfor each: {{ at: [RCPT, DATA] }}\n{rules}");
    std::fs::write(root.join("seeds/refused.yaml"), template).unwrap();
    std::fs::write(root.join(KNOWN_FAILURES), list).unwrap();
    (directory, root)
}

fn entry(relay: &str, scenario: &str, clause: &str) -> String {
    format!(
        "- relay: {relay}\n  scenario: {scenario}\n  clause: {clause}\n  reason: it never did\n  seen: [\"3.7.11\"]\n"
    )
}

/// What is said of a list.
fn mistakes(list: &str) -> String {
    let (_directory, root) = collection(list);
    let (_, wrong) = KnownFailures::above(&[root.join("seeds/note.yaml")], &RELAYS);
    wrong.iter().map(ToString::to_string).collect()
}

fn case(root: &Path, file: &str, case: Option<&str>) -> Scenario {
    let scenarios = scenario::load(&root.join(file), root).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    scenarios.into_iter().find(|one| one.case.as_deref() == case).unwrap()
}

fn verdict(outcome: Outcome, findings: &[(Severity, &str)]) -> Verdict {
    let finding = |(severity, clause): &(Severity, &str)| Finding {
        severity: *severity,
        rule: "expectation 1".to_owned(),
        it: "delivers it".to_owned(),
        clause: (*clause).to_owned(),
        why: "it did not".to_owned(),
        evidence: Vec::new(),
    };
    let findings = findings.iter().map(finding).collect();
    Verdict { outcome, findings, results: Vec::new(), observed: Vec::new() }
}

/// The outcome once the list is known, on postfix.
fn applied(
    list: &str,
    file: &str,
    name: Option<&str>,
    outcome: Outcome,
    findings: &[(Severity, &str)],
) -> Outcome {
    let (_directory, root) = collection(list);
    let (known, wrong) = KnownFailures::above(&[root.join(file)], &RELAYS);
    assert!(wrong.is_empty(), "{}", wrong[0]);
    let mut verdict = verdict(outcome, findings);
    known.apply(&case(&root, file, name), "postfix", &mut verdict);
    verdict.outcome
}

const NOTE: &str = "seeds/note.yaml";
const REFUSED: &str = "seeds/refused.yaml";

fn known() -> Outcome {
    Outcome::KnownFailure { reason: "it never did".to_owned() }
}

#[rstest]
#[case::scenario("seeds/note", NOTE, None, true)]
#[case::case_of_a_template("seeds/refused/RCPT", REFUSED, Some("RCPT"), true)]
#[case::all_cases("seeds/refused/*", REFUSED, Some("DATA"), true)]
#[case::one_of_a_list("[seeds/refused/*, seeds/note]", NOTE, None, true)]
#[case::all_cases_in_a_list("[seeds/refused/*, seeds/note]", REFUSED, Some("DATA"), true)]
#[case::not_in_the_list("[seeds/refused/DATA, seeds/note]", REFUSED, Some("RCPT"), false)]
#[case::another_case("seeds/refused/DATA", REFUSED, Some("RCPT"), false)]
#[case::another_scenario("seeds/note", REFUSED, Some("RCPT"), false)]
fn an_entry_is_about_what_it_names(
    #[case] listed: &str,
    #[case] file: &str,
    #[case] case: Option<&str>,
    #[case] is_known: bool,
) {
    for (outcome, severity) in
        [(Outcome::Violates, Severity::Violates), (Outcome::Deviates, Severity::Deviates)]
    {
        let list = entry("postfix", listed, CLAUSE);
        let found = applied(&list, file, case, outcome.clone(), &[(severity, CLAUSE)]);
        assert_eq!(found, if is_known { known() } else { outcome });
    }
}

#[test]
fn another_relay_is_not_excused() {
    let list = entry("exim", "seeds/note", CLAUSE);
    let found = applied(&list, NOTE, None, Outcome::Violates, &[(Severity::Violates, CLAUSE)]);
    assert_eq!(found, Outcome::Violates);
}

/// What the entries leave over is held against the relay, and as what it is.
#[rstest]
#[case::worse((Severity::Deviates, CLAUSE), (Severity::Violates, OTHER), Outcome::Violates)]
#[case::less((Severity::Violates, CLAUSE), (Severity::Deviates, OTHER), Outcome::Deviates)]
#[case::a_note((Severity::Violates, CLAUSE), (Severity::Note, OTHER), known())]
fn another_clause_is_not_excused(
    #[case] one: (Severity, &str),
    #[case] other: (Severity, &str),
    #[case] expected: Outcome,
) {
    let list = entry("postfix", "seeds/note", CLAUSE);
    let before = if one.0.min(other.0) == Severity::Violates { Outcome::Violates } else { Outcome::Deviates };
    assert_eq!(applied(&list, NOTE, None, before, &[one, other]), expected);
}

#[test]
fn several_entries_and_clauses_come_together() {
    let both = [(Severity::Violates, CLAUSE), (Severity::Deviates, OTHER)];
    let one = entry("postfix", "seeds/note", &format!("[{CLAUSE}, {OTHER}]"));
    assert_eq!(applied(&one, NOTE, None, Outcome::Violates, &both), known());
    let two = entry("postfix", "seeds/note", CLAUSE)
        + &entry("postfix", "seeds/note", OTHER).replace("never did", "has no time");
    let reason = "it never did; it has no time".to_owned();
    assert_eq!(applied(&two, NOTE, None, Outcome::Violates, &both), Outcome::KnownFailure { reason });
}

#[test]
fn a_known_failure_that_passes_is_told_with_its_place() {
    let told = |list: &str, file, case, outcome, findings: &[_]| match applied(
        list, file, case, outcome, findings,
    ) {
        Outcome::KnownFailurePasses { reason } => reason,
        other => panic!("{other:?}"),
    };
    let list = entry("postfix", "seeds/note", CLAUSE);
    let reason = told(&list, NOTE, None, Outcome::Pass, &[]);
    assert!(reason.starts_with("a known failure passes: remove it ("), "{reason}");
    assert!(reason.ends_with("scenarios/known-failures.yaml:1)"), "{reason}");
    // One of two is left over.
    let two = list + &entry("postfix", "seeds/note", OTHER);
    let reason = told(&two, NOTE, None, Outcome::Violates, &[(Severity::Violates, CLAUSE)]);
    assert!(reason.ends_with("known-failures.yaml:6)"), "{reason}");
    let all = entry("postfix", "seeds/refused/*", CLAUSE);
    let reason = told(&all, REFUSED, Some("RCPT"), Outcome::Pass, &[]);
    assert!(reason.contains("remove it, or name the cases that still fail ("), "{reason}");
    // Of a list the one that passes is named, in its own line; the others still are known.
    let list = entry("postfix", "\n  - seeds/refused/*\n  - seeds/note", CLAUSE);
    let reason = told(&list, NOTE, None, Outcome::Pass, &[]);
    assert!(reason.starts_with("a known failure passes: remove `seeds/note` ("), "{reason}");
    assert!(reason.ends_with("known-failures.yaml:4)"), "{reason}");
    let reason = told(&list, REFUSED, Some("DATA"), Outcome::Pass, &[]);
    assert!(reason.contains("remove `seeds/refused/*`, or name the cases"), "{reason}");
    assert!(reason.ends_with("known-failures.yaml:3)"), "{reason}");
    let found = applied(&list, REFUSED, Some("RCPT"), Outcome::Violates, &[(Severity::Violates, CLAUSE)]);
    assert_eq!(found, known());
}

#[rstest]
#[case::unsupported(Outcome::Unsupported { reason: "no".to_owned() })]
#[case::inconclusive(Outcome::Inconclusive { reason: "no".to_owned() })]
fn what_was_not_judged_stays_so(#[case] outcome: Outcome) {
    let list = entry("postfix", "seeds/note", CLAUSE);
    assert_eq!(applied(&list, NOTE, None, outcome.clone(), &[(Severity::Violates, CLAUSE)]), outcome);
}

/// The nearest list holds, and it names what lies below it.
#[test]
fn the_nearest_list_holds() {
    let (_directory, root) = collection(&entry("postfix", "seeds/note", CLAUSE));
    let nearer = root.join("seeds").join(KNOWN_FAILURES);
    std::fs::write(nearer, entry("exim", "note", CLAUSE)).unwrap();
    let (known, wrong) = KnownFailures::above(&[root.join(NOTE)], &RELAYS);
    assert!(wrong.is_empty(), "{}", wrong[0]);
    let note = case(&root, NOTE, None);
    assert_eq!((known.of(&note, "exim").len(), known.of(&note, "postfix").len()), (1, 0));
}

#[test]
fn an_adapter_is_known_by_its_file() {
    let (_directory, root) = collection(&entry("../relays/mine.yaml", "seeds/note", CLAUSE));
    let relays = root.parent().unwrap().join("relays");
    std::fs::create_dir(&relays).unwrap();
    std::fs::write(relays.join("mine.yaml"), "").unwrap();
    let (known, wrong) = KnownFailures::above(&[root.join(NOTE)], &RELAYS);
    assert!(wrong.is_empty(), "{}", wrong[0]);
    assert_eq!(known.of(&case(&root, NOTE, None), "mine").len(), 1);
}

#[rstest]
#[case::relay(&entry("postfx", "seeds/note", CLAUSE), &["there is no relay `postfx`", "known-failures.yaml:1:10", "did you mean `postfix`?"])]
#[case::adapter(&entry("./mine.yaml", "seeds/note", CLAUSE), &["there is no adapter", "told from the folder of this list"])]
#[case::reference(&entry("reference", "seeds/note", CLAUSE), &["the reference relay has no known failures", ":1:10"])]
#[case::scenario(&entry("postfix", "seeds/noet", CLAUSE), &["there is no scenario `seeds/noet`", ":2:13", "did you mean `seeds/note`?"])]
#[case::scenario_in_a_list(&entry("postfix", "[seeds/note, seeds/refuesd/*]", CLAUSE), &["there is no scenario `seeds/refuesd/*`", ":2:26"])]
#[case::no_scenario(&entry("postfix", "[]", CLAUSE), &["expected the name of a scenario, found a list", ":2:13"])]
#[case::twice_in_a_list(&entry("postfix", "[seeds/note, seeds/note]", CLAUSE), &["this failure is listed twice", ":2:26"])]
#[case::twice_in_lists(&(entry("postfix", "[seeds/note, seeds/refused/*]", CLAUSE) + &entry("postfix", "[seeds/refused/DATA, seeds/note]", CLAUSE)), &["this failure is listed twice", ":7:34"])]
#[case::case(&entry("postfix", "seeds/refused/RCTP", CLAUSE), &["`seeds/refused` has no case `RCTP`", "did you mean `RCPT`?"])]
#[case::no_cases(&entry("postfix", "seeds/note/*", CLAUSE), &["this file has no cases", "write `seeds/note`"])]
#[case::template(&entry("postfix", "seeds/refused", CLAUSE), &["`seeds/refused` is a template", "`seeds/refused/*` is all of its cases"])]
#[case::no_clause(&entry("postfix", "seeds/note", "[]"), &["expected the clause that is broken, found a list", ":3:11"])]
#[case::no_reason("- { relay: postfix, scenario: seeds/note, clause: x, seen: [\"1\"] }\n", &["a known failure needs `reason:`"])]
#[case::version("- { relay: postfix, scenario: seeds/note, clause: x, reason: why, seen: [3.7] }\n", &["put it in quotes: \"3.7\""])]
#[case::key("- { relay: postfix, scenario: seeds/note, clauses: x, reason: why, seen: [\"1\"] }\n", &["a known failure has no `clauses:`", "did you mean `clause`?"])]
#[case::mapping("relay: postfix\n", &["expected a list of known failures, found a mapping"])]
#[case::empty("", &["a list without entries is `[]`"])]
#[case::twice(&entry("postfix", "seeds/note", CLAUSE).repeat(2), &["this failure is listed twice", ":6:", "the first time"])]
fn a_mistake_is_told_where_it_is(#[case] list: &str, #[case] told: &[&str]) {
    let all = mistakes(list);
    for shown in told {
        assert!(all.contains(shown), "{shown:?} is missing in\n{all}");
    }
    assert_eq!(all.matches("error: ").count(), 1, "{all}");
}

#[test]
fn a_list_without_entries_is_no_mistake() {
    assert_eq!(mistakes("# Nothing is known.\n[]\n"), "");
}

/// What the reference of the language shows is what is read.
#[test]
fn the_example_of_the_reference_is_a_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").canonicalize().unwrap();
    let page = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let (_, section) = page.split_once("\n## Known failures\n").unwrap();
    let block = section.split("```").nth(1).unwrap().trim_start_matches("text");
    let entries = read::parse(block, Path::new("README.md"), &folder, &["opensmtpd"]);
    let entries = entries.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!((entries.len(), entries[0].clauses.len()), (1, 2));
}

/// The relay's way: it must show where it is named, and may show elsewhere.
#[test]
fn anywhere() {
    let list = entry("postfix", "seeds/note", CLAUSE).replace("  seen", "  anywhere: true\n  seen");
    let broken = [(Severity::Violates, CLAUSE)];
    let of = |file, case, outcome, findings: &[_]| applied(&list, file, case, outcome, findings);
    assert_eq!(of(NOTE, None, Outcome::Violates, &broken), known());
    assert!(matches!(of(NOTE, None, Outcome::Pass, &[]), Outcome::KnownFailurePasses { .. }));
    assert_eq!(of(REFUSED, Some("RCPT"), Outcome::Violates, &broken), known());
    assert_eq!(of(REFUSED, Some("RCPT"), Outcome::Pass, &[]), Outcome::Pass);
    let more = [(Severity::Violates, CLAUSE), (Severity::Deviates, OTHER)];
    assert_eq!(of(REFUSED, Some("RCPT"), Outcome::Violates, &more), Outcome::Deviates);
    let without = entry("postfix", "seeds/note", CLAUSE);
    assert_eq!(applied(&without, REFUSED, Some("RCPT"), Outcome::Violates, &broken), Outcome::Violates);
}
