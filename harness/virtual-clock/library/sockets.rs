//! Sockets' own timeouts: SO_RCVTIMEO, SO_SNDTIMEO, and the time after which the kernel gives up to connect. The options
//! are set on the socket as the program says, so that they follow it through `dup`, `fork` and `exec`; in a process that
//! has set one, each call on a socket that has one waits on the page first. In all other processes, and without a page, the
//! call is the C library's.

use super::{page, real, result, result_int, set_errno, waits};
use crate::sys::{self, Timeval, call};
use core::ffi::{CStr, c_int, c_long, c_void};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

const SOL_SOCKET: c_int = 1;
const SO_ERROR: c_int = 4;
const SO_RCVTIMEO: c_int = 20;
const SO_SNDTIMEO: c_int = 21;
const POLLIN: i16 = 1;
const POLLOUT: i16 = 4;
const EAGAIN: c_int = 11;
const EINPROGRESS: isize = 115;
const ETIMEDOUT: c_int = 110;
const F_GETFL: usize = 3;
const F_SETFL: usize = 4;
const O_NONBLOCK: usize = 0o4000;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// What `tcp_syn_retries` = 6 comes to: 1 + 2 + 4 + 8 + 16 + 32 + 64 seconds (tcp(7)).
const SYN_GIVES_UP: u64 = 127_000_000_000;

/// Whether this process has ever set a socket's timeout.
static USED: AtomicBool = AtomicBool::new(false);

/// One of the C library's functions, found once.
struct Real(AtomicUsize, &'static CStr);

impl Real {
    const fn new(name: &'static CStr) -> Self {
        Real(AtomicUsize::new(0), name)
    }

    /// # Safety
    /// `F` is a function pointer of the function's signature.
    unsafe fn get<F: Copy>(&self) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<usize>()) }
        let mut address = self.0.load(Relaxed);
        if address == 0 {
            address = real::find(self.1)?.0;
            self.0.store(address, Relaxed);
        }
        // SAFETY: by the caller, and of the same size.
        Some(unsafe { core::mem::transmute_copy::<usize, F>(&address) })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: u32,
) -> c_int {
    if level == SOL_SOCKET && [SO_RCVTIMEO, SO_SNDTIMEO].contains(&name) && page().is_some() {
        USED.store(true, Relaxed);
    }
    let (level, name) = (level as usize, name as usize);
    // SAFETY: the program's arguments, which the kernel checks.
    result_int(unsafe {
        call(sys::SETSOCKOPT, [fd as usize, level, name, value as usize, length as usize, 0])
    })
}

fn option<T: Default>(fd: c_int, name: c_int) -> Option<T> {
    let (mut value, mut length) = (T::default(), size_of::<T>() as u32);
    let (at, length_at) = (&raw mut value as usize, &raw mut length as usize);
    // SAFETY: a place of ours of that length.
    let told =
        unsafe { call(sys::GETSOCKOPT, [fd as usize, SOL_SOCKET as usize, name as usize, at, length_at, 0]) };
    (told == 0).then_some(value)
}

/// The socket's timeout, if it has one and waits at all.
fn timeout(fd: c_int, name: c_int) -> Option<u64> {
    if !USED.load(Relaxed) {
        return None;
    }
    let ns = option::<Timeval>(fd, name)?.ns().filter(|ns| *ns > 0)?;
    (flags(fd) & O_NONBLOCK == 0).then_some(ns)
}

fn flags(fd: c_int) -> usize {
    // SAFETY: numbers alone.
    unsafe { call(sys::FCNTL, [fd as usize, F_GETFL, 0, 0, 0, 0]) as usize }
}

/// Waits until the descriptor is ready, or `ns` have passed: poll's result.
fn ready(fd: c_int, events: i16, ns: u64) -> isize {
    #[repr(C)]
    struct Poll {
        fd: c_int,
        events: i16,
        told: i16,
    }
    let mut poll = Poll { fd, events, told: 0 };
    // SAFETY: one entry, of ours.
    unsafe { waits::poll_for((&raw mut poll).cast(), 1, Some(ns), None) }
}

/// Whether the call may go on; if not, `errno` says why.
fn may(fd: c_int, name: c_int, events: i16) -> bool {
    match timeout(fd, name).map(|ns| ready(fd, events, ns)) {
        Some(0) => {
            set_errno(EAGAIN);
            false
        }
        Some(error) if error < 0 => result(error) == 0,
        _ => true,
    }
}

macro_rules! guarded {
    ($($option:ident $events:ident $name:ident($fd:ident $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($fd: c_int $(, $argument: $type)*) -> $result {
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name without zeros"),
            };
            static REAL: Real = Real::new(NAME);
            if !may($fd, $option, $events) {
                return -1;
            }
            // SAFETY: the C library's function of this signature, with the program's arguments.
            unsafe {
                match REAL.get::<unsafe extern "C" fn(c_int $(, $type)*) -> $result>() {
                    Some(real) => real($fd $(, $argument)*),
                    None => -1,
                }
            }
        }
    )*};
}

guarded! {
    SO_RCVTIMEO POLLIN read(fd, buffer: *mut c_void, length: usize) -> c_long;
    SO_RCVTIMEO POLLIN readv(fd, vector: *const c_void, count: c_int) -> c_long;
    SO_RCVTIMEO POLLIN recv(fd, buffer: *mut c_void, length: usize, flags: c_int) -> c_long;
    SO_RCVTIMEO POLLIN recvfrom(fd, buffer: *mut c_void, length: usize, flags: c_int, address: *mut c_void, size: *mut u32) -> c_long;
    SO_RCVTIMEO POLLIN recvmsg(fd, message: *mut c_void, flags: c_int) -> c_long;
    SO_RCVTIMEO POLLIN accept(fd, address: *mut c_void, size: *mut u32) -> c_int;
    SO_RCVTIMEO POLLIN accept4(fd, address: *mut c_void, size: *mut u32, flags: c_int) -> c_int;
    SO_SNDTIMEO POLLOUT write(fd, buffer: *const c_void, length: usize) -> c_long;
    SO_SNDTIMEO POLLOUT writev(fd, vector: *const c_void, count: c_int) -> c_long;
    SO_SNDTIMEO POLLOUT send(fd, buffer: *const c_void, length: usize, flags: c_int) -> c_long;
    SO_SNDTIMEO POLLOUT sendto(fd, buffer: *const c_void, length: usize, flags: c_int, address: *const c_void, size: u32) -> c_long;
    SO_SNDTIMEO POLLOUT sendmsg(fd, message: *const c_void, flags: c_int) -> c_long;
}

/// A blocking connect to a host that does not answer: the kernel's own timer is real, so the socket is made not to block,
/// and the wait is on the page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect(fd: c_int, address: *const c_void, length: u32) -> c_int {
    let plain = || {
        // SAFETY: the program's arguments, which the kernel checks.
        unsafe { call(sys::CONNECT, [fd as usize, address as usize, length as usize, 0, 0, 0]) }
    };
    let set = |flags: usize| {
        // SAFETY: numbers alone.
        unsafe { call(sys::FCNTL, [fd as usize, F_SETFL, flags, 0, 0, 0]) };
    };
    // SAFETY: the program's own place; an address is at least its family.
    let family = if length >= 2 { unsafe { super::given(address.cast::<u16>()) } } else { None };
    let flags = flags(fd);
    if page().is_none() || !matches!(family, Some(AF_INET | AF_INET6)) || flags & O_NONBLOCK != 0 {
        return result_int(plain());
    }
    let limit = option::<Timeval>(fd, SO_SNDTIMEO).and_then(Timeval::ns).filter(|ns| *ns > 0);
    set(flags | O_NONBLOCK);
    let begun = plain();
    set(flags);
    if begun != -EINPROGRESS {
        return result_int(begun);
    }
    match ready(fd, POLLOUT, limit.unwrap_or(SYN_GIVES_UP)) {
        0 if limit.is_some() => result_int(-EINPROGRESS),
        0 => {
            set_errno(ETIMEDOUT);
            -1
        }
        error if error < 0 => result_int(error),
        _ => result_int(-option::<c_int>(fd, SO_ERROR).unwrap_or(0) as isize),
    }
}
