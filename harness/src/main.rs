//! The `gauntlet` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // In a lab's own process this does not return.
    lab_init::hook();
    gauntlet::cli::main()
}
