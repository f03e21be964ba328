//! `gauntlet run`: the main job.

use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::time::Instant;

use super::{Exit, RunArguments, check, complain, interrupt};
use crate::relay::embedded;
use crate::render;
use crate::report::terminal::{self, Style};
use crate::report::{Judged, Kind, NotJudged};
use crate::run::{Cancel, RunError, matrix};
use crate::verdict;

/// Runs, judges, tells.
pub(super) fn run(arguments: &RunArguments) -> Exit {
    let began = Instant::now();
    if let Some(unknown) = arguments.relays.iter().find(|name| !embedded::exists(name)) {
        complain(&format!("there is no relay {}", super::unknown_relay(unknown)));
        return Exit::Usage;
    }
    let scenarios = match check::load_all(&arguments.paths) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    let cancel = Cancel::default();
    interrupt::cancel_on_signals(&cancel);

    let style = Style { colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() };
    let progress = Progress::new(scenarios.len() * arguments.relays.len());
    let several = arguments.relays.len() > 1;
    let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    let jobs =
        arguments.jobs.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);

    let cells = matrix(
        &scenarios,
        &arguments.relays,
        jobs,
        &cancel,
        |scenario, relay, outcome| Judged {
            scenario: scenario.name.clone(),
            title: scenario.title.clone(),
            path: scenario.path.clone(),
            relay: relay.to_owned(),
            result: match outcome {
                Ok(record) => {
                    let verdict = verdict::judge(scenario, &record);
                    Ok((record, verdict))
                }
                Err(RunError::Unsupported(reason)) => Err(NotJudged::Unsupported(reason.to_string())),
                Err(error) => Err(NotJudged::Failed(error.to_string())),
            },
        },
        |cell| progress.done(&terminal::line(&cell.result, several, width, style)),
    );
    progress.clear();
    let judged: Vec<Judged> = cells.into_iter().map(|cell| cell.result).collect();
    tell(arguments, &judged, style);
    println!("{}", terminal::summary(&judged, began.elapsed(), style));
    if cancel.is_cancelled() {
        return Exit::Interrupted;
    }
    exit(&judged, arguments.strict)
}

/// What there is to read after the lines of progress.
fn tell(arguments: &RunArguments, judged: &[Judged], style: Style) {
    if arguments.story {
        for judged in judged {
            if let Ok((record, _)) = &judged.result {
                println!("\n# {} on {}: {}\n", judged.scenario, judged.relay, judged.title);
                println!("{}\n", render::story(record).trim_end());
                print!("{}", terminal::judgement(judged, style));
            }
        }
    }
    println!();
    for judged in judged {
        let details = terminal::details(judged, style);
        if !details.is_empty() {
            println!("{details}");
        }
    }
    if arguments.relays.len() > 1 {
        println!("{}", terminal::table(judged, &arguments.relays, style));
    }
}

fn exit(judged: &[Judged], strict: bool) -> Exit {
    let any = |kind| judged.iter().any(|judged| judged.kind() == kind);
    if any(Kind::Violates) || strict && any(Kind::Deviates) {
        Exit::Breach
    } else if any(Kind::Inconclusive) {
        Exit::Unjudged
    } else {
        Exit::Ok
    }
}

/// Finished runs as they come; on a terminal also how many are still to come.
struct Progress {
    total: usize,
    live: bool,
    finished: std::cell::Cell<usize>,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self { total, live: std::io::stderr().is_terminal(), finished: std::cell::Cell::new(0) }
    }

    fn done(&self, line: &str) {
        self.clear();
        println!("{line}");
        self.finished.set(self.finished.get() + 1);
        if self.live && self.finished.get() < self.total {
            eprint!("\r{} of {} ", self.finished.get(), self.total);
            let _ = std::io::stderr().flush();
        }
    }

    fn clear(&self) {
        if self.live {
            eprint!("\r\x1b[K");
        }
    }
}
