//! SMTP: conversations without I/O, and the thin shells that give them sockets.
//!
//! - [`session`]: a scripted server's session; [`memory`]: what the server remembers between them.
//! - [`dialogue`]: exact lines in exact order, on either side.
//! - [`client`]: the well-behaved client that submits a message; [`by_command`]: one that is handed over by a command.
//! - [`forward`]: mail that a server hands to the relay once more.
//! - [`server`]: accepts connections and gives each a session or a dialogue; [`gate`]: holds one of them at an event.
//! - [`tls`]: certificates, good and bad.

mod buffer;
pub mod by_command;
pub mod client;
mod command;
pub(crate) mod content;
pub mod conversation;
pub mod dialogue;
pub mod forward;
pub mod gate;
mod hello;
mod inflow;
mod ledger;
pub mod memory;
mod observer;
mod reply;
pub mod server;
pub mod session;
mod shell;
pub mod tls;
mod wire;

#[cfg(test)]
mod tests;
