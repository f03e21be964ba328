//! A stub resolver: where the mail for a domain goes (RFC 5321 section 5.1), and at which addresses.
//!
//! It asks one server and caches nothing: each attempt looks anew, so that what a scenario changes is seen at once.
//! Sections of RFC 1035, 2181 and 2308 are cited from memory.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::environment::{Clock, Network};

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a question is asked by UDP.
const TRIES: u32 = 2;
/// How many CNAMEs are followed for one question: RFC 1035 names no limit, resolvers stop at about this many.
const MAX_ALIASES: u32 = 10;

/// A host that takes mail for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanger {
    /// Lower is tried first.
    pub preference: u16,
    /// In lower case, without the dot of the root.
    pub host: String,
}

/// The hosts that take mail for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchangers {
    /// The most preferred first.
    pub hosts: Vec<Exchanger>,
    /// Whether there are MX records; without, the domain is its own exchanger.
    pub explicit: bool,
    /// Whether DNS vouches for all of it (the AD bit, RFC 4035 section 3.2.3).
    pub secure: bool,
    /// The domain, or what it is an alias of.
    pub canonical: String,
}

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// AAAA before A, each kind in the server's order.
    pub addresses: Vec<IpAddr>,
    /// Whether DNS vouches for all of them, and for the aliases on the way.
    pub secure: bool,
    /// The host, or what it is an alias of.
    pub canonical: String,
}

/// The data of a TLSA record (RFC 6698 section 2.1), as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlsa {
    /// Certificate usage.
    pub usage: u8,
    /// Selector.
    pub selector: u8,
    /// Matching type.
    pub matching: u8,
    /// Certificate association data.
    pub data: Vec<u8>,
}

/// The records of one type, and what is known of them.
struct Answer {
    /// The name at the end of all aliases: it owns the records, or would.
    name: Name,
    records: Vec<RData>,
    /// Every reply on the way had the AD bit.
    secure: bool,
}

/// Why there is no answer that mail could be sent by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// NXDOMAIN, or no name that DNS could hold: permanent (RFC 5321 section 5.1).
    #[error("the domain does not exist")]
    NoSuchDomain,
    /// A null MX: permanent (RFC 7505 section 3).
    #[error("the domain takes no mail (null MX)")]
    NoMail,
    /// The host exists, and has neither AAAA nor A.
    #[error("the host has no address")]
    NoAddress,
    /// No answer, or one that says that there is none now (SERVFAIL and its like): try again later
    /// (RFC 5321 section 5.1, MUST).
    #[error("{0}")]
    Temporary(String),
    /// An answer that cannot be read or makes no sense. Whether it will be better later nobody knows; a relay that
    /// does not want to lose mail treats it as temporary.
    #[error("{0}")]
    Malformed(String),
}

/// Asks one DNS server.
pub struct Resolver {
    server: SocketAddr,
    clock: Arc<dyn Clock>,
    network: Arc<dyn Network>,
    /// Ids count up from 1 and are no secret. On the Internet that would invite forged answers (RFC 5452 section 9.2);
    /// in a lab with one server, and no one else on the wire, it makes two runs the same.
    next_id: AtomicU16,
}

impl Resolver {
    /// A resolver that asks `server`.
    pub fn new(server: SocketAddr, clock: Arc<dyn Clock>, network: Arc<dyn Network>) -> Self {
        Self { server, clock, network, next_id: AtomicU16::new(1) }
    }

    /// The hosts that take mail for a domain, the most preferred first (RFC 5321 section 5.1).
    ///
    /// Without an MX record that is the domain itself, or what it is an alias of, with preference 0 (the implicit MX);
    /// [`Resolver::addresses`] then shows whether it is any good. Equal preferences come in the order of their names:
    /// the section wants them in random order, to spread load; a relay in a harness stays the same on purpose.
    /// Whether any of the hosts has an address, and whether one of them is the relay itself, is for the caller to see.
    pub async fn exchangers(&self, domain: &str) -> Result<Exchangers, DnsError> {
        let Answer { name, records, secure } = self.find(domain, RecordType::MX).await?;
        let canonical = host(&name);
        if records.is_empty() {
            let hosts = vec![Exchanger { preference: 0, host: canonical.clone() }];
            return Ok(Exchangers { hosts, explicit: false, secure, canonical });
        }
        let mut exchangers: Vec<Exchanger> = records
            .iter()
            .filter_map(|record| match record {
                // RFC 7505 section 3. Beside others it may not stand; where it does, the others are meant.
                RData::MX(mx) if !mx.exchange.is_root() => {
                    Some(Exchanger { preference: mx.preference, host: host(&mx.exchange) })
                }
                _ => None,
            })
            .collect();
        if exchangers.is_empty() {
            return Err(DnsError::NoMail);
        }
        exchangers.sort_by(|a, b| (a.preference, &a.host).cmp(&(b.preference, &b.host)));
        Ok(Exchangers { hosts: exchangers, explicit: true, secure, canonical })
    }

    /// A host's addresses, AAAA before A, each kind in the server's order. RFC 5321 section 5.2 leaves the choice
    /// between the two free. If one kind cannot be had, the other will do.
    ///
    /// An alias is followed, though an exchanger may be none (RFC 2181 section 10.3, RFC 5321 section 5.1).
    pub async fn addresses(&self, name: &str) -> Result<Addresses, DnsError> {
        let mut addresses = Vec::new();
        let (mut all_secure, mut canonical) = (true, String::new());
        let mut trouble = DnsError::NoAddress;
        for kind in [RecordType::AAAA, RecordType::A] {
            match self.find(name, kind).await {
                Ok(Answer { records, .. }) if records.is_empty() => {}
                Ok(Answer { name, records, secure }) => {
                    addresses.extend(records.iter().filter_map(RData::ip_addr));
                    all_secure &= secure;
                    canonical = host(&name);
                }
                // NXDOMAIN holds for all types (RFC 8020 section 2); yet there are servers that give it for AAAA alone (RFC 4074
                // section 4.2), and to ask costs little.
                Err(e) => trouble = e,
            }
        }
        if addresses.is_empty() {
            return Err(trouble);
        }
        Ok(Addresses { addresses, secure: all_secure, canonical })
    }

    /// The TLSA records of a host that listens at `port`, if DNS vouches for them, and their base domain (RFC 7672 sections
    /// 2.2.2 and 2.2.3). `None`: there are none, and DANE does not apply. Every error is one that the host is not to be
    /// spoken to for (section 2.1.2).
    pub async fn tlsa(
        &self,
        name: &str,
        port: u16,
        found: &Addresses,
    ) -> Result<Option<(String, Vec<Tlsa>)>, DnsError> {
        let original = host(&parse(name)?);
        let is_alias = original != found.canonical;
        let mut candidates = Vec::new();
        if found.secure && is_alias {
            candidates.push(found.canonical.clone());
        }
        if found.secure || (is_alias && self.is_secure_alias(&original).await?) {
            candidates.push(original);
        }
        for base in candidates {
            let answer = match self.find(&format!("_{port}._tcp.{base}"), RecordType::TLSA).await {
                Ok(answer) => answer,
                // That it is not there is an answer, and no error (section 2.1.1).
                Err(DnsError::NoSuchDomain) => continue,
                Err(error) => return Err(error),
            };
            if answer.secure && !answer.records.is_empty() {
                return Ok(Some((base, answer.records.iter().filter_map(tlsa).collect())));
            }
        }
        Ok(None)
    }

    /// Whether DNS vouches for the alias itself, wherever it leads (section 2.1.3: that takes a question of its own).
    async fn is_secure_alias(&self, name: &str) -> Result<bool, DnsError> {
        let reply = self.ask(&parse(name)?, RecordType::CNAME).await?;
        match reply.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(reply.metadata.authentic_data),
            code => Err(DnsError::Temporary(format!("the DNS server answers \"{code}\" to CNAME {name}"))),
        }
    }

    /// The records of one type, behind all aliases.
    async fn find(&self, domain: &str, kind: RecordType) -> Result<Answer, DnsError> {
        let mut name = parse(domain)?;
        let mut secure = true;
        let mut aliases = 0;
        loop {
            let reply = self.ask(&name, kind).await?;
            // RFC 7672 section 2.1.3: one alias that nobody vouches for, and nothing after it counts as secure.
            secure &= reply.metadata.authentic_data;
            let asked = name.clone();
            // RFC 1034 section 4.3.2: a server puts as much of the chain into its answer as it knows
            while let Some(target) = alias(&reply, &name) {
                name = target;
                aliases += 1;
                if aliases > MAX_ALIASES {
                    return Err(DnsError::Malformed(format!("the aliases of {domain} do not end")));
                }
            }
            match reply.metadata.response_code {
                ResponseCode::NoError => {}
                // RFC 2308 section 2.1: behind aliases it speaks of the last name
                ResponseCode::NXDomain => return Err(DnsError::NoSuchDomain),
                code => {
                    return Err(DnsError::Temporary(format!(
                        "the DNS server answers \"{code}\" to {kind} {}",
                        host(&name)
                    )));
                }
            }
            let records: Vec<RData> = reply
                .answers
                .into_iter()
                .filter(|record| record.name == name && record.record_type() == kind)
                .map(|record| record.data)
                .collect();
            if !records.is_empty() || name == asked {
                return Ok(Answer { name, records, secure });
            }
        }
    }

    /// One question and its answer, by UDP and, if that was cut short, by TCP (RFC 1035 section 4.2).
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Message, DnsError> {
        let mut trouble = String::new();
        for _ in 0..TRIES {
            let question = self.question(name, kind);
            match self.by_udp(&question).await {
                Ok(octets) => {
                    let reply = self.read(&octets)?;
                    if !reply.metadata.truncation {
                        return Ok(reply);
                    }
                    let octets = self.by_tcp(&question).await;
                    let octets = octets.map_err(|e| self.temporary(name, kind, &format!("by TCP: {e}")))?;
                    let reply = self.read(&octets)?;
                    if !answers(&octets, &question) {
                        return Err(DnsError::Malformed(format!(
                            "{} answered another question",
                            self.server
                        )));
                    }
                    return Ok(reply);
                }
                Err(e) => trouble = e.to_string(),
            }
        }
        Err(self.temporary(name, kind, &trouble))
    }

    fn temporary(&self, name: &Name, kind: RecordType, trouble: &str) -> DnsError {
        DnsError::Temporary(format!("no answer from {} to {kind} {}: {trouble}", self.server, host(name)))
    }

    fn question(&self, name: &Name, kind: RecordType) -> Message {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        // RFC 6840 section 5.7 (from memory): whoever sets AD understands it in the answer.
        message.metadata.authentic_data = true;
        message.add_query(Query::query(name.clone(), kind));
        message
    }

    fn read(&self, octets: &[u8]) -> Result<Message, DnsError> {
        Message::from_vec(octets)
            .map_err(|e| DnsError::Malformed(format!("the answer of {} cannot be read: {e}", self.server)))
    }

    async fn by_udp(&self, question: &Message) -> io::Result<Vec<u8>> {
        let exchange = async {
            let mut socket = self.network.datagrams(self.server).await?;
            socket.send(&encode(question)?).await?;
            loop {
                let octets = socket.receive().await?;
                // a late or a forged answer; the right one may still come
                if answers(&octets, question) {
                    return Ok(octets);
                }
            }
        };
        self.within(self.clock.now() + PATIENCE, exchange).await
    }

    async fn by_tcp(&self, question: &Message) -> io::Result<Vec<u8>> {
        let exchange = async {
            let mut stream = self.network.connect(self.server).await?;
            let octets = encode(question)?;
            // RFC 1035 section 4.2.2: the length first; in one write, as RFC 7766 section 8 asks
            let mut framed = u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
            framed.extend(octets);
            stream.write_all(&framed).await?;
            stream.flush().await?;
            let mut reply = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut reply).await?;
            Ok(reply)
        };
        self.within(self.clock.now() + PATIENCE, exchange).await
    }

    async fn within<T>(
        &self,
        deadline: SystemTime,
        work: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        tokio::select! {
            // an answer that is there counts, even if the time is over: and never by chance
            biased;
            result = work => result,
            () = self.clock.sleep_until(deadline) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Whether a datagram is an answer to this question: its id, and that it is an answer at all. The question that it
/// repeats must be ours if it can be read (RFC 5452 section 9.1); what else is wrong with it is for the caller to say.
fn answers(octets: &[u8], question: &Message) -> bool {
    if octets.len() < 12 || octets[..2] != question.metadata.id.to_be_bytes() || octets[2] & 0x80 == 0 {
        return false;
    }
    // an error may come without a question (RFC 1035 section 4.1.1: FORMERR)
    Message::from_vec(octets)
        .map_or(true, |reply| reply.queries.is_empty() || reply.queries == question.queries)
}

fn alias(reply: &Message, name: &Name) -> Option<Name> {
    reply.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *name => Some(target.0.clone()),
        _ => None,
    })
}

fn tlsa(record: &RData) -> Option<Tlsa> {
    let RData::TLSA(tlsa) = record else { return None };
    Some(Tlsa {
        usage: tlsa.cert_usage.into(),
        selector: tlsa.selector.into(),
        matching: tlsa.matching.into(),
        data: tlsa.cert_data.clone(),
    })
}

fn encode(message: &Message) -> io::Result<Vec<u8>> {
    message.to_vec().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))
}

/// A name from a mail address; U-labels become A-labels (RFC 6531 section 3.2).
fn parse(domain: &str) -> Result<Name, DnsError> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let name = if domain.is_ascii() {
        // as they are: a mail address knows no escapes of a zone file
        let labels: Vec<&[u8]> = domain.split('.').map(str::as_bytes).collect();
        if labels.iter().any(|label| label.is_empty()) {
            return Err(DnsError::NoSuchDomain);
        }
        Name::from_labels(labels)
    } else {
        Name::from_utf8(domain).map(|mut name| {
            name.set_fqdn(true);
            name
        })
    };
    // what DNS cannot hold does not exist there
    name.map_err(|_| DnsError::NoSuchDomain)
}

fn host(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}
