//! Carries a scenario out: steps, settling, and the matrix of relays and scenarios. What comes out is a record.

mod cancel;
mod clock;
mod compose;
mod execute;
mod external;
mod intake;
mod matrix;
mod mime;
#[cfg(test)]
mod tests;
mod watch;

pub use cancel::Cancel;
pub use execute::{RunError, RunOptions, run, run_chosen};
pub use matrix::{Cell, matrix};
