//! Lines as they are told: cut, named, in an order that can be true.

use mock_servers::transcript::{Part, Side, What};

use super::story;
use crate::record::testing::{Run, Talk, minutes};

const ALICE: &str = "alice@origin.example";
const BOB: &str = "bob@hub.example";

fn side_by_side() -> Run {
    let mut run = Run::new();
    run.raw.relay.varies.side_by_side = true;
    run
}

#[test]
fn a_long_line_is_cut_behind_its_names_and_its_octets_are_told_where_none_varies() {
    let date = "Mon, 11 Jun 2001 12:00:00 +0000";
    let line = |before: usize, date: &str| format!("{}{date}{}", "x".repeat(before), " y".repeat(100));
    let told = |line: &str| {
        let talk = Talk::server("hub", 1, minutes(0)).s(&format!("220 {date}")).c(line);
        story(&Run::new().talk(talk).record())
    };
    let across_the_cut = told(&line(150, &format!(" {date}")));
    assert!(across_the_cut.contains(" <date +0s…\n"), "{across_the_cut}");
    assert!(!across_the_cut.contains("Mon, 11"), "{across_the_cut}");
    assert!(told(&line(0, "z")).contains("… (201 octets)\n"));
}

#[test]
fn a_piece_of_a_line_that_chunks_tear_is_not_told() {
    let content = b"Date: Mon, 11 Jun 2001 12:00:00 +0000\r\nSubject: x\r\n\r\nend";
    let mut talk = Talk::server("hub", 1, minutes(0)).hello(&["CHUNKING"]).mail(ALICE, &[], "250 OK");
    let (first, rest) = content.split_at(9);
    let chunk = |bytes: &[u8]| What::Bytes {
        from: Side::Client,
        bytes: bytes.to_vec(),
        tls: false,
        part: Part::Content,
    };
    talk = talk.c("BDAT 9").event(chunk(first)).s("250 OK");
    talk = talk.c(&format!("BDAT {} LAST", rest.len())).event(chunk(rest)).s("250 OK").quit();
    let told = story(&Run::new().talk(talk).record());
    assert!(told.contains("C: BDAT 9\n            C| … 9 octets of a line\n"), "{told}");
    assert!(
        told.contains("LAST\n            C| … 30 octets of a line\n            C| Subject: x\n"),
        "{told}"
    );
    assert!(told.contains("C| end\n"), "what the last one ends with is the end: {told}");
}

#[test]
fn quit_that_came_long_before_its_turn_has_no_time() {
    let talk = Talk::server("hub", 1, minutes(0)).s("220 hub").c("RSET").c("QUIT");
    let told = story(&side_by_side().talk(talk.at(minutes(9)).s("250 reset").s("221 bye")).record());
    assert!(
        told.contains(
            "+9m         S: 250 reset\n            C: QUIT (before the reply)\n            S: 221 bye\n"
        ),
        "{told}"
    );
}

#[test]
fn a_queue_that_tells_no_count_is_told_without() {
    let told = |attempts, from: &str| {
        let mut run = Run::new().sent("note", &[BOB]).queued(minutes(0), &[BOB], 0, Some(minutes(30)));
        let entry = &mut run.raw.queue.last_mut().unwrap().entries[0];
        entry.attempts = attempts;
        entry.from = from.to_owned();
        let told = story(&run.record());
        told.lines().find_map(|line| line.split_once(" queue: ")).map(|(_, text)| text.to_owned()).unwrap()
    };
    assert!(told(None, ALICE).ends_with("to bob@hub.example: next +30m: 451 later"));
    assert!(told(Some(0), ALICE).ends_with("to bob@hub.example: no attempt yet, next +30m: 451 later"));
    assert!(told(Some(0), "").ends_with("from <> to bob@hub.example: no attempt yet, next +30m"));
    assert!(told(Some(1), "").ends_with("1 attempt, next +30m: 451 later"));
}

#[test]
fn a_client_of_the_scenario_names_recipients_in_its_own_order() {
    let to = ["carol@hub.example", BOB];
    let mut run = side_by_side();
    run.raw.relay.varies.recipient_order = true;
    let told = story(&run.sent("note", &to).record());
    let at = |to: &str| told.find(&format!("C: RCPT TO:<{to}>")).unwrap();
    assert!(at(to[0]) < at(to[1]), "{told}");
}
