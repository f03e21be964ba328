//! One isolated world for one run: network, DNS, clock, mock servers, relay. Gone when dropped.

mod bridge;
mod datagrams;
mod forwarding;
mod net;
mod places;
mod runtime;
mod scratch;
mod sim;
#[cfg(test)]
mod tests;
mod world;
mod zone;

pub use net::Socket;
pub use places::{ORIGIN, Placed, Places};
pub use runtime::block_on;
pub use sim::{Flow, Observer, Owner, Quiet, Sim, Sleep};
pub use world::{EPOCH, Factory, LabError, Relay, World, epoch, relay_address};
