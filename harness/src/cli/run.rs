//! `gauntlet run`: the main job.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use super::output::Output;
use super::reports::Report;
use super::{Exit, Only, RunArguments, all, check, complain, effort, interrupt};
use crate::relay::{self, ChooseError, embedded};
use crate::render;
use crate::report::table::{self, table};
use crate::report::terminal::{self, Style};
use crate::report::{Judged, Kind, LeftOut, NotJudged, Runs, Told};
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
    for report in &arguments.reports {
        if let Err(exit) = report.try_file() {
            return exit;
        }
    }
    let cancel = Cancel::default();
    interrupt::cancel_on_signals(&cancel, "interrupted: ending the runs");
    let (relays, left_out) = if arguments.all { with_all(relays) } else { (relays, Vec::new()) };

    let for_program = arguments.reports.iter().any(Report::is_on_stdout);
    let output = if for_program { Output::on_stderr() } else { Output::default() };
    let (style, total) = (output.style(), scenarios.len() * relays.len());
    let progress = Progress::new(total);
    let several = relays.len() > 1;
    let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    let jobs = arguments.jobs.unwrap_or_else(effort::processors);

    let is_told = shows_matrix(arguments, &relays) || !arguments.reports.is_empty();
    let cells = matrix(
        &scenarios,
        &relays,
        jobs,
        &cancel,
        |scenario, relay, outcome, took| {
            let result = match outcome {
                Ok(record) => {
                    let mut verdict = verdict::judge(scenario, &record);
                    known.apply(scenario, &record.relay.name, &mut verdict);
                    Ok((record, verdict))
                }
                Err(RunError::Unsupported(reason)) => Err(NotJudged::Unsupported(reason.to_string())),
                Err(error) => Err(NotJudged::Failed(error.to_string())),
            };
            let told = match &result {
                Ok((record, verdict)) if is_told => Told::of(record, verdict),
                _ => Told::default(),
            };
            Judged {
                scenario: scenario.name.clone(),
                title: scenario.title.clone(),
                path: scenario.path.clone(),
                case: scenario.case.clone(),
                relay: relay.to_owned(),
                result,
                told,
                took,
            }
        },
        |cell| {
            let line = (!arguments.matrix).then(|| terminal::line(&cell.result, several, width, style));
            progress.done(&output, line.as_deref(), cell.result.kind());
        },
    );
    progress.clear();
    let judged: Vec<Judged> = cells.into_iter().map(|cell| cell.result).collect();
    let effort = effort::since(began, jobs);
    let runs =
        Runs { judged: &judged, relays: &relays, scenarios: scenarios.len(), left_out: &left_out, effort };
    tell(arguments, &runs, style, &output);
    if cancel.is_cancelled() {
        output.line(&format!("interrupted after {} of {total} runs", judged.len()));
    } else {
        output.line(&terminal::summary(&runs, style));
    }
    let mut ends = output.end(exit(&judged, arguments.strict));
    for report in &arguments.reports {
        // Each is written, whatever becomes of the others.
        ends = report.write(&runs).err().unwrap_or(ends);
    }
    if cancel.is_cancelled() { Exit::Interrupted } else { ends }
}

/// With those that were asked for, every relay that can be run here; second, those that cannot.
fn with_all(asked: Vec<String>) -> (Vec<String>, Vec<LeftOut>) {
    let (mut relays, mut left_out) = all::runnable();
    left_out.retain(|left_out| !asked.contains(&left_out.relay));
    let more: Vec<String> = asked.into_iter().filter(|name| !relays.contains(name)).collect();
    relays.extend(more);
    (relays, left_out)
}

/// What there is to read after the lines of progress.
fn tell(arguments: &RunArguments, runs: &Runs<'_>, style: Style, output: &Output) {
    if arguments.story {
        for judged in runs.judged {
            if let Ok((record, _)) = &judged.result {
                output.line(&format!("\n# {} on {}: {}\n", judged.scenario, judged.relay, judged.title));
                output.line(&format!("{}\n", render::story(record).trim_end()));
                output.line(terminal::judgement(judged, style).trim_end());
            }
        }
    }
    if !arguments.matrix {
        output.line("");
        for judged in runs.judged {
            let details = terminal::details(judged, style);
            if !details.is_empty() {
                output.line(&details);
            }
        }
    }
    if shows_matrix(arguments, runs.relays) {
        let only = match arguments.only {
            None => table::Only::All,
            Some(Only::Different) => table::Only::Different,
        };
        output.line(&table(runs, only, output.width(), style));
    }
}

/// Whether there is a table to read.
fn shows_matrix(arguments: &RunArguments, relays: &[String]) -> bool {
    relays.len() > 1 || arguments.matrix || arguments.all || arguments.only.is_some()
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

/// Finished runs as they come; on a terminal also how many are still to come, and what has come of those before.
struct Progress {
    total: usize,
    live: bool,
    finished: RefCell<BTreeMap<Kind, usize>>,
}

impl Progress {
    fn new(total: usize) -> Self {
        Self { total, live: std::io::stderr().is_terminal(), finished: RefCell::default() }
    }

    fn done(&self, output: &Output, line: Option<&str>, kind: Kind) {
        self.clear();
        if let Some(line) = line {
            output.line(line);
        }
        let mut finished = self.finished.borrow_mut();
        *finished.entry(kind).or_default() += 1;
        let count: usize = finished.values().sum();
        if self.live && count < self.total {
            let kinds = Kind::ALL.iter().filter_map(|kind| Some((finished.get(kind)?, kind.word())));
            let kinds: Vec<String> = kinds.map(|(count, word)| format!("{count} {word}")).collect();
            let line = format!("{count} of {}: {}", self.total, kinds.join(", "));
            // What is broken into two lines cannot be taken away again.
            let width = Output::on_stderr().width().map_or(usize::MAX, |width| width.saturating_sub(1));
            let line: String = line.chars().take(width).collect();
            let mut stderr = std::io::stderr();
            let _ = write!(stderr, "\r{line}").and_then(|()| stderr.flush());
        }
    }

    fn clear(&self) {
        if self.live {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
