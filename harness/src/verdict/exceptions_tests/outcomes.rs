//! Expectations and outcomes.

use super::*;

#[test]
fn what_is_only_derived_does_not_outweigh_a_broken_expectation() {
    let wanted = expecting(Level::Must, Check::Delivered(delivered("note")));
    let verdict = judge(&wanted, &run().notified(1, minutes(1), &failed()).record());
    assert_eq!(verdict.outcome, Outcome::Violates);
    assert_eq!(rules_of(&verdict), ["expectation 1"]);
}

#[test]
fn one_way_that_does_not_apply_does_not_save_the_others() {
    let ways = vec![Check::Delivered(delivered("another")), Check::Delivered(delivered("note"))];
    let wanted = expecting(Level::Must, Check::AnyOf(ways));
    let verdict = judge(&wanted, &run().notified(1, minutes(1), &failed()).record());
    assert_eq!(verdict.results[0].state, State::Broken);
}

#[test]
fn a_refusal_may_be_for_now() {
    let talk = Talk::client("sender", 1, minutes(0)).hello(&[]).mail(ALICE, &[], "250 OK");
    let talk = talk.rcpt(BOB, &[], "451 later").quit();
    let record = Run::new().sent_by("note", ALICE, &[(BOB, &[])], talk, content("note-1")).record();
    let wanted = expecting(Level::Must, Check::Refused(Refused { of: of("note"), at: None, reply: None }));
    assert_eq!(judge(&wanted, &record).results[0].state, State::Held);
}
