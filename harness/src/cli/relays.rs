//! `gauntlet relays`: the relays that can be chosen by name.

use super::Exit;
use super::output::Output;
use crate::relay::roots::{self, Whereabouts};
use crate::relay::{self, Chosen, embedded};

/// Lists them, each with what it is; real ones also with where they are. Nothing is run.
pub(super) fn relays(only_embedded: bool) -> Exit {
    let output = Output::default();
    let choices = if only_embedded { embedded::choices() } else { relay::choices() };
    for choice in choices {
        let place = match relay::choose(choice.name) {
            Ok(Chosen::Process(adapter)) => format!(" ({})", place(&adapter)),
            _ => String::new(),
        };
        output.line(&format!("{:<20} {}{place}", choice.name, choice.about));
    }
    output.end(Exit::Ok)
}

/// Where it is; of a prepared root also the package's version, which is cheap to tell.
fn place(adapter: &relay::adapter::Adapter) -> String {
    match roots::find(adapter) {
        Whereabouts { root: None, .. } => format!("not here: gauntlet doctor {}", adapter.name),
        Whereabouts { root: Some(root), prepared } if Some(&root) == prepared.as_ref() => {
            let packages = roots::made(adapter, &root).map(|made| made.packages).unwrap_or_default();
            let own = packages.iter().find(|(name, _)| Some(name) == adapter.packages.first());
            let package = own.map_or_else(String::new, |(name, version)| format!("{name} {version} "));
            format!("{package}in {}", root.display())
        }
        Whereabouts { .. } => format!("{} of this machine", adapter.provides.display()),
    }
}
