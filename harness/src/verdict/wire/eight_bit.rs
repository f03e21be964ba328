//! 8-bit content (RFC 6152 section 3), and lines past the limit.

use mock_servers::transcript::Transaction;

use super::{Breach, Of};
use crate::record::conversation::Exchange;
use crate::record::turns::transaction_events;
use crate::record::{Place, Record, Submission};

pub(super) fn judge(of: &Of<'_>, breaches: &mut Vec<Breach>) {
    let mails: Vec<&Exchange> = of.talk.exchanges.iter().filter(|e| e.verb() == "MAIL").collect();
    if mails.len() != of.session.transactions.len() {
        return;
    }
    for (index, (transaction, mail)) in of.session.transactions.iter().zip(mails).enumerate() {
        let events = || transaction_events(of.session, index);
        let submission = submission(of, index);
        if transaction.content.iter().any(|b| *b > 127) && !mail.offered("8BITMIME") {
            eight_bit(of.record, transaction, submission, events(), breaches);
        }
        let long = transaction.content.split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
        let was_long =
            || submission.is_none_or(|s| s.content.split(|b| *b == b'\n').any(|line| line.len() > 999));
        if long > 999 && !was_long() && !mail.offered("CHUNKING") {
            let why = format!("a line of {long} octets, where what was submitted has none past 1000");
            let it = "keeps lines within 1000 octets";
            breaches.push(Breach::should("long line", it, "RFC 5321 section 4.5.3.1.6", why, events()));
        }
    }
}

/// Content that was labelled must not go; what was not labelled is its sender's fault first, and a relay should take it
/// for what it was said to be (RFC 5321 section 2.4).
fn eight_bit(
    record: &Record,
    transaction: &Transaction,
    submission: Option<&Submission>,
    events: std::ops::Range<usize>,
    breaches: &mut Vec<Breach>,
) {
    let label = |t: &Transaction| {
        // binary content is 8-bit content and more (RFC 3030 section 3)
        let labels = ["BODY=8BITMIME", "BODY=BINARYMIME"];
        labels.into_iter().find(|label| t.parameters.iter().any(|p| p.eq_ignore_ascii_case(label)))
    };
    let labelled_here = label(transaction);
    let labelled = submission
        .and_then(|s| s.place)
        .map(|place| label(&record.sessions[place.session].transactions[place.transaction]));
    let line = transaction.content.split(|b| *b == b'\n').find(|line| line.iter().any(|b| *b > 127));
    let line = String::from_utf8_lossy(line.unwrap_or_default()).trim_end().to_owned();
    let it = "never sends 8-bit content to a server that does not offer 8BITMIME";
    match labelled {
        // the relay's own mail, as a notification: nobody else chose its octets
        None if transaction.from.is_empty() => {
            let why = format!("a mail of its own has `{line}`");
            breaches.push(Breach::must("8-bit content", it, "RFC 6152 section 3", why, events));
        }
        Some(Some(label)) => {
            let why = format!("`{line}`, which it had received as {label}");
            breaches.push(Breach::must("8-bit content", it, "RFC 6152 section 3", why, events));
        }
        _ if labelled_here.is_some() => {
            let why = format!("`{line}`, which it calls {} itself", labelled_here.unwrap_or_default());
            breaches.push(Breach::must("8-bit content", it, "RFC 6152 section 3", why, events));
        }
        _ => {
            let why = format!("`{line}`, which it had received without BODY=8BITMIME");
            let it = "may pass 8-bit content on that was not called so, without a look at it";
            let rule = "unlabelled 8-bit content";
            breaches.push(Breach::note(rule, it, "RFC 5321 section 2.4", why, events));
        }
    }
}

/// The submission that a transaction passes on.
pub(super) fn submission<'a>(of: &Of<'a>, transaction: usize) -> Option<&'a Submission> {
    let place = Place { session: of.index, transaction };
    if let Some(submission) = of.copies.get(&place) {
        return of.record.submissions.get(*submission);
    }
    let content = &of.session.transactions[transaction].content;
    let (fields, _) = crate::record::mail::split(content);
    let token = crate::record::mail::first(&fields, "X-Gauntlet-Token")?;
    of.record.submissions.iter().find(|s| s.token.as_deref() == Some(token))
}
