//! Random numbers, drawn from the page: the same ones in each run, as long as programs ask for them in the same order.
//!
//! What a program does by chance (which of two mails goes first, how long it waits by jitter) is then a property of the run. What
//! they are not is secret: there is nothing to be kept secret in a lab.

use super::{page, result};
use crate::page::Layout;
use crate::sys::{self, call};
use core::ffi::{c_int, c_long, c_uint, c_void};

/// Fills a program's memory.
///
/// # Safety
/// The program says that there is room for `length` octets.
unsafe fn fill(page: &Layout, to: *mut c_void, length: usize) {
    let mut at = to.cast::<u8>();
    let mut left = length;
    while left > 0 {
        let octets = page.draw().to_ne_bytes();
        let part = left.min(octets.len());
        // SAFETY: by the caller, and `part` octets of both are there.
        unsafe {
            core::ptr::copy_nonoverlapping(octets.as_ptr(), at, part);
            at = at.add(part);
        }
        left -= part;
    }
}

/// The kernel's, for programs without a page.
///
/// # Safety
/// As [`fill`].
unsafe fn kernel(to: *mut c_void, length: usize, flags: usize) -> isize {
    // SAFETY: by the caller.
    unsafe { call(sys::GETRANDOM, [to as usize, length, flags, 0, 0, 0]) }
}

/// All of it, whatever happens, as `arc4random_buf` promises.
///
/// # Safety
/// As [`fill`].
unsafe fn all(to: *mut c_void, length: usize) {
    if let Some(page) = page() {
        // SAFETY: by the caller.
        return unsafe { fill(page, to, length) };
    }
    let mut done = 0;
    while done < length {
        // SAFETY: by the caller, behind what is filled.
        let more = unsafe { kernel(to.cast::<u8>().add(done).cast(), length - done, 0) };
        done += usize::try_from(more).unwrap_or(0);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(to: *mut c_void, length: usize, flags: c_uint) -> c_long {
    if let Some(page) = page()
        && !to.is_null()
    {
        // SAFETY: the program's memory.
        unsafe { fill(page, to, length) };
        return length as c_long;
    }
    // SAFETY: the program's arguments, which the kernel checks.
    result(unsafe { kernel(to, length, flags as usize) })
}

/// getentropy(3): at most 256 octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getentropy(to: *mut c_void, length: usize) -> c_int {
    const EIO: isize = -5;
    if length > 256 {
        return super::result_int(EIO);
    }
    // SAFETY: the program's memory.
    unsafe { all(to, length) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn arc4random_buf(to: *mut c_void, length: usize) {
    // SAFETY: the program's memory.
    unsafe { all(to, length) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn arc4random() -> u32 {
    let mut number = 0_u32;
    // SAFETY: room for its four octets.
    unsafe { all((&raw mut number).cast(), size_of::<u32>()) };
    number
}

/// A number below `bound`, each as likely as the others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn arc4random_uniform(bound: u32) -> u32 {
    if bound < 2 {
        return 0;
    }
    // So many at the lower end are one time too many.
    let surplus = bound.wrapping_neg() % bound;
    loop {
        // SAFETY: without arguments.
        let number = unsafe { arc4random() };
        if number >= surplus {
            return number % bound;
        }
    }
}
