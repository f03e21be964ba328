//! Ending runs from outside: Ctrl-C, or a caller that has seen enough.

use tokio::sync::watch;

/// Ends every run that was given a clone of it.
#[derive(Debug, Clone)]
pub struct Cancel(watch::Sender<bool>);

impl Default for Cancel {
    fn default() -> Self {
        Self(watch::channel(false).0)
    }
}

impl Cancel {
    /// Ends the runs. They drop their relays, sockets and files before they return.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether the runs are to end.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the runs are to end.
    pub async fn cancelled(&self) {
        let mut changes = self.0.subscribe();
        // The sender lives in `self`, so that waiting cannot fail.
        let _ = changes.wait_for(|cancelled| *cancelled).await;
    }
}
