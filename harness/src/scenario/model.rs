//! The checked model of a scenario: it can only hold what makes sense. [`super::load`] makes it from YAML.

use std::path::PathBuf;
use std::time::Duration;

use mock_servers::script::{Dialogue, Glob, On, Range, Script};

/// One scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file it came from, as it was named.
    pub path: PathBuf,
    /// `seeds/domino-8bitmime`: the path below the scenarios' root, without its ending. Names test and snapshot.
    pub name: String,
    /// Of a case of a template: its own name, `RCPT-451`, which is the last part of [`Scenario::name`].
    pub case: Option<String>,
    /// One line.
    pub title: String,
    /// What it is about, for people.
    pub about: String,
    /// Where the behaviour is known from.
    pub sources: Vec<String>,
    /// Words to choose it by.
    pub tags: Vec<String>,
    /// The servers that the relay may meet, in the file's order.
    pub servers: Vec<Server>,
    /// Clients that are dialogues.
    pub clients: Vec<Client>,
    /// What the relay under test is told.
    pub relay: RelaySettings,
    /// The messages, in the file's order.
    pub messages: Vec<Message>,
    /// Names that the scenario sets itself; what servers serve is added by the lab.
    pub dns: Vec<DnsEntry>,
    /// What is done in order. Never empty: without `steps:` it sends every message, runs every client, and settles.
    pub steps: Vec<Step>,
    /// What is required.
    pub expect: Vec<Expectation>,
    /// What is noted without judging.
    pub observe: Vec<Expectation>,
    /// The rule or server without which the scenario shows nothing; `None`: the harness derives it.
    pub decisive: Option<Decisive>,
    /// The relays of the past that it is about, and how it comes out there: that the scenario can tell.
    pub historic: Vec<(String, HistoricOutcome)>,
}

/// How a scenario comes out on a relay of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoricOutcome {
    /// What the relay did was legal, and nobody's loss: by design, as its vendor said.
    Passes,
    /// What the relay did was legal, and a loss to its users.
    Deviates,
    /// It was not legal.
    Violates,
}

/// What must have happened for the scenario to have shown anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decisive {
    /// A session with this server.
    Session(String),
    /// A rule of this server on this event (as the language writes it), by its place in the list from 0.
    Rule {
        /// The server.
        server: String,
        /// The event.
        event: String,
        /// The rule's place; `None`: any of the event's.
        index: Option<usize>,
    },
    /// The relay asked the DNS for this name.
    Name {
        /// The name, without the dot of the root.
        name: String,
        /// The type, `MX`; `None`: any.
        record_type: Option<String>,
    },
    /// All of them.
    All(Vec<Decisive>),
}

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

/// What the relay under test is told, in neutral words.
#[derive(Debug, Clone, Default)]
pub struct RelaySettings {
    /// Its name; `None`: `relay.origin.example`.
    pub hostname: Option<String>,
    /// The server that everything goes through.
    pub smarthost: Option<String>,
    /// Credentials for next hops.
    pub auth: Option<AuthSettings>,
    /// STARTTLS towards next hops; `None`: the relay's default, opportunistic.
    pub tls: Option<Tls>,
    /// Whether it offers STARTTLS to clients, with a certificate for its name from the run's authority; `None`: it does not.
    pub offers_tls: Option<bool>,
    /// First wait between attempts.
    pub retry_first: Option<Duration>,
    /// Longest wait between attempts.
    pub retry_at_most: Option<Duration>,
    /// After how long the sender is warned.
    pub warn: Option<Duration>,
    /// After how long mail is returned.
    pub lifetime: Option<Duration>,
    /// Largest message, in octets.
    pub size_limit: Option<u64>,
    /// Several messages over one session.
    pub reuse: Option<bool>,
    /// How long the greeting may take.
    pub greeting_timeout: Option<Duration>,
    /// How long the reply to a command may take.
    pub command_timeout: Option<Duration>,
    /// How long the reply to the final dot may take.
    pub end_of_data_timeout: Option<Duration>,
}

/// Credentials for next hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSettings {
    /// The server to authenticate to; `None`: any.
    pub to: Option<String>,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Mechanisms in order; empty: the relay's own choice.
    pub mechanisms: Vec<String>,
}

/// STARTTLS towards next hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Off,
    /// When offered.
    Opportunistic,
    /// Always, with a valid certificate.
    Required,
    /// By TLSA records.
    Dane,
}

/// A message: envelope, headers and content are three things.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Its name in the scenario.
    pub name: String,
    /// The reverse-path; empty is `<>`.
    pub from: String,
    /// The forward-paths, ranges written out; verbatim, trailing spaces included.
    pub to: Vec<String>,
    /// How many times each `send` submits it; at least 1.
    pub copies: u32,
    /// The envelope's parameters.
    pub envelope: Envelope,
    /// Header fields in order, added to or in place of the default ones. `None` as the value: left out.
    pub headers: Vec<(String, Option<String>)>,
    /// The content.
    pub content: Content,
    /// Relay allowed to this client; an untrusted client's mail to foreign domains should be refused.
    pub trusted: bool,
}

/// What is asked of the envelope beyond the paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `BODY=`; `None`: absent.
    pub body: Option<Body>,
    /// `SMTPUTF8` (RFC 6531 section 3.4).
    pub smtputf8: bool,
    /// By BDAT in place of DATA (RFC 3030 section 2).
    pub bdat: Option<Bdat>,
    /// `NOTIFY=` (RFC 3461 section 4.1), upper case; empty: absent.
    pub notify: Vec<String>,
    /// `ORCPT=` (RFC 3461 section 4.2): the type and the address, before their encoding.
    pub orcpt: Option<(String, String)>,
    /// `RET=` (RFC 3461 section 4.3): `FULL` or `HDRS`.
    pub ret: Option<String>,
    /// `ENVID=` (RFC 3461 section 4.4), before xtext encoding.
    pub envid: Option<String>,
    /// `AUTH=` of MAIL (RFC 4954 section 5), before xtext encoding; `<>` is nobody.
    pub auth: Option<String>,
    /// `SIZE=` (RFC 1870); `None`: absent.
    pub size: Option<u64>,
}

/// What MAIL says of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// `7BIT` (RFC 6152 section 2).
    SevenBit,
    /// `8BITMIME` (RFC 6152 section 2).
    EightBitMime,
    /// `BINARYMIME` (RFC 3030 section 3).
    BinaryMime,
}

impl Body {
    /// The value of `BODY=`.
    pub fn word(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
            Self::BinaryMime => "BINARYMIME",
        }
    }
}

/// How content is cut for BDAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bdat {
    /// One chunk, the last.
    Whole,
    /// Chunks of so many octets, at least 1; the last one may be smaller.
    Chunks(u64),
}

/// What the content is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// What is in it; beside [`Content::raw`] and [`Content::file`] it has no meaning.
    pub body: Part,
    /// The whole message, headers included, as it stands on the wire: no dot-stuffing, nothing added.
    pub raw: Option<Vec<u8>>,
    /// The whole message, headers included, from a file; dots are stuffed on the way, nothing is added.
    pub file: Option<Vec<u8>>,
    /// The body without its last CRLF.
    pub no_final_newline: bool,
    /// Signed by the senders' domain (RFC 6376, RFC 8463), in this canonicalization.
    pub dkim: Option<Canonicalization>,
}

/// The canonicalization of header and body for a signature (RFC 6376 section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canonicalization {
    /// `relaxed/relaxed`.
    Relaxed,
    /// `simple/simple`.
    Simple,
}

/// A MIME entity (RFC 2045 section 2.4): the content's body, or a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The media type: `text/html`; `None`: by what is in it.
    pub kind: Option<String>,
    /// The charset parameter, and what the text is written in; `None`: UTF-8 where there is more than ASCII.
    pub charset: Option<String>,
    /// The transfer encoding; `None`: none is needed, or the least that the octets allow.
    pub encoding: Option<TransferEncoding>,
    /// The name of the file that it is.
    pub name: Option<String>,
    /// Header fields in place of its own, or added. `None` as the value: left out.
    pub headers: Vec<(String, Option<String>)>,
    /// What is in it.
    pub inside: Inside,
}

/// What is in a MIME entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inside {
    /// Lines of text.
    Text(Text),
    /// Octets, before they are encoded for the transfer.
    Octets(Vec<u8>),
    /// Further parts.
    Parts(Vec<Part>),
}

impl Default for Inside {
    fn default() -> Self {
        Self::Text(Text::default())
    }
}

/// Lines of text, or how to make them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The text; `None`: a short line.
    pub text: Option<String>,
    /// How many times it is repeated, each time on a line of its own; 0 is as 1.
    pub lines: u32,
    /// Each line is repeated until it has so many octets, its end not counted.
    pub width: Option<u64>,
}

/// How octets are written for the way (RFC 2045 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferEncoding {
    /// `7bit`: as they are.
    SevenBit,
    /// `8bit`: as they are.
    EightBit,
    /// `binary`: as they are.
    Binary,
    /// `quoted-printable`.
    QuotedPrintable,
    /// `base64`.
    Base64,
}

impl TransferEncoding {
    /// The value of Content-Transfer-Encoding.
    pub fn word(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
        }
    }
}

impl Message {
    /// The domain that signs it (RFC 6376 section 3.5, `d=`): that of From, else of the reverse-path, else the senders'
    /// own. `None`: it is not signed.
    pub fn signing_domain(&self) -> Option<String> {
        self.content.dkim?;
        let from = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("From"));
        let of = |address: &str| {
            let domain = address.rsplit_once('@')?.1;
            let domain: String =
                domain.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-')).collect();
            mock_servers::dns::canonical_name(&domain).ok().filter(|domain| !domain.is_empty())
        };
        let header = from.and_then(|(_, value)| value.as_deref()).and_then(of);
        Some(header.or_else(|| of(&self.from)).unwrap_or_else(|| "origin.example".to_owned()))
    }
}

/// A name in the DNS that the scenario sets itself.
#[derive(Debug, Clone)]
pub enum DnsEntry {
    /// A name with records, or with settings alone; the lab fills addresses in.
    Records(Box<DnsRecords>),
    /// The name as a whole fails.
    Fault {
        /// The name.
        name: String,
        /// How.
        fault: DnsFault,
    },
    /// One entry until a moment of the run, then another.
    Until {
        /// The moment, from the start of the run.
        until: Duration,
        /// Before it.
        first: Box<DnsEntry>,
        /// From it on.
        then: Box<DnsEntry>,
    },
}

impl DnsEntry {
    /// The name that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Records(records) => &records.name,
            Self::Fault { name, .. } => name,
            Self::Until { first, .. } => first.name(),
        }
    }
}

/// What stands at a name: `None` where the scenario does not speak of a type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsRecords {
    /// The name; for PTR records also an address, which stands for its reverse name.
    pub name: String,
    /// MX records: preference and host; the host `.` is the null MX (RFC 7505).
    pub mx: Option<Vec<(u16, String)>>,
    /// A records: addresses, or a server's name that stands for its addresses.
    pub a: Option<Vec<String>>,
    /// AAAA records, likewise.
    pub aaaa: Option<Vec<String>>,
    /// TXT records.
    pub txt: Option<Vec<String>>,
    /// A CNAME's target.
    pub cname: Option<String>,
    /// The names of an address.
    pub ptr: Option<Vec<String>>,
    /// TLSA records (RFC 6698).
    pub tlsa: Option<Vec<DnsTlsa>>,
    /// Types that fail, `MX: servfail`.
    pub faults: Vec<(String, DnsFault)>,
    /// How long an answer may be kept; `None`: five minutes.
    pub ttl: Option<Duration>,
    /// Whether answers about this name and those below it count as validated (AD); `None`: as the name above says.
    pub secure: Option<bool>,
    /// Each answer by UDP is cut short (TC).
    pub truncated: bool,
    /// Queries by TCP meet a reset.
    pub tcp_refused: bool,
}

/// A TLSA record (RFC 6698 section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsTlsa {
    /// `3 1 1` and the digest of the public key in the certificate that this server shows.
    Good {
        /// The server's name in the scenario.
        server: String,
    },
    /// `3 1 1` and a digest that no key has.
    Wrong,
    /// As written.
    Given {
        /// Certificate usage.
        usage: u8,
        /// Selector.
        selector: u8,
        /// Matching type.
        matching: u8,
        /// Certificate association data.
        data: Vec<u8>,
    },
}

/// How a DNS answer fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsFault {
    /// NXDOMAIN.
    NxDomain,
    /// SERVFAIL.
    Servfail,
    /// REFUSED.
    Refused,
    /// NOTIMP.
    NotImplemented,
    /// No answer.
    Timeout,
    /// An answer that cannot be read.
    Garbage,
    /// An answer under another id.
    WrongId,
    /// NOERROR without records of the type.
    Empty,
}

impl DnsRecords {
    /// Whether it has settings alone (`ttl`, `secure`, …), and leaves the records as the servers gave them.
    pub fn is_settings_alone(&self) -> bool {
        let Self { mx, a, aaaa, txt, cname, ptr, tlsa, faults, .. } = self;
        mx.is_none()
            && a.is_none()
            && aaaa.is_none()
            && txt.is_none()
            && cname.is_none()
            && ptr.is_none()
            && tlsa.is_none()
            && faults.is_empty()
    }
}

/// A scenario's step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Submits messages, in order; done at the final reply.
    Send(Vec<String>),
    /// Runs a dialogue client to its end.
    Client(String),
    /// Goes on until all is quiet and nothing live is in the queue.
    Settle,
    /// Lets this much of the run's time pass.
    Wait(Duration),
    /// Goes so far on at once, as soon as nothing is open: what was due on the way comes due there.
    Jump(Duration),
    /// Kills the relay as by SIGKILL.
    KillRelay,
    /// Stops it if it runs, and starts it again on the same queue.
    RestartRelay,
    /// Takes a server's listener away; connections are refused.
    Stop(String),
    /// Brings it back.
    Start(String),
    /// Has the relay try everything in its queue now.
    QueueRunForce,
    /// Has the relay try what is due in its queue, and nothing else.
    QueueRunDue,
    /// Goes on until a session at this server comes to this event, and holds it there until the next `settle`.
    At {
        /// The server.
        server: String,
        /// The event; neither `any` nor `idle`.
        on: On,
    },
    /// Makes something about the relay's machine fail from now on; `None`: nothing fails any more.
    Fault(Option<RelayFault>),
    /// What must hold at this moment.
    Check(Vec<Expectation>),
}

/// What can fail about the machine that the relay runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayFault {
    /// The disk of its queue is full.
    DiskFull,
}

/// Something required, or noted.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// What is required, in words; `None`: made from the check.
    pub it: Option<String>,
    /// How binding it is.
    pub level: Level,
    /// The clause or field source.
    pub clause: String,
    /// What is looked at.
    pub check: Check,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// How binding an expectation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Its breach violates.
    Must,
    /// Its breach deviates.
    Should,
    /// Its breach is only told.
    May,
}

/// What an expectation looks at. Ranges of counts default to what each variant says.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// The message reached a mock server that took it.
    Delivered(Delivered),
    /// A failed notification for it reached the sender.
    Returned(Returned),
    /// The relay refused it.
    Refused(Refused),
    /// It is in the queue: at the end, or at the moment of the `check:` that it stands in.
    Queued(Of),
    /// A delay warning for it reached the sender.
    Delayed {
        /// Of what.
        of: Of,
        /// How many; default 1 or more.
        times: Range<u64>,
        /// What its text holds.
        text: Option<String>,
        /// When the first came, counted from the submission.
        within: Range<Duration>,
    },
    /// A notification with this action (`relayed`, `delivered`, `expanded`) reached the sender.
    Notified {
        /// Of what.
        of: Of,
        /// The action, lower case.
        action: String,
        /// How many; default 1 or more.
        times: Range<u64>,
    },
    /// What went over the wire at a server.
    Wire(Wire),
    /// No session ever reached this server.
    Untouched(String),
    /// The dialogue came to its end.
    Completed(String),
    /// The relay's log holds a line that fits.
    Logged(Glob),
    /// At least one holds.
    AnyOf(Vec<Check>),
    /// Each holds.
    AllOf(Vec<Check>),
    /// None holds.
    NoneOf(Vec<Check>),
    /// The check holds for each submission of a message taken by itself.
    Each {
        /// The message.
        message: String,
        /// The check; its own `message` is left out.
        check: Box<Check>,
    },
}

/// A message, some of its recipients, some of its submissions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Of {
    /// The message's name; `None` inside `each`.
    pub message: Option<String>,
    /// Which recipients; `None`: every one of them.
    pub to: Option<Glob>,
}

/// See [`Check::Delivered`].
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// What.
    pub of: Of,
    /// The server that took it; `None`: any.
    pub by: Option<String>,
    /// The attempt at which it was taken: one try over all hosts of the domain, from 1.
    pub attempt: Option<Range<u64>>,
    /// How many copies each recipient got; default 1 exactly.
    pub times: Range<u64>,
    /// Whether the content was 7-bit or 8-bit on the wire.
    pub octets: Option<Octets>,
    /// How long after the submission.
    pub within: Option<Range<Duration>>,
    /// Whether its DKIM signature must still verify.
    pub dkim_intact: bool,
}

/// Whether content has octets above 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Octets {
    /// None.
    SevenBit,
    /// Some.
    EightBit,
}

/// See [`Check::Returned`].
#[derive(Debug, Clone, PartialEq)]
pub struct Returned {
    /// What.
    pub of: Of,
    /// One of these enhanced status codes, `*` for any number; empty: any.
    pub status: Vec<Glob>,
    /// How long after the submission.
    pub within: Option<Range<Duration>>,
    /// What its text holds.
    pub text: Option<String>,
    /// How many notifications each recipient is failed in, per submission; default 1 exactly.
    pub times: Range<u64>,
}

/// See [`Check::Refused`].
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// What.
    pub of: Of,
    /// `MAIL`, `RCPT`, `DATA` or `end-of-data`; `None`: at any.
    pub at: Option<String>,
    /// The reply code, `*` for the rest: `5*`; `None`: 4yz or 5yz.
    pub reply: Option<Glob>,
}

/// See [`Check::Wire`]. Everything that is said must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wire {
    /// The server; `None`: all of them.
    pub at: Option<String>,
    /// The first command of each session.
    pub first: Option<String>,
    /// What no session has.
    pub never: Vec<WireThing>,
    /// What at least one session has.
    pub once: Vec<WireThing>,
    /// The number of sessions.
    pub sessions: Option<Range<u64>>,
    /// The time between the beginnings of sessions that follow one another.
    pub gap: Option<Range<Duration>>,
}

/// Something that can be seen on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireThing {
    /// A command line that begins with these words: `BDAT`, `AUTH LOGIN`, `HELO`.
    Command(String),
    /// A command outside TLS: `MAIL in clear`.
    CommandInClear(String),
    /// Content with octets above 127.
    EightBitContent,
}

impl Scenario {
    /// The server of this name.
    pub fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.script.name == name)
    }

    /// The message of this name.
    pub fn message(&self, name: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.name == name)
    }

    /// What is required: at the end first, then in each `check:` step by step.
    pub fn expectations(&self) -> impl Iterator<Item = &Expectation> {
        self.expect.iter().chain(self.checks().flatten())
    }

    /// What is required by each `check:` among the steps.
    pub fn checks(&self) -> impl Iterator<Item = &[Expectation]> {
        self.steps.iter().filter_map(|step| match step {
            Step::Check(expectations) => Some(expectations.as_slice()),
            _ => None,
        })
    }

    /// The longest that the relay may keep mail, as far as the scenario says.
    pub fn lifetime(&self) -> Duration {
        self.relay.lifetime.unwrap_or(Duration::from_hours(5 * 24))
    }

    /// How long a run may take in its own time: enough for the mail and a notification about it to live out their lives.
    pub fn longest_run(&self) -> Duration {
        let waits = self.steps.iter().map(|step| match step {
            Step::Wait(wait) | Step::Jump(wait) => *wait,
            _ => Duration::ZERO,
        });
        self.lifetime() * 3 + Duration::from_hours(48) + waits.sum::<Duration>()
    }
}

impl Check {
    /// The check's word in the language.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Returned(_) => "returned",
            Self::Refused(_) => "refused",
            Self::Queued(_) => "queued",
            Self::Delayed { .. } => "delayed",
            Self::Notified { .. } => "notified",
            Self::Wire(_) => "wire",
            Self::Untouched(_) => "untouched",
            Self::Completed(_) => "completed",
            Self::Logged(_) => "logged",
            Self::AnyOf(_) => "any of",
            Self::AllOf(_) => "all of",
            Self::NoneOf(_) => "none of",
            Self::Each { .. } => "each",
        }
    }
}
