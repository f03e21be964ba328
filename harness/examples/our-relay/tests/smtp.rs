//! Our relay against mail servers of the field, and against our own scenarios.

use gauntlet::testing;

#[test]
fn our_relay_delivers() {
    let runs = testing::on("our-relay.yaml")
        .program(env!("CARGO_BIN_EXE_our-relay"))
        .scenarios("scenarios")
        .run();
    runs.assert_pass();
    for run in runs.iter() {
        // A project with the crate `insta` would have: insta::assert_snapshot!(run.file_name(), story).
        let story = run.story().expect("it was judged");
        println!("{}\n{story}", run.name());
    }
}
