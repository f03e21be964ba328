//! The only unsafe code of this package.
#![allow(unsafe_code)]

use rustix::io;
use rustix::thread::UnshareFlags;

/// Leaves the namespaces named by `flags` for new ones.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    assert!(!flags.contains(UnshareFlags::FILES), "lab-init keeps its table of descriptors");
    // SAFETY: the one obligation is not to take descriptors from under another thread with FILES, which is refused above.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Calls [`crate::hook`] before `main`, for programs whose `main` is not ours: libtest's.
// SAFETY: the section is the list of functions that the C library calls before `main`, each as a function of C's calling
// convention; arguments that it passes and the function does not take are harmless in that convention. `hook` compares
// `argv[0]` (which the standard library has stored by then, by an entry that comes earlier in the list) and returns; in a
// lab-init it ends the process, so that nothing runs after it. It is never called by more than one thread.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    crate::hook();
}
