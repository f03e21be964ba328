//! What connections are read into.

use std::cell::RefCell;

/// What a connection is read into. Those of sessions that are over are used again: making one costs more than all other
/// memory of a session.
pub(super) struct Buffer(Vec<u8>);

thread_local! {
    static UNUSED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

impl Buffer {
    /// Octets that are read at a time.
    const SIZE: usize = 16 * 1024;
    /// How many are kept for later sessions of a thread.
    const MOST_UNUSED: usize = 64;

    /// One that is not in use.
    pub(super) fn take() -> Self {
        let unused = UNUSED.with_borrow_mut(Vec::pop);
        Self(unused.unwrap_or_else(|| vec![0; Self::SIZE]))
    }

    /// All of it. What an earlier session read may still stand there.
    pub(super) fn octets(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // A thread that is ending keeps none.
        let _ = UNUSED.try_with(|unused| {
            let mut unused = unused.borrow_mut();
            if unused.len() < Self::MOST_UNUSED {
                unused.push(std::mem::take(&mut self.0));
            }
        });
    }
}
