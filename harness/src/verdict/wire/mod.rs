//! x
use super::Finding;
use crate::record::Record;
use crate::scenario::Scenario;
pub(super) fn judge(_: &Scenario, _: &Record) -> Vec<Finding> { Vec::new() }
