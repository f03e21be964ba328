//! Recipients that a relay names in an order that it does not promise: told by name, with their replies.

use std::mem::take;

use super::line::Line;

/// What a line is to the recipients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// RCPT of the recipient with this number.
    Command(usize),
    /// Of the reply to it, with the rules that fired.
    Reply(usize),
    Other,
}

/// Brings recipients that stand side by side and fared alike into the order of their addresses. Those that were said at
/// another time, had another reply, or met a rule stay in their place: what came of whom is told as it was. Lines are those
/// of a session from its beginning.
pub(super) fn by_name(lines: Vec<Line>) -> Vec<Line> {
    let (parts, runs) = parts(&lines);
    let mut commands: Vec<Vec<Line>> = Vec::new();
    let mut replies: Vec<Vec<Line>> = Vec::new();
    let mut others: Vec<Option<Line>> = Vec::new();
    for (line, part) in lines.into_iter().zip(&parts) {
        let (list, number) = match part {
            Part::Command(number) => (&mut commands, *number),
            Part::Reply(number) => (&mut replies, *number),
            Part::Other => {
                others.push(Some(line));
                continue;
            }
        };
        others.push(None);
        list.resize_with(list.len().max(number + 1), Vec::new);
        list[number].push(line);
    }
    let mut now_stands = (0..commands.len()).collect::<Vec<_>>();
    let alike = |one: &usize, other: &usize| {
        let (one, other) =
            (&[&commands[*one][..], &replies[*one][..]], &[&commands[*other][..], &replies[*other][..]]);
        one.iter().zip(other).all(|(one, other)| fared_alike(one, other))
    };
    for run in runs {
        for alike in now_stands[run].chunk_by_mut(alike) {
            alike.sort_by_key(|number| commands[*number][0].text.to_ascii_lowercase());
        }
    }
    let mut out = Vec::new();
    for (part, other) in parts.iter().zip(others) {
        match part {
            Part::Command(number) => out.append(&mut take(&mut commands[now_stands[*number]])),
            // A reply of several lines stands where its first one did.
            Part::Reply(number) => {
                if let Some(reply) = replies.get_mut(now_stands[*number]) {
                    out.append(&mut take(reply));
                }
            }
            Part::Other => out.extend(other),
        }
    }
    out
}

/// Whether these lines say the same at the same time, addresses apart, and no rule is among them.
fn fared_alike(one: &[Line], other: &[Line]) -> bool {
    let words = |line: &Line| -> Vec<String> {
        let word = |word: &str| if word.contains('@') { "@".to_owned() } else { word.to_owned() };
        line.text.split(' ').map(word).collect()
    };
    let same = |(one, other): (&Line, &Line)| {
        one.at == other.at && !one.text.starts_with("*  rule ") && words(one) == words(other)
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

/// What each line is, and which recipients come one after the other. Each command, each content and each line of an exchange
/// has one reply, and the greeting answers none; where that does not hold, nothing is brought into an order.
fn parts(lines: &[Line]) -> (Vec<Part>, Vec<std::ops::Range<usize>>) {
    let mut parts = vec![Part::Other; lines.len()];
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let mut recipients = 0;
    let mut run_goes_on = false;
    // What waits for its reply: a recipient, or anything else; the greeting first.
    let mut waiting = std::collections::VecDeque::from([None]);
    let mut fired: Vec<usize> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let text = line.text.as_str();
        if let Some(command) = text.strip_prefix("C: ") {
            let is_rcpt = command.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("RCPT TO:"));
            if is_rcpt {
                parts[index] = Part::Command(recipients);
                match runs.last_mut().filter(|_| run_goes_on) {
                    Some(run) => run.end += 1,
                    None => runs.push(recipients..recipients + 1),
                }
            }
            waiting.push_back(is_rcpt.then_some(recipients));
            recipients += usize::from(is_rcpt);
            run_goes_on = is_rcpt;
        } else if text == "C| ." {
            waiting.push_back(None);
            run_goes_on = false;
        } else if text.starts_with("*  rule ") {
            fired.push(index);
        } else if let Some(reply) = text.strip_prefix("S: ") {
            let Some(answers) = waiting.front().copied() else {
                return (vec![Part::Other; lines.len()], Vec::new());
            };
            if let Some(number) = answers {
                take(&mut fired).into_iter().chain([index]).for_each(|at| parts[at] = Part::Reply(number));
            }
            fired.clear();
            if reply.as_bytes().get(3) != Some(&b'-') {
                waiting.pop_front();
            }
        }
    }
    // One that no reply came to cannot change places with one that was answered.
    let answered = |number: &usize| parts.contains(&Part::Reply(*number));
    runs.retain(|run| run.len() > 1 && run.clone().all(|number| answered(&number)));
    if runs.is_empty() {
        return (vec![Part::Other; lines.len()], Vec::new());
    }
    (parts, runs)
}

#[cfg(test)]
mod tests {
    use mock_servers::RunTime;

    use super::*;

    fn told(lines: &[&str]) -> Vec<String> {
        let line = |text: &&str| Line::new(RunTime::ZERO, (*text).to_owned());
        by_name(lines.iter().map(line).collect()).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn recipients_that_fared_alike_are_in_order_and_others_where_they_were() {
        let one = |to: &'static str, reply: &'static str| [to, reply];
        let begin = ["S: 220 hub", "C: HELO x", "S: 250 hub", "C: MAIL FROM:<>", "S: 250 ok"];
        let b = one("C: RCPT TO:<b@hub>", "S: 250 b@hub ok");
        let a = one("C: RCPT TO:<a@hub>", "S: 250 a@hub ok");
        let refused = one("C: RCPT TO:<0@hub>", "S: 550 no");
        let ruled = ["C: RCPT TO:<0@hub>", "*  rule 1 on RCPT", "S: 250 0@hub ok"];
        let end = ["C: DATA", "S: 354 go on"];
        let sorted = [&begin[..], &a, &b, &end].concat();
        assert_eq!(told(&[&begin[..], &b, &a, &end].concat()), sorted);
        assert_eq!(told(&sorted), sorted);
        for other in [&refused[..], &ruled] {
            let as_it_was = [&begin[..], &b, other, &a, &end].concat();
            assert_eq!(told(&as_it_was), as_it_was);
        }
    }

    #[test]
    fn no_time_runs_backwards() {
        let lines = ["S: 220 hub", "C: RCPT TO:<b@hub>", "S: 250 ok", "C: RCPT TO:<a@hub>", "S: 250 ok"];
        let line = |(index, text): (usize, &&str)| {
            Line::new(RunTime::new(std::time::Duration::from_secs(index as u64)), (*text).to_owned())
        };
        let told = by_name(lines.iter().enumerate().map(line).collect());
        assert!(told.is_sorted_by_key(|line| line.at));
    }

    #[test]
    fn a_pipeline_is_put_in_order_on_both_sides_and_a_reply_of_two_lines_stays_whole() {
        let told = told(&[
            "S: 220 hub",
            "C: EHLO x",
            "S: 250-hub",
            "S: 250 PIPELINING",
            "C: MAIL FROM:<>",
            "C: RCPT TO:<b@hub>",
            "C: RCPT TO:<a@hub>",
            "C: DATA",
            "S: 250 ok",
            "S: 250-ok",
            "S: 250 ok",
            "S: 250-ok",
            "S: 250 ok",
            "S: 354 go on",
        ]);
        assert_eq!(
            told[5..],
            [
                "C: RCPT TO:<a@hub>",
                "C: RCPT TO:<b@hub>",
                "C: DATA",
                "S: 250 ok",
                "S: 250-ok",
                "S: 250 ok",
                "S: 250-ok",
                "S: 250 ok",
                "S: 354 go on",
            ]
        );
    }

    #[test]
    fn recipients_of_two_mails_are_not_mixed_and_one_without_a_reply_stays_where_it_is() {
        let mails = [
            "S: 220 hub",
            "C: MAIL FROM:<>",
            "S: 250 ok",
            "C: RCPT TO:<b@hub>",
            "S: 250 ok",
            "C: RSET",
            "S: 250 ok",
            "C: MAIL FROM:<>",
            "S: 250 ok",
            "C: RCPT TO:<a@hub>",
            "S: 250 ok",
            "C: RCPT TO:<0@hub>",
        ];
        assert_eq!(told(&mails), mails);
    }
}
