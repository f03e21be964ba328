//! One isolated lab for one run of a real relay, and its owner.
//!
//! A lab is two network namespaces joined by a pair of virtual Ethernet devices: *the Internet*, where the harness
//! serves DNS and SMTP and from where it submits mail, and *the relay's*. The relay has process numbers, mounts, a host
//! name and a root of its own: an overlay of a prepared directory (or of `/`) whose upper layer is in memory. No route
//! leads out of either namespace, and labs run side by side with the same addresses.
//!
//! [`Lab::start`] runs the current program again under another name. That process, *lab-init*, has a single thread (the
//! kernel wants that of whoever changes namespaces) and becomes process 1 of the lab. It makes the lab, then serves
//! requests on a socket: sockets bound in the Internet's namespace and files opened under the lab's root are handed back
//! to the harness, which works with them in its own process. When the harness's end of that socket closes (by
//! [`Lab::stop`], by `Drop`, or because the harness was killed), process 1 ends, and the kernel ends all the rest: every
//! process, mount and namespace of the lab.
//!
//! # The hook
//!
//! The program that runs again must know what it is. [`hook`] looks at `argv[0]` and does not return in a lab-init;
//! call it first in `main`. A libtest binary has no `main` to write to, so this package also calls it before `main` in
//! every program that it is linked into, where the C library passes arguments to initialisers (glibc does, musl does not).
//!
//! # Containers
//!
//! A lab can be made in a container that an engine has started with no network ([`Layout::container`]): the relay's side of it is
//! then the container. [`Reaper`] takes the containers of a harness away that was killed.
//!
//! # Rights
//!
//! A lab needs root, or the capabilities `SYS_ADMIN` and `NET_ADMIN` among root's usual ones (in a container:
//! `docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN`). [`check`] tells what is missing. With `SYS_NICE` as well, programs under a
//! virtual clock run in turn ([`Lab::is_in_turn`]).

mod command;
mod error;
mod layout;
mod view;

#[cfg(target_os = "linux")]
mod early;
#[cfg(target_os = "linux")]
mod init;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod protocol;
#[cfg(target_os = "linux")]
mod reaper;
#[cfg(target_os = "linux")]
mod seat;

#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod lab;

pub use command::{Command, Output, Space, Stdin};
pub use error::LabError;
pub use lab::Lab;
#[cfg(not(target_os = "linux"))]
pub use lab::{Ahead, Process};
pub use layout::{Layout, Owner};
#[cfg(target_os = "linux")]
pub use process::Process;
#[cfg(target_os = "linux")]
pub use reaper::Reaper;
#[cfg(target_os = "linux")]
pub use seat::Ahead;
pub use view::{Activity, Connection, InFlight, Jump, Look, Moved, Outside, Task, Told, Underway};

/// Becomes lab-init (or the [`Reaper`]'s process), and never returns, in a process that [`Lab::start`] has started; does nothing in
/// any other.
///
/// Call it first in `main`, before threads, arguments or logging.
pub fn hook() {
    #[cfg(target_os = "linux")]
    init::hook();
}

/// Starts a lab once and stops it: `Ok` when labs work here, else what is missing and how to grant it.
pub fn check() -> Result<(), LabError> {
    Lab::start(&Layout::default())?.stop()
}
