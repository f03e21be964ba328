//! `gauntlet doctor`: what is here, what is missing, and the command that installs it.

use std::io::Write as _;

use super::output::Output;
use super::{Exit, complain};
use crate::doctor::{self, Diagnosis};
use crate::relay::adapter::Adapter;
use crate::relay::{self, ChooseError, Chosen, container};

/// How a diagnosis is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON array with an object for each thing that was looked at.
    Json,
}

/// Looks for these relays, or else for all that come with the harness.
pub(super) fn doctor(asked: &[String], format: Format) -> Exit {
    let all = || {
        let in_containers = container::BUILT.iter().map(|name| format!("{}{name}", container::PREFIX));
        Adapter::shipped().iter().map(|name| (*name).to_owned()).chain(in_containers).collect()
    };
    let names: Vec<String> = if asked.is_empty() { all() } else { asked.to_vec() };
    let mut real: Vec<Adapter> = Vec::new();
    let mut silent = Vec::new();
    for name in names {
        match relay::choose(&name) {
            Ok(Chosen::Embedded) => {}
            Ok(Chosen::Process(adapter)) => real.push(Adapter::clone(&adapter)),
            // There is nothing of it here that could be missing.
            Ok(Chosen::External(external)) => silent.extend(relay::external::reach(&external).err()),
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
    let diagnosis = Diagnosis::of(&doctor::look(&real));
    let output = Output::default();
    output.line(&match format {
        Format::Text => diagnosis.page(),
        Format::Json => diagnosis.json(),
    });
    let needed = real.into_iter().filter(|_| !asked.is_empty());
    let needed: Vec<String> =
        needed.map(|adapter| container::choice(&adapter).unwrap_or(adapter.name)).collect();
    for why in &silent {
        complain(why);
    }
    output.end(if diagnosis.can_run(&needed) && silent.is_empty() { Exit::Ok } else { Exit::Breach })
}
