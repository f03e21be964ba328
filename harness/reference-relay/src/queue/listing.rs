//! The queue as it is shown to people and to harnesses.

use std::time::SystemTime;

use super::Entry;
use crate::envelope::{Envelope, Recipient, State};

/// A message in the queue, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueEntry {
    /// The queue id: `Q1`, `Q2`, …
    pub id: String,
    /// The envelope sender without brackets; empty for the null reverse-path.
    pub sender: String,
    /// When it was accepted.
    pub arrival: SystemTime,
    /// Octets of content.
    pub size: u64,
    /// How many attempts have begun since it arrived; one that was cut off by the relay's death does not count.
    pub attempts: u32,
    /// One of the relay's own notifications.
    pub is_notification: bool,
    /// The recipients that are neither delivered to nor given up.
    pub recipients: Vec<QueueRecipient>,
}

/// A recipient in a [`QueueEntry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecipient {
    /// Without brackets.
    pub address: String,
    /// What it waits for.
    pub state: RecipientState,
}

/// What a recipient waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientState {
    /// An attempt is under way, or about to be.
    Active,
    /// The last attempt failed.
    Deferred {
        /// When it is tried again.
        next_attempt: SystemTime,
        /// The next hop's reply, or a sentence.
        reason: String,
    },
    /// Given up and not yet reported: the disk had no room for the notification. Or never: in the archive of Exchange 5.5.
    Failed {
        /// The next hop's reply, or a sentence.
        reason: String,
    },
}

impl Entry {
    pub(super) fn listed(&self) -> QueueEntry {
        let Envelope { id, arrival, sender, size, is_notification, attempts, next_attempt, .. } =
            &self.envelope;
        let state = |state: &State| match state {
            State::Pending(Some(problem)) if self.jobs == 0 => {
                let reason = problem.reason.clone();
                Some(RecipientState::Deferred { next_attempt: *next_attempt, reason })
            }
            State::Pending(_) => Some(RecipientState::Active),
            State::Failed { problem, announced } if self.to_archive || (!announced && self.jobs == 0) => {
                Some(RecipientState::Failed { reason: problem.reason.clone() })
            }
            _ => None,
        };
        let listed = |recipient: &Recipient| {
            let address = recipient.to.address.clone();
            state(&recipient.state).map(|state| QueueRecipient { address, state })
        };
        QueueEntry {
            id: id.clone(),
            sender: sender.clone(),
            arrival: *arrival,
            size: *size,
            attempts: *attempts,
            is_notification: *is_notification,
            recipients: self.envelope.recipients.iter().filter_map(listed).collect(),
        }
    }
}
