//! One isolated world for one run: network, DNS, clock, mock servers, relay. Gone when dropped.

mod bridge;
mod datagrams;
mod forwarding;
mod net;
mod outside;
mod places;
mod plan;
mod pulse;
mod runtime;
mod scratch;
mod settings;
mod sim;
mod stand;
#[cfg(test)]
mod tests;
mod ticker;
mod turns;
mod virtual_time;
mod wires;
mod world;
mod zone;

pub use places::{ORIGIN, Placed, Places};
pub use plan::{Plan, Row, Who};
pub use runtime::{block_on, block_on_real};
pub use sim::{Flow, Leapt, Observer, Owner, Quiet, Sim, Sleep};
pub use stand::{Stand, StandError};
pub use virtual_time::{Holdup, clock_steps};
pub use world::{Factory, Kind, LabError, Relay, World, relay_address};
