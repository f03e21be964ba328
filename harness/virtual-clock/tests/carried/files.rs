//! The times of files.
pub(crate) fn probe() {}
