//! The Internet of a scenario: servers, and clients that are dialogues.

use mock_servers::script::{Dialogue, Script};

/// A mock server and where it stands in the world.
#[derive(Debug, Clone)]
pub struct Server {
    /// What it does; [`Script::name`] is its name in the scenario.
    pub script: Script,
    /// The domains whose mail it takes by MX.
    pub serves: Vec<Serves>,
    /// Its addresses, in order; a good IPv4 address alone when the scenario says nothing.
    pub addresses: Vec<Address>,
}

/// A domain that a server is an MX of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serves {
    /// The domain.
    pub domain: String,
    /// The MX preference; lower is tried first (RFC 5321 section 5.1).
    pub preference: u16,
}

/// One address of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// IPv6 in place of IPv4.
    pub v6: bool,
    /// What a SYN meets.
    pub reach: Reach,
}

/// What a SYN to an address meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The server.
    Good,
    /// A reset.
    Refused,
    /// Nothing.
    Filtered,
}

/// A client that is a dialogue with the relay.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its name in the scenario.
    pub name: String,
    /// Whether the relay lets it relay.
    pub trusted: bool,
    /// What it says and hears.
    pub dialogue: Dialogue,
}
