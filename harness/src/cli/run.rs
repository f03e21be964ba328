//! `gauntlet run`: the main job.

use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::time::Instant;

use super::output::Output;
use super::{Exit, RunArguments, check, complain, interrupt};
use crate::relay::{self, ChooseError, embedded};
use crate::render;
use crate::report::terminal::{self, Style};
use crate::report::{Judged, Kind, NotJudged};
use crate::run::{Cancel, RunError, matrix};
use crate::scenario::Scenario;
use crate::verdict;

/// Runs, judges, tells.
pub(super) fn run(arguments: &RunArguments) -> Exit {
    let began = Instant::now();
    let relays = chosen(&arguments.relays);
    for name in &relays {
        match relay::choose(name) {
            Ok(_) => {}
            Err(ChooseError::Unknown(name)) => {
                complain(&format!("there is no relay {}", super::unknown_relay(&name)));
                return Exit::Usage;
            }
            Err(ChooseError::Adapter(mistakes)) => {
                let _ = writeln!(std::io::stderr(), "{mistakes}");
                complain(&format!("the adapter {name} cannot be read as it stands"));
                return Exit::Usage;
            }
            Err(error @ (ChooseError::BuiltIn(_) | ChooseError::Elsewhere(_))) => {
                complain(&error);
                return Exit::Usage;
            }
        }
    }
    let (scenarios, known) = match check::load_all(&arguments.paths) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let scenarios = match of_cases(scenarios, &arguments.cases) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    let cancel = Cancel::default();
    interrupt::cancel_on_signals(&cancel, "interrupted: ending the runs");

    let style = Style::of_stdout();
    let (output, total) = (Output::default(), scenarios.len() * relays.len());
    let progress = Progress::new(total);
    let several = relays.len() > 1;
    let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    let jobs =
        arguments.jobs.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);

    let cells = matrix(
        &scenarios,
        &relays,
        jobs,
        &cancel,
        |scenario, relay, outcome| Judged {
            scenario: scenario.name.clone(),
            title: scenario.title.clone(),
            path: scenario.path.clone(),
            case: scenario.case.clone(),
            relay: relay.to_owned(),
            result: match outcome {
                Ok(record) => {
                    let mut verdict = verdict::judge(scenario, &record);
                    known.apply(scenario, &record.relay.name, &mut verdict);
                    Ok((record, verdict))
                }
                Err(RunError::Unsupported(reason)) => Err(NotJudged::Unsupported(reason.to_string())),
                Err(error) => Err(NotJudged::Failed(error.to_string())),
            },
        },
        |cell| progress.done(&output, &terminal::line(&cell.result, several, width, style)),
    );
    progress.clear();
    let judged: Vec<Judged> = cells.into_iter().map(|cell| cell.result).collect();
    tell(arguments, &relays, &judged, style, &output);
    if cancel.is_cancelled() {
        output.line(&format!("interrupted after {} of {total} runs", judged.len()));
        return Exit::Interrupted;
    }
    output.line(&terminal::summary(&judged, began.elapsed(), style));
    output.end(exit(&judged, arguments.strict))
}

/// What there is to read after the lines of progress.
fn tell(arguments: &RunArguments, relays: &[String], judged: &[Judged], style: Style, output: &Output) {
    if arguments.story {
        for judged in judged {
            if let Ok((record, _)) = &judged.result {
                output.line(&format!("\n# {} on {}: {}\n", judged.scenario, judged.relay, judged.title));
                output.line(&format!("{}\n", render::story(record).trim_end()));
                output.line(terminal::judgement(judged, style).trim_end());
            }
        }
    }
    output.line("");
    for judged in judged {
        let details = terminal::details(judged, style);
        if !details.is_empty() {
            output.line(&details);
        }
    }
    if relays.len() > 1 {
        output.line(&terminal::table(judged, relays, style));
    }
}

/// With `--case`, the cases of these names alone; each name must be that of a case.
pub(super) fn of_cases(mut scenarios: Vec<Scenario>, asked: &[String]) -> Result<Vec<Scenario>, Exit> {
    if asked.is_empty() {
        return Ok(scenarios);
    }
    let known: Vec<&str> = scenarios.iter().filter_map(|scenario| scenario.case.as_deref()).collect();
    if let Some(name) = asked.iter().find(|name| !known.contains(&name.as_str())) {
        let hint = match super::nearest(name, &known) {
            Some(nearest) => format!("; did you mean `{nearest}`?"),
            None if known.is_empty() => ": no file here has cases (`for each:`)".to_owned(),
            None => format!("\n  cases: {}", known.join(", ")),
        };
        complain(&format!("there is no case `{name}`{hint}"));
        return Err(Exit::Usage);
    }
    scenarios.retain(|scenario| scenario.case.as_ref().is_some_and(|case| asked.contains(case)));
    Ok(scenarios)
}

/// Each relay once; none at all (an empty `GAUNTLET_RELAY`) is the reference relay.
fn chosen(asked: &[String]) -> Vec<String> {
    let mut relays: Vec<String> = Vec::new();
    for name in asked.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        if !relays.iter().any(|known| known == name) {
            relays.push(name.to_owned());
        }
    }
    if relays.is_empty() { vec![embedded::REFERENCE.to_owned()] } else { relays }
}

fn exit(judged: &[Judged], strict: bool) -> Exit {
    let any = |kind| judged.iter().any(|judged| judged.kind() == kind);
    if any(Kind::Violates) || any(Kind::PassesNow) || strict && any(Kind::Deviates) {
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

    fn done(&self, output: &Output, line: &str) {
        self.clear();
        output.line(line);
        self.finished.set(self.finished.get() + 1);
        if self.live && self.finished.get() < self.total {
            let mut stderr = std::io::stderr();
            let _ =
                write!(stderr, "\r{} of {} ", self.finished.get(), self.total).and_then(|()| stderr.flush());
        }
    }

    fn clear(&self) {
        if self.live {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
