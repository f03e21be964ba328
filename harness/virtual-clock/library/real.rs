//! The C library's own functions, found in its symbol table: this library imports next to nothing, so that it loads with
//! every version of glibc and into every program.

use crate::page::{Layout, told};
use crate::sys::{self, call as system_call};
use core::ffi::{CStr, c_char};
use core::sync::atomic::Ordering::SeqCst;

/// `struct link_map` of `<link.h>`, as far as it is public.
#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const [usize; 2],
    next: *const LinkMap,
    previous: *const LinkMap,
}

/// `struct r_debug` of `<link.h>`.
#[repr(C)]
struct Debug {
    version: i32,
    objects: *const LinkMap,
}

unsafe extern "C" {
    static _r_debug: Debug;
}

/// `Elf64_Sym` of `<elf.h>`.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

/// A loaded object's tables.
struct Object {
    base: usize,
    hash: *const u32,
    symbols: *const Symbol,
    strings: *const c_char,
    versions: *const u16,
}

impl Object {
    /// # Safety
    /// `map` is one of the dynamic linker's.
    unsafe fn of(map: &LinkMap) -> Option<Object> {
        const STRTAB: usize = 5;
        const SYMTAB: usize = 6;
        const GNU_HASH: usize = 0x6fff_fef5;
        const VERSYM: usize = 0x6fff_fff0;
        let (mut hash, mut symbols, mut strings, mut versions) = (0, 0, 0, 0);
        let mut at = map.dynamic;
        // SAFETY: the dynamic section, ended by a zero.
        while let [tag, value] = unsafe { at.read() }
            && tag != 0
        {
            // glibc has added the base already, except in the kernel's own object.
            let value = if value < map.base { value + map.base } else { value };
            match tag {
                STRTAB => strings = value,
                SYMTAB => symbols = value,
                GNU_HASH => hash = value,
                VERSYM => versions = value,
                _ => {}
            }
            // SAFETY: the zero has not been met.
            at = unsafe { at.add(1) };
        }
        if [hash, symbols, strings, versions].contains(&0) {
            return None;
        }
        Some(Object {
            base: map.base,
            hash: hash as *const u32,
            symbols: symbols as *const Symbol,
            strings: strings as *const c_char,
            versions: versions as *const u16,
        })
    }

    /// The function's address and size in its default version. An indirect function (chosen at load time) is none.
    ///
    /// # Safety
    /// The tables are those of a loaded object.
    unsafe fn function(&self, name: &CStr) -> Option<(usize, usize)> {
        const FUNCTION: u8 = 2;
        const HIDDEN: u16 = 0x8000;
        let hash = name
            .to_bytes()
            .iter()
            .fold(5_381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)));
        // SAFETY: the GNU hash table's layout: four words, a filter of 64-bit words, the buckets, the chains.
        unsafe {
            let [buckets, first, filter, _] = self.hash.cast::<[u32; 4]>().read();
            let bucket_at = self.hash.add(4 + filter as usize * 2);
            let chains = bucket_at.add(buckets as usize);
            let mut index = bucket_at.add((hash % buckets.max(1)) as usize).read();
            if index < first {
                return None;
            }
            loop {
                let entry = chains.add((index - first) as usize).read();
                let symbol = &*self.symbols.add(index as usize);
                if (entry | 1) == (hash | 1)
                    && symbol.info & 0xf == FUNCTION
                    && symbol.section != 0
                    && self.versions.add(index as usize).read() & HIDDEN == 0
                    && CStr::from_ptr(self.strings.add(symbol.name as usize)) == name
                {
                    return Some((self.base + symbol.value as usize, symbol.size as usize));
                }
                if entry & 1 == 1 {
                    return None;
                }
                index += 1;
            }
        }
    }
}

/// The C library's function, and how long it is.
pub(super) fn find(name: &CStr) -> Option<(usize, usize)> {
    // SAFETY: the dynamic linker's list, which grows at its end only while programs load more.
    let mut map = unsafe { _r_debug.objects };
    // SAFETY: as above.
    while let Some(object) = unsafe { map.as_ref() } {
        // SAFETY: names are C strings.
        let file = unsafe { CStr::from_ptr(object.name) }.to_bytes();
        let file = file.rsplit(|byte| *byte == b'/').next().unwrap_or(file);
        if (file.starts_with(b"libc.so.") || file.starts_with(b"libpthread.so.") || file.starts_with(b"librt.so."))
            // SAFETY: a loaded object and its tables.
            && let Some(found) = unsafe { Object::of(object).and_then(|object| object.function(name)) }
        {
            return Some(found);
        }
        map = object.next;
    }
    None
}

/// The C library's function of this name, as a function of type `F`.
///
/// # Safety
/// `F` is a function pointer of that function's signature.
pub(super) unsafe fn call<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<usize>()) }
    let (address, _) = find(name)?;
    // SAFETY: by the caller, and of the same size.
    Some(unsafe { core::mem::transmute_copy::<usize, F>(&address) })
}

/// Leads the C library's own calls of `poll` and `clock_gettime` (its resolver's, `syslog`'s) to this library: they do not
/// go through symbols. A jump is written over the start of each function, in this process's own copy of the page.
pub(super) fn lead_resolver(page: &Layout) {
    let ours: [(&CStr, usize); 2] = [
        (c"poll", super::waits::poll as *const () as usize),
        (c"clock_gettime", super::clocks::clock_gettime as *const () as usize),
    ];
    for (name, to) in ours {
        let done = find(name).is_some_and(|(at, size)| size >= JUMP.len() + 8 && lead(at, to));
        if !done {
            page.told.fetch_or(told::RESOLVER_REAL, SeqCst);
        }
    }
}

/// An absolute jump; the address stands behind it.
#[cfg(target_arch = "x86_64")]
const JUMP: [u8; 6] = [0xff, 0x25, 0, 0, 0, 0]; // jmp *(%rip)
/// An absolute jump; the address stands behind it.
#[cfg(target_arch = "aarch64")]
const JUMP: [u8; 8] = [0x50, 0, 0, 0x58, 0, 0x02, 0x1f, 0xd6]; // ldr x16, .+8; br x16

fn lead(at: usize, to: usize) -> bool {
    const PAGE: usize = 4_096;
    const READ_WRITE: usize = 3;
    const READ_EXECUTE: usize = 5;
    // Whole pages of any size that the kernel may have.
    const WHOLE: usize = if cfg!(target_arch = "aarch64") { 65_536 } else { PAGE };
    let start = at / WHOLE * WHOLE;
    let length = (at + JUMP.len() + 8).div_ceil(WHOLE) * WHOLE - start;
    // SAFETY: pages of the C library's code that this process has mapped privately. Nothing runs in them meanwhile: the
    // process has one thread, and it is here.
    unsafe {
        if system_call(sys::MPROTECT, [start, length, READ_WRITE, 0, 0, 0]) != 0 {
            return false;
        }
        core::ptr::copy_nonoverlapping(JUMP.as_ptr(), at as *mut u8, JUMP.len());
        ((at + JUMP.len()) as *mut usize).write_unaligned(to);
        system_call(sys::MPROTECT, [start, length, READ_EXECUTE, 0, 0, 0]);
    }
    flush(at);
    true
}

#[cfg(target_arch = "x86_64")]
fn flush(_: usize) {}

/// Code that was written must leave the data cache, and the instruction cache must not keep what was there.
#[cfg(target_arch = "aarch64")]
fn flush(at: usize) {
    for line in [at, at + 8] {
        // SAFETY: cache maintenance by address of mapped code, which user space may do on Linux.
        unsafe {
            core::arch::asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", "isb", in(reg) line);
        }
    }
}
