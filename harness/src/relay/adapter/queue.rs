//! The queue, as an adapter's listing command prints it: a line for each message and recipient, of `key=value` between tabs.

use std::collections::BTreeMap;

use mock_servers::RunTime;

use crate::record::QueueEntry;

/// One recipient of one message in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The relay's name for the message.
    pub id: String,
    /// The reverse-path; empty is `<>`.
    pub from: String,
    /// The recipient.
    pub to: String,
    /// When the message came, in seconds since 1970.
    pub arrived: u64,
    /// When it is tried next, likewise.
    pub next: Option<u64>,
    /// How many attempts there were.
    pub attempts: Option<u32>,
    /// Why it is still there, in the relay's words.
    pub reason: Option<String>,
    /// Nothing will be tried by itself: it is frozen, quarantined or on hold.
    pub held: bool,
}

/// What the listing command printed. Lines of white space alone are nothing.
///
/// # Errors
/// The first line that is not in the form, and why.
pub fn read_queue(text: &str) -> Result<Vec<Listed>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            read_line(line).map_err(|why| {
                let shown: String = line.chars().take(200).collect();
                format!("line {}: {why}: {shown:?}", at + 1)
            })
        })
        .collect()
}

const KEYS: [&str; 8] = ["id", "from", "to", "arrived", "next", "attempts", "reason", "held"];

fn read_line(line: &str) -> Result<Listed, String> {
    let mut values: [Option<&str>; KEYS.len()] = [None; KEYS.len()];
    for part in line.split('\t').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not `key=value`"))?;
        let Some(place) = KEYS.iter().position(|known| *known == key) else {
            return Err(format!("there is no key {key:?}; known are {}", KEYS.join(", ")));
        };
        if values[place].replace(value).is_some() {
            return Err(format!("`{key}=` is there twice"));
        }
    }
    let [id, from, to, arrived, next, attempts, reason, held] = values;
    let needed = |key: &str, value: Option<&str>| match value {
        None => Err(format!("there is no `{key}=`")),
        Some(value) => Ok(value.to_owned()),
    };
    let filled = |key: &str, value| match needed(key, value)? {
        value if value.trim().is_empty() => Err(format!("`{key}=` is empty")),
        value => Ok(value),
    };
    let arrived = filled("arrived", arrived)?;
    Ok(Listed {
        id: filled("id", id)?,
        from: needed("from", from)?,
        to: filled("to", to)?,
        arrived: number("arrived", &arrived)?,
        next: next.map(|next| number("next", next)).transpose()?,
        attempts: attempts.map(|attempts| number("attempts", attempts)).transpose()?,
        reason: reason.map(str::to_owned).filter(|reason| !reason.is_empty()),
        held: match held {
            None | Some("no") => false,
            Some("yes") => true,
            Some(other) => return Err(format!("`held=` is `yes` or `no`, not {other:?}")),
        },
    })
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{key}=` needs a whole number, not {value:?}"))
}

/// What was listed, as entries of a queue: one for each mail. `run_time` makes a moment of the run of seconds since 1970, where
/// the run's time says something of them.
pub(in crate::relay) fn entries(
    listed: Vec<Listed>,
    run_time: impl Fn(u64) -> Option<RunTime>,
) -> Vec<QueueEntry> {
    let mut entries: Vec<QueueEntry> = Vec::new();
    let mut reasons: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for one in listed {
        let why = one.reason.map(|reason| (one.to.clone(), reason));
        reasons.entry(one.id.clone()).or_default().extend(why);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.id == one.id) {
            entry.recipients.push(one.to);
            entry.attempts = entry.attempts.max(one.attempts);
            entry.held |= one.held;
            entry.next = entry.next.into_iter().chain(one.next.and_then(&run_time)).min();
            continue;
        }
        entries.push(QueueEntry {
            id: one.id,
            from: one.from,
            arrived: run_time(one.arrived).unwrap_or(RunTime::ZERO),
            recipients: vec![one.to],
            attempts: one.attempts,
            next: one.next.and_then(&run_time),
            reason: None,
            held: one.held,
        });
    }
    for entry in &mut entries {
        entry.recipients.sort();
        let mut why = reasons.remove(&entry.id).unwrap_or_default();
        why.sort();
        let why: Vec<(&str, &str)> = why.iter().map(|(to, why)| (to.as_str(), why.as_str())).collect();
        entry.reason = told_once(&why, entry.recipients.len());
    }
    // Some relays' ids are random, and listed in their order.
    entries.sort_by(|a, b| {
        let of_mail = (a.arrived, &a.from, &a.recipients, &a.reason, &a.id);
        of_mail.cmp(&(b.arrived, &b.from, &b.recipients, &b.reason, &b.id))
    });
    entries
}

/// Why recipients of one mail wait, of so many in all: one reason that all of them have as it is; else each with the
/// recipient, or the first of those, that it is about.
pub(in crate::relay) fn told_once(reasons: &[(&str, &str)], all: usize) -> Option<String> {
    let mut distinct: Vec<(&str, &str, usize)> = Vec::new();
    for (to, why) in reasons {
        match distinct.iter_mut().find(|(_, known, _)| known == why) {
            Some((_, _, times)) => *times += 1,
            None => distinct.push((to, why, 1)),
        }
    }
    if let [(_, why, times)] = distinct[..]
        && times == all
    {
        return Some(why.to_owned());
    }
    let told = distinct.iter().map(|(to, why, times)| {
        let (why, others) = (why.trim_end_matches('.'), times - 1);
        if others == 0 { format!("{to}: {why}") } else { format!("{to} and {others} more: {why}") }
    });
    Some(told.collect::<Vec<_>>().join("; ")).filter(|told| !told.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_of_those_that_it_is_about() {
        let told = |reasons: &[(&str, &str)], all| told_once(reasons, all);
        assert_eq!(told(&[], 2), None);
        assert_eq!(told(&[("bob@a", "no"), ("dave@a", "no")], 2).unwrap(), "no");
        assert_eq!(told(&[("bob@a", "no")], 2).unwrap(), "bob@a: no", "the other one has none yet");
        let both = told(&[("bob@a", "no."), ("carol@b", "later"), ("dave@a", "no.")], 3);
        assert_eq!(both.unwrap(), "bob@a and 1 more: no; carol@b: later");
    }
}
