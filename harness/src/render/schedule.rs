//! A mail's timeline in words: `retried after waits of 5m, 10m, 20m, then every 1h, 37 times; warned once after 4h; returned after 3d`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::time::human;

use super::names::Names;
use crate::record::{Jumped, Record, StepDone, Timeline};

/// So many equal waits in a row are told as one.
const RUN: usize = 3;
/// As many pieces of a schedule are told one by one.
const PIECES: usize = 10;
/// As many schedules are told.
const MANY: usize = 20;

/// Waits, one or several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    from: Duration,
    to: Duration,
    times: usize,
}

impl Piece {
    fn wait(self) -> String {
        if self.from == self.to {
            human(self.from)
        } else {
            format!("{} to {}", human(self.from), human(self.to))
        }
    }
}

/// The schedules of all mail that had one: whose recipients were tried again, or whose sender was told of it later. By mail
/// in the order of submission; mails alike are told together.
pub(super) fn schedules(record: &Record, names: &Names) -> Vec<String> {
    let mut order: Vec<(&str, String)> = Vec::new();
    let mut counts: BTreeMap<(&str, String), (usize, Vec<String>)> = BTreeMap::new();
    for (index, submission) in record.submissions.iter().enumerate() {
        let mut told: Vec<(String, Vec<String>)> = Vec::new();
        for timeline in record.timelines.iter().filter(|t| t.submission == index) {
            let Some(text) = words(timeline, submission.at, record.relay.varies.waits.as_deref()) else {
                continue;
            };
            match told.iter_mut().find(|(same, _)| *same == text) {
                Some((_, to)) => to.push(timeline.to.clone()),
                None => told.push((text, vec![timeline.to.clone()])),
            }
        }
        for (text, to) in told {
            let mut to = to;
            if record.relay.varies.recipient_order {
                to.sort();
            }
            let key = (submission.message.as_str(), format!("to {}: {text}", super::talk::listed(&to)));
            let (count, _) = counts.entry(key.clone()).or_insert_with(|| {
                order.push(key);
                (0, to)
            });
            *count += 1;
        }
    }
    if record.relay.varies.side_by_side {
        // which of equal mails comes first is chance
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, (message, _)) in order.iter().enumerate() {
            first.entry(message).or_insert(at);
        }
        order.sort_by(|a, b| (first[a.0], &a.1).cmp(&(first[b.0], &b.1)));
    }
    let copies = |(message, text): &(&str, String)| match counts[&(*message, text.clone())].0 {
        1 => format!("{message} {text}"),
        count => format!("{message} ({count} of them) {text}"),
    };
    let mut lines: Vec<String> = order.iter().take(MANY).map(copies).map(|line| names.put(&line)).collect();
    if order.len() > MANY {
        lines.push(format!("… {} more", order.len() - MANY));
    }
    lines
}

/// Whether any mail had one.
pub(super) fn is_any(record: &Record) -> bool {
    record.timelines.iter().any(|timeline| {
        let submission = record.submissions.get(timeline.submission);
        submission.is_some_and(|submission| words(timeline, submission.at, None).is_some())
    })
}

/// How time went on in a jump, in brackets behind the step; nothing of another one.
pub(super) fn how(step: &StepDone) -> String {
    let Some(Jumped { from, open }) = &step.jumped else { return String::new() };
    let open = open.as_ref().map_or_else(String::new, |open| format!(": {open}"));
    match from {
        Some(from) if *from == step.began => format!(" (at once to +{})", step.done),
        Some(from) => format!(" (from +{from} at once to +{}{open})", step.done),
        None => format!(" (time passed to +{}{open} all the while)", step.done),
    }
}

/// Over which times a wait is none of the relay's own schedule.
pub(super) fn not_its_own(record: &Record) -> Option<String> {
    let jumps = record.steps.iter().filter_map(|step| Some((step.jumped.as_ref()?.from?, step.done)));
    let jumps: Vec<String> = jumps.map(|(from, to)| format!("+{from} to +{to}")).collect();
    let last = jumps.last()?;
    let those = match jumps.len() {
        1 => last.clone(),
        _ => format!("{} and {last}", jumps[..jumps.len() - 1].join(", ")),
    };
    Some(format!("(the clock jumped from {those}: waits over that are not the relay's own)"))
}

/// When the run's mail was tried again, if all that was tried again was so by one schedule, and by the relay's own.
pub(super) fn retries(record: &Record) -> Option<String> {
    if not_its_own(record).is_some() {
        return None;
    }
    let by_chance = record.relay.varies.waits.is_some();
    let mut all = record.timelines.iter().filter_map(|timeline| retried(&timeline.attempts, by_chance));
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// A timeline; `None` where nothing came later than the first attempt. `chance`: what the adapter says of waits that are so by chance.
fn words(timeline: &Timeline, since: RunTime, chance: Option<&str>) -> Option<String> {
    let after = |at: RunTime| human(rounded(at.since(since)));
    let later = |times: &[RunTime]| times.iter().any(|at| !rounded(at.since(since)).is_zero());
    let tried_again = timeline.attempts.len() > 1;
    if !tried_again && timeline.warned.is_empty() && !later(&timeline.returned) && timeline.held.is_none() {
        return None;
    }
    let retried = retried(&timeline.attempts, chance.is_some()).map(|text| match chance {
        Some(chance) => format!("{text} (by chance: {chance})"),
        None => text,
    });
    let mut parts = vec![retried.unwrap_or_else(|| "not tried again".to_owned())];
    for (word, times) in
        [("warned", &timeline.warned), ("delivered", &timeline.delivered), ("returned", &timeline.returned)]
    {
        match times.as_slice() {
            [] => {}
            [once] if word == "warned" => parts.push(format!("warned once after {}", after(*once))),
            [once] => parts.push(format!("{word} after {}", after(*once))),
            [first, .., last] => {
                parts.push(format!(
                    "{word} {} times, after {} to {}",
                    times.len(),
                    after(*first),
                    after(*last)
                ));
            }
        }
    }
    parts.extend(timeline.held.map(|at| format!("held after {}", after(at))));
    if timeline.queued && timeline.held.is_none() {
        parts.push("still in the queue".to_owned());
    }
    Some(parts.join("; "))
}

/// `retried after 30m`, `retried every 10m, 119 times`, `retried after waits of 30m, 1h, 2h, then every 4h, 11 times`. Waits that are
/// so by chance are told by their bounds: `retried after waits of 3 × 5m to 7m, then every 12m to 18m, 9 times`.
fn retried(attempts: &[RunTime], by_chance: bool) -> Option<String> {
    let waits: Vec<Duration> = attempts.windows(2).map(|two| rounded(two[1].since(two[0]))).collect();
    let pieces = if by_chance { gathered(&waits) } else { folded(&waits) };
    Some(match pieces.as_slice() {
        [] => return None,
        [Piece { times: 1, from, .. }] => format!("retried after {}", human(*from)),
        [all] => format!("retried every {}, {} times", all.wait(), all.times),
        [first @ .., last] => {
            let mut text = "retried after waits of ".to_owned();
            for (index, piece) in first.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let times = if piece.times > 1 { format!("{} × ", piece.times) } else { String::new() };
                let _ = write!(text, "{comma}{times}{}", piece.wait());
            }
            let _ = match last.times {
                1 => write!(text, ", {}", last.wait()),
                times => write!(text, ", then every {}, {times} times", last.wait()),
            };
            text
        }
    })
}

/// To the second: between the moment that a timer names and the session there are some milliseconds of work.
fn rounded(wait: Duration) -> Duration {
    Duration::from_secs((wait + Duration::from_millis(500)).as_secs())
}

/// Runs of equal waits are one piece. Where that leaves too many, what goes to and fro at the end is told by its bounds.
fn folded(waits: &[Duration]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for run in waits.chunk_by(|a, b| a == b) {
        let piece = Piece { from: run[0], to: run[0], times: run.len() };
        if run.len() >= RUN {
            pieces.push(piece);
        } else {
            pieces.extend(run.iter().map(|_| Piece { times: 1, ..piece }));
        }
    }
    if pieces.len() <= PIECES {
        return pieces;
    }
    let near = |from: &usize| are_near(bounds(&pieces[*from..]));
    // one that only grows, or has no order: its beginning, and the bounds of the rest
    let from = (0..PIECES).find(near).unwrap_or(PIECES - 1);
    let (low, high) = bounds(&pieces[from..]);
    let times = pieces[from..].iter().map(|piece| piece.times).sum();
    pieces.truncate(from);
    pieces.push(Piece { from: low, to: high, times });
    pieces
}

/// Waits one after the other that are near each other are one piece: how they differ is chance.
fn gathered(waits: &[Duration]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for wait in waits {
        if let Some(last) = pieces.last_mut() {
            let (from, to) = (last.from.min(*wait), last.to.max(*wait));
            if are_near((from, to)) || pieces.len() == PIECES {
                let last = pieces.last_mut().expect("it was there just now");
                *last = Piece { from, to, times: last.times + 1 };
                continue;
            }
        }
        pieces.push(Piece { from: *wait, to: *wait, times: 1 });
    }
    pieces
}

fn are_near((low, high): (Duration, Duration)) -> bool {
    high <= low * 3 / 2
}

fn bounds(pieces: &[Piece]) -> (Duration, Duration) {
    let low = pieces.iter().map(|piece| piece.from).min().unwrap_or_default();
    let high = pieces.iter().map(|piece| piece.to).max().unwrap_or_default();
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::{Run, deferral, minutes, notice};
    use crate::render::story;

    const BOB: &str = "bob@hub.example";

    fn after(waits: impl IntoIterator<Item = u64>) -> String {
        let mut at = 0;
        let mut attempts = vec![RunTime::ZERO];
        for wait in waits {
            at += wait;
            attempts.push(minutes(at));
        }
        retried(&attempts, false).unwrap_or_default()
    }

    #[test]
    fn a_schedule_reads_as_one() {
        assert_eq!(after([]), "");
        assert_eq!(after([30]), "retried after 30m");
        assert_eq!(after([30, 60]), "retried after waits of 30m, 1h");
        assert_eq!(after([10; 144]), "retried every 10m, 144 times");
        let doubled = [10, 20, 40].into_iter().chain([120; 37]);
        assert_eq!(after(doubled), "retried after waits of 10m, 20m, 40m, then every 2h, 37 times");
        let with_a_gap = [10; 23].into_iter().chain([20]).chain([10; 119]);
        assert_eq!(after(with_a_gap), "retried after waits of 23 × 10m, 20m, then every 10m, 119 times");
    }

    #[test]
    fn what_goes_to_and_fro_is_told_by_its_bounds() {
        let postfix = [5, 5, 10, 20, 40].into_iter().chain([65, 70].into_iter().cycle().take(17));
        assert_eq!(
            after(postfix),
            "retried after waits of 5m, 5m, 10m, 20m, 40m, then every 1h5m to 1h10m, 17 times"
        );
        let squares = (1..20).map(|n| 10 * n * n);
        let told = after(squares);
        assert!(told.ends_with("9h20m to 2d12h10m, 10 times") || told.contains(" to "), "{told}");
    }

    #[test]
    fn milliseconds_of_work_are_no_part_of_a_schedule() {
        let at = |ms| RunTime::new(Duration::from_millis(ms));
        let attempts = [at(0), at(3_600_012), at(7_199_800)];
        assert_eq!(retried(&attempts, false).unwrap(), "retried after waits of 1h, 1h");
    }

    #[test]
    fn waits_by_chance_are_told_by_their_bounds_and_by_the_adapters_word() {
        let told = |chance: Option<&str>| {
            let mut run = Run::new().sent("note", &[BOB]);
            for (ordinal, minute) in [(1, 0), (2, 5), (3, 12), (4, 18), (5, 40), (6, 65)] {
                run = run.talk(deferral("hub", ordinal, minutes(minute), BOB, "451 4.7.1 later"));
            }
            run.raw.relay.varies.waits = chance.map(str::to_owned);
            story(&run.emptied(minutes(66)).record())
        };
        let plain = told(None);
        assert!(plain.contains(": retried after waits of 5m, 7m, 6m, 22m, 25m\n"), "{plain}");
        let by_chance = told(Some("five minutes, and up to two more"));
        let words = ": retried after waits of 3 × 5m to 7m, then every 22m to 25m, 2 times \
                     (by chance: five minutes, and up to two more)\n";
        assert!(by_chance.contains(words), "{by_chance}");
    }

    /// A relay that counts, and warns, and gives up.
    fn two_days() -> Run {
        let mut run = Run::new().sent("note", &[BOB]);
        for attempt in 0..=48_u32 {
            let at = minutes(60 * u64::from(attempt));
            run = run.talk(deferral("hub", attempt + 1, at, BOB, "451 4.7.1 later"));
            run = run.queued(at, &[BOB], attempt + 1, Some(minutes(60 * u64::from(attempt) + 60)));
        }
        run.notified(1, minutes(240), &notice("note-1", BOB, "delayed", "4.7.1"))
    }

    #[test]
    fn a_mail_that_waits_has_its_line_in_the_story() {
        let end = minutes(48 * 60);
        let run = two_days().notified(2, end, &notice("note-1", BOB, "failed", "4.4.7")).emptied(end);
        let told = story(&run.record());
        let line = "\n== schedule\nnote to bob@hub.example: retried every 1h, 48 times; warned once after 4h; returned after 2d\n";
        assert!(told.contains(line), "{told}");
        assert!(story(&two_days().record()).contains("48 times; warned once after 4h; still in the queue\n"),);
    }

    #[test]
    fn a_mail_that_passes_at_once_has_none() {
        let run = Run::new().sent("note", &[BOB]).delivered("hub", 1, minutes(0), "note-1", &[BOB]);
        assert!(!story(&run.record()).contains("schedule"));
    }

    #[test]
    fn an_attempt_without_a_connection_is_one() {
        let mut run = Run::new().sent("note", &[BOB]);
        for attempt in 0..4_u32 {
            let at = minutes(30 * u64::from(attempt));
            run = run.queued(at, &[BOB], attempt + 1, Some(minutes(30 * u64::from(attempt) + 30)));
        }
        let run = run.delivered("hub", 1, minutes(120), "note-1", &[BOB]).emptied(minutes(120));
        let told = story(&run.record());
        assert!(
            told.contains("note to bob@hub.example: retried every 30m, 4 times; delivered after 2h\n"),
            "{told}"
        );
    }

    #[test]
    fn what_a_killed_relay_sends_again_is_tried_again() {
        let run = Run::new().sent("note", &[BOB]).delivered("hub", 1, minutes(0), "note-1", &[BOB]);
        let run = run.step("kill: relay", minutes(0)).step("restart: relay", minutes(5));
        let told = story(&run.delivered("hub", 2, minutes(5), "note-1", &[BOB]).record());
        assert!(told.contains("note to bob@hub.example: retried after 5m; delivered 2 times"), "{told}");
    }

    #[test]
    fn two_hosts_of_a_domain_are_one_attempt() {
        let mut run = Run::new().sent("note", &[BOB]);
        run.raw.serves.push(("spare".to_owned(), "hub.example".to_owned()));
        for (ordinal, at) in [(1, 0), (2, 30)] {
            run = run.talk(deferral("hub", ordinal, minutes(at), BOB, "451 4.7.1 later"));
            run = run.talk(deferral("spare", ordinal, minutes(at), BOB, "451 4.7.1 later"));
        }
        let told = story(&run.emptied(minutes(60)).record());
        assert!(told.contains("note to bob@hub.example: retried after 30m\n"), "{told}");
    }
}
