//! later
use crate::page::Layout;
pub(super) fn fire(_: &Layout, _: u32) {}
