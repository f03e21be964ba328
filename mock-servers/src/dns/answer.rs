//! From the octets of a query to what is done about it. No I/O, no state, no panic.

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{self, DNSClass, Name, RData};
use serde::{Deserialize, Serialize};

use super::faults::garbage;
use super::zone::{Content, RecordSet, State, Tcp, Zone, wire_name, written};
use super::{Fault, Outcome, Record, RecordType, canonical_name};
use crate::time::RunTime;

/// How many aliases one answer follows. A chain that goes on is left at that, a circle, too: what a client makes of it
/// is its own affair.
const MAX_ALIASES: usize = 16;
/// What we say that we can take by UDP (RFC 6891 section 6.2.3).
const OUR_PAYLOAD: u16 = 1232;

/// By which protocol a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// A stream, each message behind its length.
    Tcp,
}

/// What becomes of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The name that was asked for, as [`super::DnsQuery::name`] has it.
    pub name: String,
    /// The type that was asked for; `TYPE0` when the query could not be read.
    pub record_type: RecordType,
    /// What the client gets to know.
    pub outcome: Outcome,
    /// What is to be done.
    pub action: Action,
}

/// What a server does about a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It sends this message.
    Reply(Vec<u8>),
    /// It does nothing, and keeps a connection open.
    Silence,
    /// It resets the connection.
    Reset,
}

impl Answer {
    fn unreadable(outcome: Outcome, action: Action) -> Self {
        Self { name: String::new(), record_type: RecordType::Other(0), outcome, action }
    }
}

impl Zone {
    /// Answers the octets of one message.
    pub fn answer(&self, query: &[u8], transport: Transport, now: RunTime) -> Answer {
        // RFC 1035 section 4.1.1. Without a whole header there is nothing to answer to; and an answer is never answered,
        // or two servers could keep each other busy for ever.
        if query.len() < 12 || query[2] & 0x80 != 0 {
            return Answer::unreadable(Outcome::Silence, Action::Silence);
        }
        if query[2] & 0x78 != 0 {
            let reply = bare_error(query, ResponseCode::NotImp);
            return Answer::unreadable(Outcome::NotImplemented, Action::Reply(reply));
        }
        let message = match Message::from_vec(query) {
            Ok(message) if message.queries.len() == 1 => message,
            // RFC 9619 section 4: one question, no more, no less
            _ => {
                let reply = bare_error(query, ResponseCode::FormErr);
                return Answer::unreadable(Outcome::FormatError, Action::Reply(reply));
            }
        };
        let question = &message.queries[0];
        let (outcome, action) = self.to_question(&message, question, transport, now);
        Answer { name: written(question.name()), record_type: question.query_type().into(), outcome, action }
    }

    fn to_question(
        &self,
        query: &Message,
        question: &Query,
        transport: Transport,
        now: RunTime,
    ) -> (Outcome, Action) {
        let mut reply = Reply::to(query, question);
        if query.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
            return reply.finish(Outcome::BadVersion, transport);
        }
        // zone transfers (251, 252) and other classes are not for mail relays
        let kind = RecordType::from(question.query_type());
        if question.query_class() != DNSClass::IN || matches!(kind, RecordType::Other(251 | 252)) {
            return reply.finish(Outcome::Refused, transport);
        }
        let asked = written(&question.name().to_lowercase());
        if let Some(state) = self.state(&asked, now) {
            if transport == Transport::Tcp && state.tcp == Tcp::Refused {
                return (Outcome::Reset, Action::Reset);
            }
            if transport == Transport::Udp && state.truncated {
                return reply.finish(Outcome::Truncated, transport);
            }
        }
        let outcome = self.collect(&asked, kind, now, &mut reply).unwrap_or(Outcome::Servfail);
        reply.finish(outcome, transport)
    }

    /// Follows aliases and collects records (RFC 1034 section 4.3.2). Fails for names that a message cannot hold.
    fn collect(
        &self,
        asked: &str,
        kind: RecordType,
        now: RunTime,
        reply: &mut Reply,
    ) -> Result<Outcome, ProtoError> {
        let mut name = asked.to_owned();
        let mut owner = reply.question.name().clone();
        let mut told = Vec::new();
        let secure = |name: &str| self.is_secure(name, now);
        reply.secure = secure(&name);
        for _ in 0..=MAX_ALIASES {
            let Some(state) = self.state(&name, now) else {
                reply.negative_ttl = seconds(&State::default());
                let exists = name.is_empty() || self.has_below(&name, now);
                return Ok(if exists { Outcome::NoData(told) } else { Outcome::NxDomain });
            };
            reply.negative_ttl = seconds(state);
            match find(state, kind) {
                Found::Fault(fault) => return Ok(fault.outcome()),
                Found::Nothing => return Ok(Outcome::NoData(told)),
                Found::Records(records) => {
                    for record in records {
                        reply.add(&owner, seconds(state), record, &mut told)?;
                    }
                    return Ok(Outcome::Records(told));
                }
                Found::Alias(record, target) => {
                    reply.add(&owner, seconds(state), record, &mut told)?;
                    owner = wire_name(target)?;
                    name = canonical_name(target).unwrap_or_default();
                    reply.secure &= secure(&name);
                }
            }
        }
        Ok(Outcome::Records(told))
    }
}

/// What a name has to say to a question.
enum Found<'a> {
    Records(Vec<&'a Record>),
    Alias(&'a Record, &'a str),
    Nothing,
    Fault(Fault),
}

fn find(state: &State, kind: RecordType) -> Found<'_> {
    let sets = match &state.content {
        Content::Fault(fault) => return Found::Fault(*fault),
        Content::Records(sets) => sets,
    };
    if kind == RecordType::Any {
        let all = sets.values().filter_map(|set| match set {
            RecordSet::Records(records) => Some(records),
            RecordSet::Fault(_) => None,
        });
        let all: Vec<&Record> = all.flatten().collect();
        return if all.is_empty() { Found::Nothing } else { Found::Records(all) };
    }
    match (sets.get(&kind), sets.get(&RecordType::Cname)) {
        // what is said of the type itself wins, even beside an alias, where RFC 2181 section 10.1 allows nothing else
        (Some(RecordSet::Fault(fault)), _) | (None, Some(RecordSet::Fault(fault))) => Found::Fault(*fault),
        (Some(RecordSet::Records(records)), _) if !records.is_empty() => {
            Found::Records(records.iter().collect())
        }
        (None, Some(RecordSet::Records(aliases))) => match aliases.first() {
            Some(record @ Record::Cname(target)) => Found::Alias(record, target),
            _ => Found::Nothing,
        },
        _ => Found::Nothing,
    }
}

/// RFC 2181 section 8: a TTL has 31 bits.
fn seconds(state: &State) -> u32 {
    u32::try_from(state.ttl.as_secs()).unwrap_or(u32::MAX).min(i32::MAX as u32)
}

/// An answer in the making.
struct Reply<'a> {
    query: &'a Message,
    question: &'a Query,
    answers: Vec<rr::Record>,
    secure: bool,
    negative_ttl: u32,
}

impl<'a> Reply<'a> {
    fn to(query: &'a Message, question: &'a Query) -> Self {
        Self { query, question, answers: Vec::new(), secure: false, negative_ttl: 0 }
    }

    fn add(
        &mut self,
        owner: &Name,
        ttl: u32,
        record: &Record,
        told: &mut Vec<String>,
    ) -> Result<(), ProtoError> {
        self.answers.push(rr::Record::from_rdata(owner.clone(), ttl, record.to_wire()?));
        told.push(record.to_string());
        Ok(())
    }

    /// Turns it into octets, in keeping with the outcome.
    fn finish(self, outcome: Outcome, transport: Transport) -> (Outcome, Action) {
        let id = self.query.metadata.id.to_be_bytes();
        let code = match outcome {
            Outcome::Silence | Outcome::Reset => return (outcome, Action::Silence),
            Outcome::Garbage => return (outcome, Action::Reply(garbage(id))),
            Outcome::NxDomain => ResponseCode::NXDomain,
            Outcome::Servfail => ResponseCode::ServFail,
            Outcome::Refused => ResponseCode::Refused,
            Outcome::NotImplemented => ResponseCode::NotImp,
            Outcome::FormatError => ResponseCode::FormErr,
            Outcome::BadVersion => ResponseCode::BADVERS,
            Outcome::Records(_) | Outcome::NoData(_) | Outcome::Truncated | Outcome::WrongId => {
                ResponseCode::NoError
            }
        };
        let limit = match transport {
            // RFC 1035 section 4.2.1, RFC 6891 section 6.2.3
            Transport::Udp => usize::from(self.query.max_payload()),
            Transport::Tcp => usize::from(u16::MAX),
        };
        let mut message = self.message(code, &outcome);
        if outcome == Outcome::WrongId {
            message.metadata.id = !message.metadata.id;
        }
        match message.to_vec() {
            Ok(octets) if octets.len() <= limit && outcome != Outcome::Truncated => {
                (outcome, Action::Reply(octets))
            }
            // RFC 2181 section 9: what does not fit is left out as a whole, and TC says so
            Ok(_) if transport == Transport::Udp => match message.truncate().to_vec() {
                Ok(octets) => (Outcome::Truncated, Action::Reply(octets)),
                Err(_) => (Outcome::Silence, Action::Silence),
            },
            // records that no message can hold
            _ if outcome != Outcome::Servfail => self.finish(Outcome::Servfail, transport),
            _ => (Outcome::Silence, Action::Silence),
        }
    }

    fn message(&self, code: ResponseCode, outcome: &Outcome) -> Message {
        let asked = &self.query.metadata;
        let mut message = Message::response(asked.id, OpCode::Query);
        let metadata = &mut message.metadata;
        metadata.response_code = code;
        metadata.authoritative =
            matches!(outcome, Outcome::Records(_) | Outcome::NoData(_) | Outcome::NxDomain);
        metadata.recursion_desired = asked.recursion_desired;
        metadata.recursion_available = true;
        metadata.checking_disabled = asked.checking_disabled;
        let edns = self.query.edns.as_ref();
        let wants_ad = asked.authentic_data || edns.is_some_and(|edns| edns.flags().dnssec_ok);
        // RFC 6840 section 5.8: only for those who asked with AD or DO
        metadata.authentic_data = metadata.authoritative && self.secure && wants_ad;
        message.add_query(self.question.clone());
        if matches!(outcome, Outcome::Records(_) | Outcome::NoData(_) | Outcome::NxDomain | Outcome::WrongId)
        {
            message.add_answers(self.answers.iter().cloned());
        }
        if matches!(outcome, Outcome::NoData(_) | Outcome::NxDomain) {
            message.add_authority(start_of_authority(self.negative_ttl));
        }
        if let Some(edns) = edns {
            let mut ours = Edns::new();
            ours.set_max_payload(OUR_PAYLOAD).set_dnssec_ok(edns.flags().dnssec_ok);
            message.set_edns(ours);
        }
        message
    }
}

/// RFC 2308 section 3: a negative answer comes with the zone's SOA, whose TTL and MINIMUM say how long it may be kept.
/// Here one zone holds everything, so it is the root's.
fn start_of_authority(ttl: u32) -> rr::Record {
    let soa = SOA::new(Name::root(), Name::root(), 1, 3600, 600, 86_400, ttl);
    rr::Record::from_rdata(Name::root(), ttl, RData::SOA(soa))
}

/// An error without a question, for a query that could not be read: its id, opcode and RD, and the code.
fn bare_error(query: &[u8], code: ResponseCode) -> Vec<u8> {
    debug_assert!(query.len() >= 12, "the caller looked");
    let flags = 0x80 | (query[2] & 0x79);
    let [_, code] = u16::from(code).to_be_bytes();
    [&query[..2], &[flags, 0x80 | code, 0, 0, 0, 0, 0, 0, 0, 0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_for_the_unreadable_is_a_bare_header() {
        let query = [0xab, 0xcd, 0x29, 0xff, 9, 9, 9, 9, 9, 9, 9, 9, 9];
        assert_eq!(
            bare_error(&query, ResponseCode::NotImp),
            [0xab, 0xcd, 0xa9, 0x84, 0, 0, 0, 0, 0, 0, 0, 0]
        );
    }
}
