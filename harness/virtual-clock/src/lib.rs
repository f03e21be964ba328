//! The clock of unmodified programs, as a discrete-event simulation.
//!
//! A library, named in `/etc/ld.so.preload` of the programs' root, stands in for every call that tells the time or waits
//! for it. Time stands still while any program works; each wait is written down on a page of shared memory and slept out
//! in the kernel without a timeout; when all is quiet, the [`Driver`] moves the clock to the earliest deadline and wakes
//! whoever waits for it.
//!
//! What is carried and what is not, and how quiescence is *known*, is told in the package's README.

pub mod page;

#[cfg(carried)]
mod driver;
#[cfg(carried)]
mod error;
#[cfg(carried)]
mod map;
#[cfg(carried)]
pub mod sys;
#[cfg(carried)]
mod task;
#[cfg(carried)]
pub mod turn;
#[cfg(carried)]
mod wake;

#[cfg(all(carried, clippy))]
#[path = "../library/imp.rs"]
mod imp;

#[cfg(carried)]
pub use driver::{Driver, Look, Scope};
#[cfg(carried)]
pub use error::ClockError;
#[cfg(carried)]
pub use map::Page;
#[cfg(carried)]
pub use task::{Outside, Why};

/// The preloaded library, to be written to a file in the programs' root. Empty where it is not supported.
#[cfg(carried)]
pub const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/virtual-clock.so"));
/// The preloaded library, to be written to a file in the programs' root. Empty where it is not supported.
#[cfg(not(carried))]
pub const LIBRARY: &[u8] = &[];

/// Where the library stands in a lab's root, as `/etc/ld.so.preload` names it.
pub const LIBRARY_PATH: &str = "/usr/lib/gauntlet/virtual-clock.so";

/// Whether this system is carried: Linux with glibc on `x86_64` or `aarch64`.
pub const fn supported() -> bool {
    cfg!(carried)
}
