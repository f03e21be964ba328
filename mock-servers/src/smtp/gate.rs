//! A gate before a server's answer: whoever has the handle can have the next session that comes to an event held there,
//! do something else meanwhile, and let it go.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::script::On;

/// The gate of a server. Clones are the same one; without orders it stands open.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Where the next session is held, and who wants to know.
    order: Option<(On, oneshot::Sender<()>)>,
    held: Vec<oneshot::Sender<()>>,
}

impl Gate {
    /// Has the next session that comes to this event held there; the one that is returned completes then. A later order
    /// takes the place of one that nobody has come to. [`On::Any`] and [`On::Idle`] are no moments of a session: nobody
    /// ever comes to them.
    pub fn hold_next(&self, on: On) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.lock().order = Some((on, tell));
        told
    }

    /// Lets every held session go, and takes back an order that nobody has come to.
    pub fn open(&self) {
        let (order, held) = {
            let mut state = self.lock();
            (state.order.take(), std::mem::take(&mut state.held))
        };
        drop(order);
        for held in held {
            // A session that was stopped meanwhile is no longer there.
            let _ = held.send(());
        }
    }

    /// Whether the next session that comes to this event is held.
    pub(super) fn awaits(&self, on: &On) -> bool {
        self.lock().order.as_ref().is_some_and(|(awaited, _)| awaited == on)
    }

    /// A session came to this event: held, if that is the order.
    pub(super) fn meet(&self, on: &On) -> Option<Hold> {
        let mut state = self.lock();
        let (_, tell) = state.order.take_if(|(awaited, _)| awaited == on)?;
        // Whoever waited may be gone: a run that is being cancelled.
        let _ = tell.send(());
        let (release, released) = oneshot::channel();
        state.held.push(release);
        Some(Hold(released))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding a gate")
    }
}

/// What holds a session.
#[derive(Debug)]
pub struct Hold(oneshot::Receiver<()>);

impl Hold {
    /// Whether the session was let go; so it is when the gate is gone.
    pub(super) fn is_over(&mut self) -> bool {
        !matches!(self.0.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    /// Ready once the session is let go.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_over() {
            return Poll::Ready(());
        }
        std::pin::Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}
