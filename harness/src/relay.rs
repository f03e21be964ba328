//! Drivers: how a relay under test is configured, started, listed, killed and stopped. The rest of the harness knows a
//! relay only by these traits and by what goes over the wire.

pub mod adapter;
mod command;
pub mod container;
pub mod embedded;
pub mod external;
pub mod process;
pub mod roots;
mod seed;
pub mod serving;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

pub use reference_relay::environment::{Clock, Network};

pub use mock_servers::smtp::by_command::Ended;

use crate::record::{LogLine, OwnTime, QueueEntry, Role, Varies};

/// What every relay is told, in neutral words; a driver maps it to its relay's own configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its own host name.
    pub hostname: String,
    /// Where it accepts mail.
    pub listen: SocketAddr,
    /// Its own addresses: that of `listen`, and others at which it accepts mail on the same port.
    pub addresses: Vec<IpAddr>,
    /// Its DNS server.
    pub resolver: SocketAddr,
    /// Clients that may relay.
    pub trusted: Vec<IpAddr>,
    /// The directory that is its own for the run.
    pub directory: PathBuf,
    /// Everything goes to this host, by name.
    pub smarthost: Option<String>,
    /// Domains with a way of their own: domain, and the host that takes its mail.
    pub routes: Vec<(String, String)>,
    /// Credentials for next hops.
    pub auth: Option<AuthSettings>,
    /// STARTTLS towards next hops.
    pub tls: Tls,
    /// The run's own certificate authority, PEM.
    pub tls_root: Option<String>,
    /// The certificate with which it offers STARTTLS to clients; `None`: it does not offer it.
    pub certificate: Option<Certificate>,
    /// First wait between attempts; `None`: the relay's default, here and below.
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
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Only to the smart host; otherwise to any host.
    pub smarthost_only: bool,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Mechanisms in order; empty: the relay's choice.
    pub mechanisms: Vec<String>,
}

/// A certificate for the relay's own name.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// PEM: its own, then that of the run's authority.
    pub chain: String,
    /// PEM: the private key, which is worth nothing outside of the run.
    pub key: String,
}

/// STARTTLS towards next hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// Never.
    Off,
    /// When offered.
    #[default]
    Opportunistic,
    /// Always, with a valid certificate.
    Required,
    /// By TLSA records (RFC 7672).
    Dane,
}

/// What a relay's name stands for.
#[derive(Clone)]
pub enum Chosen {
    /// One of the harness's own, in the run's thread and time.
    Embedded,
    /// A real one, as its adapter says.
    Process(std::sync::Arc<adapter::Adapter>),
    /// One that runs elsewhere, and is neither started nor stopped.
    External(std::sync::Arc<adapter::External>),
}

/// Why a name stands for none.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// Nothing is called so.
    #[error("there is no relay `{0}`; `gauntlet relays` lists them")]
    Unknown(String),
    /// Its adapter cannot be read.
    #[error(transparent)]
    Adapter(#[from] adapter::AdapterError),
    /// It is no program that could be put into a container.
    #[error("the relay `{0}` is built into the harness: there is no container of it")]
    BuiltIn(String),
    /// Nor is one that is not the harness's to start.
    #[error("the relay `{0}` runs elsewhere: the harness starts no container of it")]
    Elsewhere(String),
}

/// Finds what a name stands for: an embedded relay, an adapter that comes with the harness, or the path of a user's own
/// (one with a `/` in it, or that ends in `.yaml`). Behind `container:`, a real one in a container: of the adapter's image, or
/// of another one (`container:postfix=our/postfix:3.9`).
///
/// # Errors
/// When there is none, or its adapter is wrong.
pub fn choose(name: &str) -> Result<Chosen, ChooseError> {
    if let Some(asked) = name.strip_prefix(container::PREFIX) {
        let (name, image) = container::asked(asked);
        return match choose(name)? {
            Chosen::Process(adapter) => {
                let image = image.map_or_else(|| container::image_of(&adapter), str::to_owned);
                let mut adapter = adapter::Adapter::clone(&adapter);
                adapter.container = Some(image);
                Ok(Chosen::Process(adapter.into()))
            }
            Chosen::Embedded => Err(ChooseError::BuiltIn(name.to_owned())),
            Chosen::External(_) => Err(ChooseError::Elsewhere(name.to_owned())),
        };
    }
    if embedded::exists(name) {
        return Ok(Chosen::Embedded);
    }
    let is_path =
        name.contains('/') || std::path::Path::new(name).extension().is_some_and(|end| end == "yaml");
    if is_path {
        return Ok(match adapter::Loaded::load(name.as_ref())? {
            adapter::Loaded::Here(adapter) => Chosen::Process(std::sync::Arc::from(adapter)),
            adapter::Loaded::Elsewhere(external) => Chosen::External(std::sync::Arc::from(external)),
        });
    }
    let adapter = adapter::Adapter::named(name).ok_or_else(|| ChooseError::Unknown(name.to_owned()))??;
    Ok(Chosen::Process(adapter.into()))
}

/// Every relay that can be chosen by name.
pub fn choices() -> Vec<Choice> {
    let mut choices = embedded::choices();
    choices
        .extend(adapter::Adapter::shipped().iter().map(|name| Choice { name, about: adapter::about(name) }));
    choices
}

/// A relay that can be chosen by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// `reference`, `iis-5`.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
}

/// What can be wrong around a relay that is not on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing more can be written to the disk that its queue is on: ENOSPC.
    DiskFull,
}

/// Something around a relay that the harness needs and could not do: what the relay does then says nothing about it.
#[derive(Debug)]
pub struct Trouble {
    /// What was being done: `list the queue of our-relay`.
    pub doing: String,
    /// The words of the system, or of the command that failed.
    pub why: std::io::Error,
}

/// How a relay takes mail from those for whom it relays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Intake {
    /// By SMTP at port 25, as from anybody; it knows them by their addresses.
    #[default]
    ByAddress,
    /// By SMTP within TLS at a port for them, with a user's name and password (RFC 6409, RFC 4954). All others come to port 25.
    ByPassword(Submission),
    /// By a command of its own machine, as `sendmail` is one. It listens nowhere.
    ByCommand,
}

/// Where mail is submitted, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Mail that is handed to a relay by its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// The reverse-path; empty for the null one.
    pub from: String,
    /// The forward-paths.
    pub to: Vec<String>,
    /// The content, its lines ended by CRLF.
    pub content: Vec<u8>,
}

/// What a relay cannot be told or made to do.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{0}")]
pub struct Unsupported(pub String);

/// Why a relay did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot do what the scenario asks of it.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// It tried and failed.
    #[error("the relay `{relay}` did not start: {why}")]
    Failed {
        /// Its name.
        relay: String,
        /// Its own words.
        why: String,
    },
}

/// A boxed future, as the object-safe trait below returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A relay under test, from outside.
pub trait Driver: Send + Sync {
    /// Starts it, or starts it again on the queue that it left.
    fn start(&self) -> BoxFuture<'_, Result<(), StartError>>;
    /// Ends it as by SIGKILL.
    fn kill(&self);
    /// Ends it in order.
    fn stop(&self) -> BoxFuture<'_, ()>;
    /// Its queue as it is now; while it is down, as it was when last seen.
    fn queue(&self) -> Vec<QueueEntry>;
    /// Whether its queue can be listed at all: what is not seen there need not have been lost.
    fn lists(&self) -> bool {
        true
    }
    /// What it has logged in this run.
    fn log(&self) -> Vec<LogLine>;
    /// How many lines it has logged, for a relay whose queue takes long to list and does not change without a word in the log, or
    /// in a conversation; `None`: it is listed at every quiet moment.
    fn logged(&self) -> Option<u64> {
        None
    }
    /// How it takes mail from those for whom it relays.
    fn intake(&self) -> Intake {
        Intake::ByAddress
    }
    /// The command that takes this mail, as people would write it, for a relay that takes it so.
    fn command_for(&self, mail: &HandedOver) -> String {
        let _ = mail;
        String::new()
    }
    /// Hands mail to that command, and waits until it has ended.
    ///
    /// # Errors
    /// When the command could not be run, or this relay has none.
    fn hand_over(&self, mail: HandedOver) -> BoxFuture<'_, Result<Ended, String>> {
        let _ = mail;
        Box::pin(async { Err("it takes no mail by a command".to_owned()) })
    }
    /// Has everything in its queue tried now.
    ///
    /// # Errors
    /// When this relay cannot be made to. Nothing has changed then.
    fn force_queue_run(&self) -> Result<(), Unsupported>;
    /// Has it try what is due by its own schedule now, and nothing else: for a relay whose queue is run from outside.
    ///
    /// # Errors
    /// As above.
    fn due_queue_run(&self) -> Result<(), Unsupported>;
    /// Why it ended by itself, if it did.
    fn died(&self) -> Option<String>;
    /// Its version.
    fn version(&self) -> String;
    /// Spoils what the relay lives on, in place of what was spoilt before; `None` mends it. It may run or be down, and the
    /// fault outlives its end.
    ///
    /// # Errors
    /// When this relay's surroundings cannot be spoilt in that way. Nothing has changed then.
    fn fault(&self, fault: Option<Fault>) -> Result<(), Unsupported>;
    /// What went wrong in the harness's hands or with the machine under it that no [`Driver::fault`] made, as far as it can
    /// be known: the first.
    fn trouble(&self) -> Option<Trouble> {
        None
    }
    /// It has just been started, and is about to be called for the first time: until then the run's clock stays.
    fn awaits_call(&self) -> bool {
        false
    }
    /// The times of its own that it goes by where it was to be told some.
    fn own_times(&self) -> Vec<OwnTime> {
        Vec::new()
    }
    /// The part that it plays towards submitting clients.
    fn role(&self) -> Role;
    /// What it does not do alike from run to run.
    fn varies(&self) -> Varies {
        Varies::default()
    }
}
