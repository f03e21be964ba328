//! The last that a server said about a recipient before its sender was told something.

use std::collections::BTreeMap;

use mock_servers::transcript::{Reply, Side, Transaction};

use super::ledger::{Notice, Unit};
use crate::record::Record;
use crate::record::mail::normal;

/// What servers said about recipients.
pub(super) struct LastWords<'a>(BTreeMap<(String, String), Vec<Word<'a>>>);

/// A transaction, and whether a recipient was permanently refused in it.
type Word<'a> = (&'a Transaction, bool);

impl<'a> LastWords<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        let mut words: BTreeMap<(String, String), Vec<Word<'a>>> = BTreeMap::new();
        let servers = record.sessions.iter().filter(|s| s.mock_is == Side::Server);
        for transaction in servers.flat_map(|s| &s.transactions) {
            let from = normal(&transaction.from);
            let mut said: BTreeMap<String, bool> = BTreeMap::new();
            for recipient in &transaction.recipients {
                let no = recipient.reply.as_ref().is_some_and(Reply::is_permanent);
                *said.entry(normal(&recipient.to)).or_default() |= no;
            }
            for (to, no) in said {
                words.entry((from.clone(), to)).or_default().push((transaction, no));
            }
        }
        Self(words)
    }

    /// Whether the last one before a notice was a permanent refusal.
    pub(super) fn no(&self, unit: &Unit<'_>, notice: &Notice<'_>) -> bool {
        let said = self.0.get(&(normal(&unit.of.from), normal(unit.to)));
        let about = |(t, _): &&Word<'_>| t.started >= unit.of.at && t.started <= notice.notification.at;
        let last = said.into_iter().flatten().filter(about).max_by_key(|(t, _)| t.started);
        last.is_some_and(|(_, no)| *no)
    }
}
