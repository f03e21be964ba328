//! The world's DNS.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::str::FromStr;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, MX, TLSA};
use hickory_proto::rr::{Name, RData, Record};

use crate::environment::{BoxFuture, Datagrams};

/// Names and what is known of them. A name that is not there does not exist.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zone {
    records: BTreeMap<String, Vec<RData>>,
    /// Every question gets SERVFAIL.
    pub(crate) fails: bool,
    /// Questions about these names get SERVFAIL.
    pub(crate) broken: BTreeSet<String>,
    /// The names that the server vouches for (AD).
    pub(crate) secure: BTreeSet<String>,
}

fn name(text: &str) -> Name {
    Name::from_str(&format!("{text}.")).expect("a name")
}

impl Zone {
    pub(crate) fn mx(&mut self, domain: &str, preference: u16, host: &str) {
        let exchange = if host == "." { Name::root() } else { name(host) };
        self.records.entry(domain.into()).or_default().push(RData::MX(MX::new(preference, exchange)));
    }

    pub(crate) fn a(&mut self, host: &str, [a, b, c, d]: [u8; 4]) {
        self.records.entry(host.into()).or_default().push(RData::A(A::new(a, b, c, d)));
    }

    pub(crate) fn cname(&mut self, alias: &str, target: &str) {
        self.records.entry(alias.into()).or_default().push(RData::CNAME(CNAME(name(target))));
    }

    pub(crate) fn tlsa(&mut self, host: &str, [usage, selector, matching]: [u8; 3], data: &[u8]) {
        let tlsa = TLSA::new(usage.into(), selector.into(), matching.into(), data.to_vec());
        self.records.entry(format!("_25._tcp.{host}")).or_default().push(RData::TLSA(tlsa));
    }

    /// Vouches for names.
    pub(crate) fn sign(&mut self, names: &[&str]) {
        self.secure.extend(names.iter().map(|&name| name.to_owned()));
    }

    /// A name that exists and has no records.
    pub(crate) fn nothing(&mut self, domain: &str) {
        self.records.entry(domain.into()).or_default();
    }

    fn answer(&self, question: &[u8]) -> Vec<u8> {
        let question = Message::from_vec(question).expect("a question");
        let query = question.queries[0].clone();
        let mut reply = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
        reply.metadata.recursion_available = true;
        let asked = query.name().to_lowercase().to_ascii();
        let asked = asked.trim_end_matches('.');
        reply.metadata.authentic_data = self.secure.contains(asked);
        match self.records.get(asked) {
            _ if self.fails || self.broken.contains(asked) => {
                reply.metadata.response_code = ResponseCode::ServFail;
            }
            None => reply.metadata.response_code = ResponseCode::NXDomain,
            Some(records) => {
                let wanted = records.iter().filter(|data| {
                    data.record_type() == query.query_type() || matches!(data, RData::CNAME(_))
                });
                for data in wanted {
                    reply.add_answer(Record::from_rdata(query.name().clone(), 300, data.clone()));
                }
            }
        }
        reply.add_query(query);
        reply.to_vec().expect("a reply")
    }
}

/// A socket to the world's DNS server.
pub(super) struct Questions {
    zone: Zone,
    answers: VecDeque<Vec<u8>>,
}

impl Questions {
    pub(super) fn to(zone: Zone) -> Self {
        Self { zone, answers: VecDeque::new() }
    }
}

impl Datagrams for Questions {
    fn send<'a>(&'a mut self, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        self.answers.push_back(self.zone.answer(datagram));
        Box::pin(async { Ok(()) })
    }

    fn receive(&mut self) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let answer = self.answers.pop_front();
        Box::pin(async move {
            match answer {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            }
        })
    }
}
