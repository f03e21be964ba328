//! What hosts offer and cannot do, as far as it was found out the hard way: the next session with such a host does without.
//!
//! It is kept in memory alone. A relay that is started again finds out again, which costs an attempt and no mail.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

/// Hosts are mended, too: after this long they are given another chance.
const KEPT: Duration = Duration::from_hours(24);

/// What a host is better not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// It refuses EHLO and closes; HELO is said in its place.
    Ehlo,
    /// Replies get lost when commands come in groups.
    Pipelining,
    /// BDAT is not understood, or never answered. RFC 3030 section 2: DATA must work all the same.
    Chunking,
}

/// The troubles of each host, by its address.
#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeMap<(SocketAddr, Trouble), SystemTime>>);

impl Memory {
    /// Keeps a trouble in mind, from `now` on.
    pub(crate) fn note(&self, host: SocketAddr, trouble: Trouble, now: SystemTime) {
        let mut troubles = self.troubles();
        troubles.retain(|_, since| is_fresh(*since, now));
        troubles.insert((host, trouble), now);
    }

    /// It was not that.
    pub(crate) fn forget(&self, host: SocketAddr, trouble: Trouble) {
        self.troubles().remove(&(host, trouble));
    }

    pub(crate) fn recalls(&self, host: SocketAddr, trouble: Trouble, now: SystemTime) -> bool {
        self.troubles().get(&(host, trouble)).is_some_and(|since| is_fresh(*since, now))
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<(SocketAddr, Trouble), SystemTime>> {
        self.0.lock().expect("no code panics while it remembers")
    }
}

fn is_fresh(since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).unwrap_or_default() < KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_of_one_host_and_is_forgotten_after_a_day() {
        let (memory, began) = (Memory::default(), SystemTime::UNIX_EPOCH);
        let host = |last: u8| SocketAddr::from(([198, 51, 100, last], 25));
        memory.note(host(7), Trouble::Chunking, began);
        assert!(memory.recalls(host(7), Trouble::Chunking, began + KEPT / 2));
        assert!(!memory.recalls(host(7), Trouble::Ehlo, began));
        assert!(!memory.recalls(host(8), Trouble::Chunking, began));
        assert!(!memory.recalls(host(7), Trouble::Chunking, began + KEPT));
        memory.forget(host(7), Trouble::Chunking);
        assert!(!memory.recalls(host(7), Trouble::Chunking, began));
        memory.note(host(8), Trouble::Ehlo, began);
        memory.note(host(7), Trouble::Ehlo, began + KEPT);
        assert_eq!(memory.troubles().len(), 1, "what is stale is not kept");
    }
}
