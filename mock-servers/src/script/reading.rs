//! How fast a server reads.

use std::time::Duration;

/// How much of what a client sends is read. What is not read stays on its way: TCP's window closes, and the client's
/// writes block (RFC 9293 section 3.8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// All that comes, when it comes.
    #[default]
    Freely,
    /// Nothing: the window stays closed.
    Nothing,
    /// At most so much in so long.
    Slowly {
        /// Octets on the wire; never 0.
        octets: usize,
        /// The run's time from the first of them on until as many more are read.
        every: Duration,
    },
}

impl Reading {
    /// Whether a client may find the window closed.
    pub fn is_held_back(self) -> bool {
        self != Self::Freely
    }
}
