//! `--all`: every relay that can be run here.

use crate::doctor::{self, Diagnosis, State};
use crate::relay::adapter::Adapter;
use crate::relay::{self, Chosen, embedded};
use crate::report::LeftOut;

/// The reference relay, and each real one that comes with the harness and can be run here, as the doctor finds; second, the others and
/// why. Relays of the past are no relays that mail is sent with: they are asked for by name.
pub(super) fn runnable() -> (Vec<String>, Vec<LeftOut>) {
    let mut real: Vec<Adapter> = Vec::new();
    let mut left_out: Vec<LeftOut> = Vec::new();
    for name in Adapter::shipped() {
        match relay::choose(name) {
            Ok(Chosen::Process(adapter)) => real.push(Adapter::clone(&adapter)),
            Ok(_) => {}
            Err(why) => left_out.push(LeftOut { relay: (*name).to_owned(), reason: why.to_string() }),
        }
    }
    let diagnosis = Diagnosis::of(&doctor::look(&real));
    let mut relays = vec![embedded::REFERENCE.to_owned()];
    for Adapter { name, .. } in real {
        if diagnosis.can_run.contains(&name) {
            relays.push(name);
        } else {
            left_out.push(LeftOut { reason: why(&diagnosis, &name), relay: name });
        }
    }
    (relays, left_out)
}

/// What the doctor says of a relay that cannot be run; where nothing is wrong with the relay itself, of labs.
fn why(diagnosis: &Diagnosis, relay: &str) -> String {
    let wrong = |name: &str| {
        let check = diagnosis.checks.iter().find(|check| check.name == name)?;
        let mend = check.mend.as_ref().map_or_else(String::new, |mend| format!("; {mend}"));
        (check.state == State::Missing).then(|| format!("{}{mend}", check.says))
    };
    wrong(relay).or_else(|| wrong("a lab")).unwrap_or_else(|| format!("gauntlet doctor {relay}"))
}
