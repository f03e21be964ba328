//! What is said over and over to many recipients, told by its first and its last.

use std::borrow::Cow;

use super::line::Line;

/// From as many repetitions on they are folded.
const MANY: usize = 8;

/// The longest piece whose repetitions are seen: a command, a rule that fires, a reply of two lines.
const LONGEST: usize = 4;

/// Lines that differ only in an address, one after the other or in turns, become the first, how many more, and the last.
/// Message content stays as it is.
pub(super) fn fold(lines: Vec<Line>) -> Vec<Line> {
    let shapes: Vec<Option<String>> = lines.iter().map(|line| shape(&line.text)).collect();
    let mut lines = lines.into_iter().map(Some).collect::<Vec<_>>();
    let mut folded = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let repeated = (1..=LONGEST).map(|length| (length, repetitions(&shapes[at..], length)));
        let Some((length, times)) = repeated.into_iter().find(|(_, times)| *times >= MANY) else {
            folded.extend(lines[at].take());
            at += 1;
            continue;
        };
        let last = at + length * (times - 1);
        folded.extend(lines[at..at + length].iter_mut().filter_map(Option::take));
        if let Some(line) = &lines[last] {
            let alike = if length == 1 { "it" } else { "these" };
            folded.push(Line::new(line.at, format!("   ({} more like {alike})", times - 2)));
        }
        folded.extend(lines[last..last + length].iter_mut().filter_map(Option::take));
        at = last + length;
    }
    folded
}

/// How often the first `length` lines come one after the other.
fn repetitions(shapes: &[Option<String>], length: usize) -> usize {
    let Some(first) = shapes.get(..length).filter(|first| first.iter().all(Option::is_some)) else {
        return 0;
    };
    shapes.chunks(length).take_while(|chunk| *chunk == first).count()
}

/// A line without the addresses in it; `None`: content, which is cut elsewhere.
fn shape(text: &str) -> Option<String> {
    if text.starts_with("C|") || text.starts_with("S|") {
        return None;
    }
    let words = text.split(' ').map(|word| match word.split_once('<') {
        Some((before, _)) => Cow::Owned(format!("{before}<>")),
        None if word.contains('@') => Cow::Borrowed("@"),
        None => Cow::Borrowed(word),
    });
    Some(words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use mock_servers::RunTime;

    use super::*;

    fn folded(lines: impl IntoIterator<Item = String>) -> Vec<String> {
        let lines = lines.into_iter().map(|text| Line::new(RunTime::ZERO, text)).collect();
        fold(lines).into_iter().map(|line| line.text).collect()
    }

    fn rcpt(n: usize) -> String {
        format!("C: RCPT TO:<u{n}@hub.example>")
    }

    #[test]
    fn many_recipients_one_after_the_other_are_told_by_the_first_and_the_last() {
        let lines = (1..=250).map(rcpt).chain(["C: DATA".to_owned()]);
        let told = folded(lines);
        assert_eq!(told, [rcpt(1), "   (248 more like it)".to_owned(), rcpt(250), "C: DATA".to_owned()]);
    }

    #[test]
    fn a_command_a_rule_and_a_reply_in_turns_are_one_piece() {
        let turn = |n| [rcpt(n), "*  rule 1 on RCPT".to_owned(), format!("S: 250 u{n}@hub.example OK")];
        let told = folded((1..=250).flat_map(turn));
        let expected: Vec<String> =
            turn(1).into_iter().chain(["   (248 more like these)".to_owned()]).chain(turn(250)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_reply_that_is_another_one_is_never_hidden() {
        let reply = |n| if n == 100 { "S: 550 5.1.1 No".to_owned() } else { "S: 250 2.1.5 OK".to_owned() };
        let told = folded((1..=250).map(reply));
        assert_eq!(
            told,
            [
                "S: 250 2.1.5 OK",
                "   (97 more like it)",
                "S: 250 2.1.5 OK",
                "S: 550 5.1.1 No",
                "S: 250 2.1.5 OK",
                "   (148 more like it)",
                "S: 250 2.1.5 OK"
            ]
        );
    }

    #[test]
    fn a_few_are_told_one_by_one_and_content_is_left_alone() {
        let few: Vec<String> = (1..MANY).map(rcpt).collect();
        assert_eq!(folded(few.clone()), few);
        let content = vec!["C| the same".to_owned(); 20];
        assert_eq!(folded(content.clone()), content);
    }
}
