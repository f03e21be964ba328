//! The DNS as the relay under test sees it: one server that is authoritative for everything, with faults.
//!
//! - [`Zone`]: every name of the world and what it is until when. Data only.
//! - [`Fault`]: how a name, or one type of records at it, goes wrong.
//! - [`Zone::answer`]: a query's octets in, what is done about them out; pure, and never a panic.
//! - [`serve_udp`] and [`serve_tcp`]: the thin shells that give it sockets.
//! - [`QueryLog`]: who asked what, when, and what came of it.
//!
//! Towards the relay the server plays both parts that it may meet: an authority (AA) and the resolver of its own
//! machine (RA, and AD where a name is [`State::secure`]). RFC 1034, 1035, 2181, 2308, 3597, 6840 and 6891 are cited
//! from memory.

mod answer;
mod faults;
mod log;
mod record;
mod server;
#[cfg(test)]
mod tests;
mod zone;

pub use answer::{Action, Answer, Transport};
pub use faults::Fault;
pub use log::{DnsQuery, Outcome, QueryLog};
pub use record::{BadRecordType, Record, RecordType};
pub use server::{serve_tcp, serve_udp};
pub use zone::{BadName, Content, Node, RecordSet, State, Tcp, Zone, canonical_name, reverse_name};
