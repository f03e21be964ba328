//! YAML → [`Scenario`]. Everything that an author can get wrong is told here, with file, line, column and a way out.
//!
//! - [`load`] and [`parse`] make the checked model from a file or a text; [`find`] lists the files.
//! - [`model`]: what the rest of the harness works with. It can only hold what makes sense.
//! - [`Diagnostics`]: the mistakes of one file, all of them, in its order.
//!
//! Inside, a file goes through three hands: the room `yaml` makes a tree in which every node knows its place, and takes
//! mappings apart; one file per part of the language (`servers`, `rules`, `messages`, …) turns nodes into the model;
//! `checks` looks at the whole.

mod cases;
mod checks;
mod content;
mod context;
mod contradictions;
mod decisive;
mod dialogue;
mod dns;
mod expect;
mod find;
mod forwarding;
mod jumps;
mod load;
mod messages;
pub mod model;
mod origin;
pub mod phrases;
mod profiles;
mod reach;
mod relay;
mod replies;
mod rules;
mod servers;
mod steps;
mod tls;
mod values;
mod wire;
mod words;

pub use crate::yaml::{Cases, Diagnostic, Diagnostics, Place};
pub use find::{FindError, KNOWN_FAILURES, find};
pub use load::{load, load_knowing, parse};
pub use model::{
    Address, AuthSettings, Bdat, Body, Canonicalization, Check, Client, Content, Decisive, Delivered,
    DnsEntry, DnsFault, DnsRecords, DnsTlsa, Envelope, Expectation, HistoricOutcome, Inside, Level, Message,
    Octets, Of, Part, Reach, Refused, RelayFault, RelaySettings, Returned, Scenario, Server, Serves, Step,
    Text, Tls, TransferEncoding, Wire, WireThing,
};
pub use origin::origin_mailbox;
pub use profiles::{profile, profile_names};
pub use words::schema;
