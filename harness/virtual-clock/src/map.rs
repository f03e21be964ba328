//! The page as the harness and the driver map it.

use crate::error::ClockError;
use crate::page::{Layout, MAGIC, SIZE, VERSION};
use crate::sys::{self, CLOCK_REALTIME_COARSE, call, kernel_clock};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

/// A page that is mapped here. All who map the same file share it.
#[derive(Debug)]
pub struct Page(&'static Layout);

impl Page {
    /// Makes a page at `path`, whose real-time clock starts at `epoch` (nanoseconds since 1970), and maps it. Every user
    /// may write to it: programs run under many.
    pub fn create(path: &Path, epoch: u64) -> Result<Page, ClockError> {
        let failed = |error| ClockError::system(format!("making the page {}", path.display()), error);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.map_err(failed)?;
        file.set_permissions(Permissions::from_mode(0o666)).map_err(failed)?;
        Page::make(&file, epoch)
    }

    /// Makes the page in an open, empty file (or shared memory) and maps it.
    pub fn make(file: &File, epoch: u64) -> Result<Page, ClockError> {
        file.set_len(SIZE as u64).map_err(|error| ClockError::system("sizing the page", error))?;
        let page = map(file)?;
        page.epoch.store(epoch, SeqCst);
        page.started.store(kernel_clock(CLOCK_REALTIME_COARSE), SeqCst);
        page.version.store(VERSION, SeqCst);
        page.magic.store(MAGIC, SeqCst);
        Ok(Page(page))
    }

    /// Has programs draw other random numbers than with another seed. To be called before any does.
    pub fn seed(&self, seed: u32) {
        // Each seed has 2^32 numbers of the one sequence to itself.
        self.0.drawn.store(u64::from(seed) << 32, SeqCst);
    }

    /// Maps a page that was made elsewhere.
    pub fn map(file: &impl AsFd) -> Result<Page, ClockError> {
        let page = Page(map(file)?);
        if page.is_ours() { Ok(page) } else { Err(ClockError::NotAPage("what is mapped".to_owned())) }
    }

    /// The run's time in nanoseconds since its start: the frozen time of this step.
    pub fn now(&self) -> u64 {
        self.0.now.load(SeqCst)
    }

    /// What happened in programs that the harness should know, and forgets it: bits of [`crate::page::told`].
    pub fn take_told(&self) -> u64 {
        self.0.told.swap(0, SeqCst)
    }
}

impl Deref for Page {
    type Target = Layout;
    fn deref(&self) -> &Layout {
        self.0
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: our own mapping; references to it cannot outlive `self`, through which alone they are had.
        unsafe { call(sys::MUNMAP, [std::ptr::from_ref(self.0) as usize, SIZE, 0, 0, 0, 0]) };
    }
}

fn map(file: &impl AsFd) -> Result<&'static Layout, ClockError> {
    const READ_WRITE: usize = 3;
    const SHARED: usize = 1;
    let fd = file.as_fd();
    let copy = fd.try_clone_to_owned().map(File::from);
    let long = copy
        .and_then(|file| file.metadata())
        .map_err(|error| ClockError::system("mapping the page", error))?;
    if long.len() < SIZE as u64 {
        return Err(ClockError::NotAPage("a shorter file".to_owned()));
    }
    // SAFETY: a new mapping at a place of the kernel's choice.
    let at = unsafe { call(sys::MMAP, [0, SIZE, READ_WRITE, SHARED, fd.as_raw_fd() as usize, 0]) };
    if at < 0 {
        return Err(ClockError::system("mapping the page", io::Error::from_raw_os_error(-at as i32)));
    }
    // SAFETY: the whole layout is mapped, of atomics alone, for which every pattern of bits is valid.
    Ok(unsafe { &*(at as *const Layout) })
}
