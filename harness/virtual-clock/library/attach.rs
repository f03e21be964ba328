//! How a process comes to the page: once, before `main`, and again after each `exec`.

use super::{real, timers, wait};
use crate::page::{Layout, PAGE_PATH, PAGE_VARIABLE, SIZE};
use crate::sys::{self, call};
use core::ffi::{CStr, c_char, c_int};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

static PAGE: AtomicPtr<Layout> = AtomicPtr::new(null_mut());

/// The page, if this process has one.
#[inline]
pub(super) fn page() -> Option<&'static Layout> {
    // SAFETY: null, or a mapping of the whole layout that is never undone.
    unsafe { PAGE.load(Relaxed).as_ref() }
}

#[used]
#[unsafe(link_section = ".init_array")]
static ATTACH: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = attach;

/// glibc gives initialisers what it gives `main`.
pub(super) extern "C" fn attach(_: c_int, _: *const *const c_char, environment: *const *const c_char) {
    let mut path = [0_u8; 256];
    // SAFETY: the environment as the kernel made it, ended by null and followed by the auxiliary vector.
    unsafe { named(environment, &mut path) };
    let Some(page) = map(&path) else { return };
    PAGE.store(core::ptr::from_ref(page).cast_mut(), Relaxed);
    timers::after_exec(page);
    wait::ready(page);
    real::lead_resolver(page);
}

/// The page's path: the lab's, or the environment's where that is to be trusted.
///
/// # Safety
/// `environment` is the process's initial environment, with the auxiliary vector behind it.
unsafe fn named(environment: *const *const c_char, path: &mut [u8; 256]) {
    path[..PAGE_PATH.len()].copy_from_slice(PAGE_PATH.as_bytes());
    let mut at = environment;
    let mut wanted: Option<&CStr> = None;
    // SAFETY: by the caller, a list of C strings ended by null.
    while let Some(entry) = unsafe { at.read().as_ref() } {
        // SAFETY: as above.
        let entry = unsafe { CStr::from_ptr(entry) };
        if let Some(value) = entry.to_bytes().strip_prefix(PAGE_VARIABLE.as_bytes())
            && value.first() == Some(&b'=')
        {
            // SAFETY: within the same string, behind its equals sign.
            wanted = Some(unsafe { CStr::from_ptr(entry.as_ptr().add(PAGE_VARIABLE.len() + 1)) });
        }
        // SAFETY: null has not been met.
        at = unsafe { at.add(1) };
    }
    let Some(wanted) = wanted.map(CStr::to_bytes).filter(|wanted| wanted.len() < path.len()) else { return };
    // SAFETY: the auxiliary vector stands behind the environment's null and is ended by a zero.
    let secure = unsafe { auxiliary(at.add(1).cast(), AT_SECURE) };
    if secure == Some(0) {
        path.fill(0);
        path[..wanted.len()].copy_from_slice(wanted);
    }
}

const AT_SECURE: usize = 23;

/// # Safety
/// `vector` is the auxiliary vector.
unsafe fn auxiliary(mut vector: *const [usize; 2], wanted: usize) -> Option<usize> {
    loop {
        // SAFETY: its zero has not been met.
        let [kind, value] = unsafe { vector.read() };
        match kind {
            0 => return None,
            kind if kind == wanted => return Some(value),
            // SAFETY: as above.
            _ => vector = unsafe { vector.add(1) },
        }
    }
}

fn map(path: &[u8; 256]) -> Option<&'static Layout> {
    const O_RDWR_CLOEXEC: usize = 0o2 | 0o2_000_000;
    const PROT_READ_WRITE: usize = 3;
    const MAP_SHARED: usize = 1;
    // SAFETY: a path ended by zero.
    let fd = unsafe {
        call(sys::OPENAT, [sys::AT_FDCWD as usize, path.as_ptr() as usize, O_RDWR_CLOEXEC, 0, 0, 0])
    };
    if fd < 0 {
        return None;
    }
    let mut stat = [0_u64; 18];
    // SAFETY: a descriptor of ours, and room for the kernel's `struct stat` (144 bytes, or 128).
    let told = unsafe { call(sys::FSTAT, [fd as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    let long_enough = told == 0 && stat[6] >= SIZE as u64;
    // SAFETY: a new mapping at a place of the kernel's choice.
    let at = unsafe {
        if long_enough { call(sys::MMAP, [0, SIZE, PROT_READ_WRITE, MAP_SHARED, fd as usize, 0]) } else { -1 }
    };
    // SAFETY: the descriptor is ours; the mapping does not need it.
    unsafe { call(sys::CLOSE, [fd as usize, 0, 0, 0, 0, 0]) };
    if (-4095..0).contains(&at) {
        return None;
    }
    // SAFETY: the whole layout is mapped, never to be unmapped unless it is not a page.
    let page: &'static Layout = unsafe { &*(at as *const Layout) };
    if page.is_ours() {
        return Some(page);
    }
    // SAFETY: our mapping, and nothing refers to it.
    unsafe { call(sys::MUNMAP, [at as usize, SIZE, 0, 0, 0, 0]) };
    None
}
