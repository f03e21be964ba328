//! x
use super::Finding;
use super::ledger::Ledger;
use crate::record::Record;
pub(super) fn judge(_: &Record, _: &Ledger<'_>) -> Vec<Finding> { Vec::new() }
