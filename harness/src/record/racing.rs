//! The order of sessions that raced, by what they say.

use mock_servers::transcript::{Session, Transaction};

use super::mail;

/// A mail as a session shows it, without what is new in each run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    from: String,
    to: Vec<String>,
    /// `None`: it never came to the content.
    content: Option<String>,
}

/// Sessions with one server, which come in order of opening: mails in the order of what they are, and of each mail the
/// sessions as they came. A session without a mail was opened for the one that the next session has.
pub(super) fn sorted<'s>(sessions: &[&'s Session]) -> Vec<&'s Session> {
    let mut chains: Vec<(Vec<Shape>, Vec<&'s Session>)> = Vec::new();
    let mut bare: Vec<&'s Session> = Vec::new();
    for &session in sessions {
        let shapes: Vec<Shape> = session.transactions.iter().map(shape).collect();
        if shapes.is_empty() {
            bare.push(session);
            continue;
        }
        let (mut of, mut found) = (Vec::new(), Vec::new());
        let (its, others) = std::mem::take(&mut chains)
            .into_iter()
            .partition(|(mails, _)| mails.iter().any(|mail| shapes.iter().any(|shape| same(mail, shape))));
        chains = others;
        let its: Vec<(Vec<Shape>, Vec<&'s Session>)> = its;
        for (mails, earlier) in its {
            of.extend(mails);
            found.extend(earlier);
        }
        of.extend(shapes);
        found.append(&mut bare);
        found.push(session);
        found.sort_by_key(|session| session.ordinal);
        chains.push((of, found));
    }
    if let Some((_, last)) = chains.last_mut() {
        last.append(&mut bare);
    }
    chains.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut sorted: Vec<&Session> = chains.into_iter().flat_map(|(_, sessions)| sessions).collect();
    sorted.append(&mut bare);
    sorted
}

/// Whether it is one mail that is tried again. Without its content its addresses must do.
fn same(one: &Shape, other: &Shape) -> bool {
    match (&one.content, &other.content) {
        (Some(one), Some(other)) => one == other,
        _ => one.from == other.from && one.to.iter().any(|to| other.to.contains(to)),
    }
}

fn shape(transaction: &Transaction) -> Shape {
    let mut to: Vec<String> = transaction.recipients.iter().map(|r| mail::normal(&r.to)).collect();
    to.sort();
    let content = String::from_utf8_lossy(&transaction.content);
    let content = (!content.is_empty()).then(|| without_ids(&content));
    Shape { from: mail::normal(&transaction.from), to, content }
}

/// Words that hold a digit may be ids or dates; any of them is as good as any other.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let (word, end) = match word.char_indices().next_back() {
            Some((at, c)) if !c.is_ascii_alphanumeric() => word.split_at(at),
            _ => (word, ""),
        };
        out += if word.bytes().any(|b| b.is_ascii_digit()) { "#" } else { word };
        out += end;
    }
    out
}
