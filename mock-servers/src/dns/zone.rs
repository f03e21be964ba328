//! Every name of the world, and what it is until when.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::rr::Name;

use super::{Fault, Record, RecordType};
use crate::time::RunTime;

/// The whole DNS of a run. Names that are not in it do not exist, except those above one that is (empty non-terminals,
/// RFC 8020 section 3.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone {
    /// By [`canonical_name`].
    names: BTreeMap<String, Node>,
}

/// A name through the run: what it is at first, and what it turns into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    first: State,
    changes: BTreeMap<RunTime, State>,
}

/// What a name is at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its records, or what goes wrong in place of them.
    pub content: Content,
    /// How long an answer may be kept, negative ones included (RFC 2308 section 5). Whole seconds count.
    pub ttl: Duration,
    /// Whether answers count as validated (AD, RFC 6840 section 5.8). `None`: as the nearest name above says; if none
    /// says, they do not.
    pub secure: Option<bool>,
    /// Whether each answer by UDP is cut short (TC, RFC 2181 section 9), so that the client has to come by TCP.
    /// As [`State::tcp`], this is about queries that name this name, not about those that an alias leads here.
    pub truncated: bool,
    /// What becomes of queries for it by TCP.
    pub tcp: Tcp,
}

/// What a name holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Records by type; other types get "no data". With no type at all: an empty non-terminal.
    Records(BTreeMap<RecordType, RecordSet>),
    /// Whatever it is asked for.
    Fault(Fault),
}

/// The records of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordSet {
    /// In the order in which they are sent, every time. None: no data, even where there is an alias.
    Records(Vec<Record>),
    /// For this type alone.
    Fault(Fault),
}

/// What becomes of a query by TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tcp {
    /// It is answered.
    #[default]
    Answered,
    /// The connection is reset as soon as the name is asked for. One server has one port, so it cannot be refused before.
    Refused,
}

impl Default for State {
    /// A name without records; answers may be kept for five minutes.
    fn default() -> Self {
        Self {
            content: Content::Records(BTreeMap::new()),
            ttl: Duration::from_mins(5),
            secure: None,
            truncated: false,
            tcp: Tcp::Answered,
        }
    }
}

impl State {
    /// A name with these records.
    pub fn records(records: impl IntoIterator<Item = Record>) -> Self {
        let mut state = Self::default();
        records.into_iter().for_each(|record| state.add(record));
        state
    }

    /// A name that fails.
    pub fn fault(fault: Fault) -> Self {
        Self { content: Content::Fault(fault), ..Self::default() }
    }

    /// Adds a record behind those of its type. A name or a type that fails goes on failing.
    pub fn add(&mut self, record: Record) {
        if let Content::Records(sets) = &mut self.content
            && let RecordSet::Records(records) =
                sets.entry(record.record_type()).or_insert_with(|| RecordSet::Records(Vec::new()))
        {
            records.push(record);
        }
    }

    /// Sets what there is of one type. A name that fails goes on failing.
    pub fn set(&mut self, kind: RecordType, set: RecordSet) {
        if let Content::Records(sets) = &mut self.content {
            sets.insert(kind, set);
        }
    }
}

impl From<State> for Node {
    /// The same through the whole run.
    fn from(first: State) -> Self {
        Self { first, changes: BTreeMap::new() }
    }
}

impl Node {
    /// From this moment on it is something else.
    pub fn then(mut self, from: RunTime, state: State) -> Self {
        self.changes.insert(from, state);
        self
    }

    /// What it is at a moment.
    pub fn at(&self, now: RunTime) -> &State {
        self.changes.range(..=now).next_back().map_or(&self.first, |(_, state)| state)
    }

    /// All that it is in the run.
    fn states_mut(&mut self) -> impl Iterator<Item = &mut State> {
        std::iter::once(&mut self.first).chain(self.changes.values_mut())
    }

    /// What it is at the start of the run.
    pub fn first_mut(&mut self) -> &mut State {
        &mut self.first
    }
}

impl Zone {
    /// A world in which no name exists.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says all about a name; what was said before is gone.
    pub fn insert(&mut self, name: &str, node: impl Into<Node>) -> &mut Self {
        self.names.insert(key(name), node.into());
        self
    }

    /// Adds a record to what a name is at the start of the run ([`State::add`]).
    pub fn add(&mut self, name: &str, record: Record) -> &mut Self {
        let node = self.names.entry(key(name)).or_insert_with(|| State::default().into());
        node.first.add(record);
        self
    }

    /// Adds an MX record. The host `.` makes it a null MX.
    pub fn mx(&mut self, domain: &str, preference: u16, exchange: &str) -> &mut Self {
        self.add(domain, Record::Mx { preference, exchange: exchange.to_owned() })
    }

    /// Adds an A or an AAAA record.
    pub fn address(&mut self, host: &str, address: IpAddr) -> &mut Self {
        self.add(
            host,
            match address {
                IpAddr::V4(address) => Record::A(address),
                IpAddr::V6(address) => Record::Aaaa(address),
            },
        )
    }

    /// Adds the name of an address ([`reverse_name`]).
    pub fn ptr(&mut self, address: IpAddr, host: &str) -> &mut Self {
        self.add(&reverse_name(address), Record::Ptr(host.to_owned()))
    }

    /// Adds an alias.
    pub fn cname(&mut self, alias: &str, target: &str) -> &mut Self {
        self.add(alias, Record::Cname(target.to_owned()))
    }

    /// What was said about a name, if anything was.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.names.get(&key(name))
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.names.get_mut(&key(name))
    }

    /// All names that something was said about.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Has every address stand for another one, for servers that stand elsewhere than the zone says; one for which there is
    /// none is left out. The names of addresses go with them.
    pub fn readdress(&mut self, to: impl Fn(IpAddr) -> Option<IpAddr>) {
        for state in self.names.values_mut().flat_map(Node::states_mut) {
            let Content::Records(sets) = &mut state.content else { continue };
            for set in sets.values_mut() {
                if let RecordSet::Records(records) = set {
                    *records =
                        std::mem::take(records).into_iter().filter_map(|record| record.at(&to)).collect();
                }
            }
        }
        let names = std::mem::take(&mut self.names);
        let moved = names.into_iter().filter_map(|(name, node)| match address_of(&name) {
            Some(address) => Some((reverse_name(to(address)?), node)),
            None => Some((name, node)),
        });
        self.names = moved.collect();
    }

    /// What a name is at a moment: what was said, or nothing at all.
    pub(super) fn state(&self, name: &str, now: RunTime) -> Option<&State> {
        self.names.get(name).map(|node| node.at(now))
    }

    /// Whether there is a name below this one, which is not the root, at a moment.
    pub(super) fn has_below(&self, name: &str, now: RunTime) -> bool {
        self.names.iter().any(|(below, node)| {
            below.strip_suffix(name).is_some_and(|above| above.ends_with('.'))
                && node.at(now).content != Content::Fault(Fault::NxDomain)
        })
    }

    /// Whether answers about a name, existing or not, count as validated at a moment.
    pub(super) fn is_secure(&self, name: &str, now: RunTime) -> bool {
        let mut above = Some(name);
        while let Some(name) = above {
            if let Some(secure) = self.state(name, now).and_then(|state| state.secure) {
                return secure;
            }
            above = name.split_once('.').map(|(_, above)| above);
        }
        false
    }
}

/// A text that is no domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot be a name in the DNS: {why}")]
pub struct BadName {
    /// The text.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// The form in which names are compared: lower case, A-labels, no dot at the end (RFC 1035 section 2.3.3). The root is
/// empty. Labels may hold any printable ASCII, as `_25._tcp` does.
pub fn canonical_name(name: &str) -> Result<String, BadName> {
    wire_name(name)
        .map(|name| written(&name.to_lowercase()))
        .map_err(|e| BadName { name: name.to_owned(), why: e.to_string() })
}

/// The name at which an address has its PTR record: `7.100.51.198.in-addr.arpa` (RFC 1035 section 3.5), or nibbles
/// below `ip6.arpa` (RFC 3596 section 2.5).
pub fn reverse_name(address: IpAddr) -> String {
    written(&Name::from(address))
}

/// The address whose reverse name this is, by [`reverse_name`].
fn address_of(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let octets: Vec<&str> = labels.split('.').rev().collect();
        return octets.join(".").parse().ok().map(IpAddr::V4);
    }
    let nibbles: Vec<&str> = name.strip_suffix(".ip6.arpa")?.split('.').rev().collect();
    let groups: Vec<String> = nibbles.chunks(4).map(<[&str]>::concat).collect();
    groups.join(":").parse().ok().map(IpAddr::V6)
}

/// What cannot be a name is kept under what it is; no query ever asks for it.
fn key(name: &str) -> String {
    canonical_name(name).unwrap_or_else(|_| name.to_owned())
}

/// A name as people write it, without the dot of the root.
pub(super) fn written(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

/// For the codec. Keeps case.
pub(super) fn wire_name(name: &str) -> Result<Name, ProtoError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Ok(Name::root());
    }
    if name.split('.').any(str::is_empty) {
        return Err("a label is empty".into());
    }
    if name.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err("it holds white space or control characters".into());
    }
    if name.is_ascii() {
        return Name::from_labels(name.split('.').map(str::as_bytes));
    }
    let mut name = Name::from_utf8(name)?;
    name.set_fqdn(true);
    Ok(name)
}
