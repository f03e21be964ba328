//! What came before what at one moment of run time.
//!
//! Many sessions can begin at the same moment. The transcript gives them in the order in which they were opened, and where
//! the run's clock is its own that is cause before effect, the same in every run: one thread, one input at a time.
//!
//! A relay in a process of its own opens its connections when its system lets it, and all of them at one moment, since the
//! run's time stands still: in which of them bytes moved first is chance. What is not: a step begins only after the one before
//! it is done, and after `settle`, `wait` and `check` everything was quiet. So the sessions before such a step's first one
//! came before it, and within these bounds the order is by name.

use std::collections::BTreeMap;

use mock_servers::RunTime;
use mock_servers::transcript::{Session, Side, What};

use super::{Record, Sent, StepDone, racing};

/// Brings sessions, which come in order of opening, into their order in the record.
pub(super) fn sorted(
    mut sessions: Vec<Session>,
    side_by_side: bool,
    sent: &[Sent],
    steps: &[StepDone],
) -> Vec<Session> {
    if side_by_side {
        return by_name(sessions, sent, steps);
    }
    sessions.sort_by_key(|session| session.opened);
    sessions
}

/// By name between what is quiet: the order where that of opening is chance.
fn by_name(sessions: Vec<Session>, sent: &[Sent], steps: &[StepDone]) -> Vec<Session> {
    let mut clients: BTreeMap<(&str, u32), usize> = BTreeMap::new();
    for (index, session) in sessions.iter().enumerate().filter(|(_, s)| s.mock_is == Side::Client) {
        clients.entry((session.mock.as_str(), session.ordinal)).or_insert(index);
    }
    let place = |sent: &Sent| {
        let (mock, ordinal) = sent.session.as_ref()?;
        clients.get(&(mock.as_str(), *ordinal)).copied()
    };
    let submitted: Vec<(&str, Option<usize>)> = sent.iter().map(|s| (s.message.as_str(), place(s))).collect();
    let spans = spans(steps, &submitted, &sessions);
    let mut quiet = false;
    let mut bounds = Vec::new();
    for (step, span) in steps.iter().zip(&spans) {
        match *span {
            // that it held a session says nothing of those before it
            Some(_) if step.step.starts_with("at: ") => {}
            Some((first, _)) if std::mem::take(&mut quiet) => bounds.push(first),
            Some(_) => {}
            None => {
                quiet |= ["settle", "wait", "check"].iter().any(|word| step.step.starts_with(word));
            }
        }
    }
    // Clients come in the order of the steps that began them.
    let begun_by = |index: usize, session: &Session| {
        let of_step =
            |span: &Option<(usize, usize)>| span.is_some_and(|(from, to)| (from..=to).contains(&index));
        spans.iter().position(of_step).filter(|_| session.mock_is == Side::Client)
    };
    let mut numbered: Vec<Numbered> = sessions
        .into_iter()
        .enumerate()
        .map(|(index, session)| Numbered {
            phase: bounds.iter().filter(|bound| **bound <= index).count(),
            step: begun_by(index, &session),
            session,
        })
        .collect();
    by_mail(&mut numbered);
    numbered.sort_by(|a, b| {
        // What is told to a sender comes of what was said elsewhere.
        let tells =
            |s: &Session| !s.transactions.is_empty() && s.transactions.iter().all(|t| t.from.is_empty());
        let who = |s: &Session| if s.mock_is == Side::Client { 0 } else { 1 + u8::from(tells(s)) };
        let key = |n: &Numbered| (n.session.opened, n.phase, who(&n.session), n.step);
        let by_name = |n: &Numbered| (n.session.mock.clone(), n.session.ordinal);
        key(a).cmp(&key(b)).then_with(|| by_name(a).cmp(&by_name(b)))
    });
    numbered.into_iter().map(|numbered| numbered.session).collect()
}

/// A session and what bounds its place.
struct Numbered {
    /// How often all was quiet before.
    phase: usize,
    /// The step that began it, of a client.
    step: Option<usize>,
    session: Session,
}

/// Sessions with one server that raced: those of one mail came in their order, since each was the cause of the next; which
/// mail came first is chance, and they are in the order of what they say. They are numbered anew.
fn by_mail(numbered: &mut [Numbered]) {
    let mut groups: BTreeMap<(RunTime, usize, String), Vec<usize>> = BTreeMap::new();
    for (index, Numbered { phase, session, .. }) in numbered.iter().enumerate() {
        if session.mock_is == Side::Server {
            groups.entry((session.opened, *phase, session.mock.clone())).or_default().push(index);
        }
    }
    for mut places in groups.into_values().filter(|places| places.len() > 1) {
        places.sort_by_key(|&index| numbered[index].session.ordinal);
        let sessions: Vec<&Session> = places.iter().map(|&index| &numbered[index].session).collect();
        let ordinals: Vec<u32> = sessions.iter().map(|session| session.ordinal).collect();
        let mut sorted: Vec<Session> = racing::sorted(&sessions).into_iter().cloned().collect();
        for (session, ordinal) in sorted.iter_mut().zip(ordinals) {
            session.ordinal = ordinal;
        }
        for (index, session) in places.into_iter().zip(sorted) {
            numbered[index].session = session;
        }
    }
}

/// Before which session each step began: an index into [`Record::sessions`], never falling from step to step.
pub fn steps_among_sessions(record: &Record) -> Vec<usize> {
    let mut submissions: Vec<_> = record.submissions.iter().collect();
    submissions.sort_by_key(|s| s.copy);
    let submitted: Vec<(&str, Option<usize>)> =
        submissions.iter().map(|s| (s.message.as_str(), s.place.map(|place| place.session))).collect();
    let spans = spans(&record.steps, &submitted, &record.sessions);
    let mut next = 0;
    let mut after = 0;
    let mut places = Vec::new();
    for (step, span) in record.steps.iter().zip(spans) {
        let by_time =
            record.sessions.iter().position(|s| s.opened >= step.began).unwrap_or(record.sessions.len());
        let place = span.map_or(after, |(first, _)| first).max(next).max(by_time);
        after = span.map_or(after, |(_, last)| last + 1).max(place);
        next = place;
        places.push(place);
    }
    places
}

/// Whether it is such a session that the step held.
fn is_held_by(session: &Session, step: &StepDone) -> bool {
    session.events.iter().any(|event| match &event.what {
        What::Held { event } => step.step == format!("at: {{ {}: {event} }}", session.mock),
        _ => false,
    })
}

/// The first and last client session of each step that sends, and the session that a step held. A message is sent the
/// same number of times by each step that names it.
fn spans(
    steps: &[StepDone],
    submitted: &[(&str, Option<usize>)],
    sessions: &[Session],
) -> Vec<Option<(usize, usize)>> {
    let names = |step: &StepDone| -> Vec<String> {
        let list = step.step.strip_prefix("send: ").unwrap_or_default();
        list.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let span = |(index, step): (usize, &StepDone)| {
        let mut own: Vec<usize> = Vec::new();
        for name in names(step) {
            let times = |steps: &[StepDone]| steps.iter().filter(|step| names(step).contains(&name)).count();
            let all: Vec<usize> =
                submitted.iter().filter(|(m, _)| *m == name).filter_map(|(_, s)| *s).collect();
            let each = all.len() / times(steps).max(1);
            own.extend(all.iter().skip(each * times(&steps[..index])).take(each));
        }
        if let Some(client) = step.step.strip_prefix("client: ") {
            let before = steps[..index].iter().filter(|earlier| earlier.step == step.step).count();
            let mut its =
                sessions.iter().enumerate().filter(|(_, s)| s.mock_is == Side::Client && s.mock == client);
            own.extend(its.nth(before).map(|(index, _)| index));
        }
        if step.step.starts_with("at: ") {
            let before = steps[..index].iter().filter(|earlier| earlier.step == step.step).count();
            let mut held = sessions.iter().enumerate().filter(|(_, session)| is_held_by(session, step));
            own.extend(held.nth(before).map(|(index, _)| index));
        }
        Some((*own.iter().min()?, *own.iter().max()?))
    };
    steps.iter().enumerate().map(span).collect()
}
