//! The command: arguments, exit codes, and nothing that decides.

mod check;
mod doctor;
mod explain;
mod interrupt;
mod json;
mod output;
mod relays;
mod run;
mod serve;

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// How the command ends. Documented in `gauntlet --help` and in the README; each is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing is held against any relay.
    Ok = 0,
    /// A relay violates; with `--strict`, or deviates; or a known failure passes. Of `doctor`: what was asked for cannot be run.
    /// Of `serve`: what the relay said over the wire violates.
    Breach = 1,
    /// The command line or a scenario is wrong.
    Usage = 2,
    /// Something could not be judged: a guard passed, a relay or the lab did not start.
    Unjudged = 3,
    /// Ended by Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const EXIT_CODES: &str = "\
Exit codes:
    0  nothing is held against any relay
    1  a relay violates a requirement (with --strict: or deviates from one), or a known failure passes;
       `doctor`: the built-in relays, or a relay that was asked for, cannot be run here
       `serve`, once it is ended: what the relay said over the wire breaks one
    2  the command line or a scenario is wrong
    3  something could not be judged or told: a relay or the lab did not start, a guard passed, the disk is full
  130  interrupted; nothing is left behind (`serve` ends by Ctrl-C or SIGTERM with 0 or 1; at the second one with this)";

/// Runs scenarios of scripted mail servers against mail relays, and judges what the relays do.
#[derive(Debug, Parser)]
#[command(name = "gauntlet", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios, judge them, and tell what happened.
    Run(RunArguments),
    /// Tell authoring mistakes in scenarios, without running them.
    Check {
        /// Scenario files, or directories of them.
        #[arg(default_value = "scenarios")]
        paths: Vec<PathBuf>,
        /// How mistakes are told.
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        format: check::Format,
    },
    /// Tell in words what happens in a scenario and what is required, by which clause; nothing is run.
    Explain {
        /// Scenario files, or directories of them.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Tell what is here, what is missing, and the command that installs it: for labs, real relays and their roots.
    Doctor {
        /// Relays that must be here, by name or by the path of an adapter; without any, all that come with the harness are told of
        /// and none must be.
        relays: Vec<String>,
        /// How it is told.
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        format: doctor::Format,
    },
    /// Stand a scenario's servers and its DNS up for a relay that runs elsewhere, and tell live who says what to whom; Ctrl-C ends
    /// it, with what is held against the relay.
    Serve(serve::ServeArguments),
    /// List the relays that can be chosen by name.
    Relays {
        /// Only those that are built in, and run anywhere.
        #[arg(long)]
        embedded: bool,
    },
    /// Print the JSON Schema of the scenario language, for editors; it is committed as scenarios/schema.json.
    Schema,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Scenario files, or directories of them.
    #[arg(default_value = "scenarios")]
    paths: Vec<PathBuf>,
    /// Of templates (`for each:`) only the case of this name, `MAIL-451`; can be given several times.
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// The relay under test; given several times, a matrix. `gauntlet relays` lists them; `container:postfix` is one of them in a
    /// container, `container:postfix=IMAGE` in one of another image.
    #[arg(
        long = "relay",
        value_name = "NAME",
        default_value = "reference",
        env = "GAUNTLET_RELAY",
        value_delimiter = ','
    )]
    relays: Vec<String>,
    /// How many runs at a time; by default one for each processor.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Tell each run's whole story: who said what to whom, and when.
    #[arg(long)]
    story: bool,
    /// Exit with 1 also where a relay only deviates from a SHOULD or a field source.
    #[arg(long)]
    strict: bool,
}

/// The command's `main`.
pub fn main() -> ExitCode {
    let exit = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Check { paths, format } => check::check(&paths, format),
        Command::Explain { paths } => explain::explain(&paths),
        Command::Doctor { relays, format } => doctor::doctor(&relays, format),
        Command::Schema => {
            let output = output::Output::default();
            let schema = crate::scenario::schema();
            output.line(&serde_json::to_string_pretty(&schema).expect("texts and numbers alone"));
            output.end(Exit::Ok)
        }
        Command::Relays { embedded } => relays::relays(embedded),
    };
    exit.into()
}

/// Tells a mistake of the command's user on stderr.
fn complain(error: &dyn std::fmt::Display) {
    // Where stderr is gone too there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "error: {error}");
}

/// A relay's name that is none, with the nearest one that is.
fn unknown_relay(name: &str) -> String {
    let names: Vec<&str> = crate::relay::choices().iter().map(|choice| choice.name).collect();
    let guess = nearest(name, &names).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!("`{name}`{guess}\n  relays: {}", names.join(", "))
}

/// The name that is most like a misspelt one, if any is like it.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let nearest = known.iter().max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
    nearest.copied().filter(|nearest| strsim::jaro(nearest, name) > 0.7)
}
