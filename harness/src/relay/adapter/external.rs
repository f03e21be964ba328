//! Adapters of relays that run elsewhere: the address of one, and the commands that look at it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::read::{self, Reader, number_up_to};
use super::{Adapter, AdapterError, ConfigureError, Lacks, template, words};
use crate::record::{OwnTime, Role, Varies};
use crate::relay::Settings;
use crate::relay::serving::Serving;
use crate::yaml::{Diagnostic, Mapping, Node, Value, Wrong, one_or_more, wrong_with};

/// How long nothing may happen before it counts as certain that nothing more does, unless the adapter says otherwise.
const REST: Duration = Duration::from_secs(5);

/// The port on which mail is accepted.
const SMTP: u16 = 25;

/// A relay that runs elsewhere: the harness neither starts it nor stops it. Commands are for `sh -c` on this machine, as who
/// runs the harness.
#[derive(Debug, Clone)]
pub struct External {
    /// Its name: that of the file.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What it is, in one line.
    pub about: String,
    /// Where it accepts mail: a host, by name or address, and a port.
    pub address: (String, u16),
    /// Its own name, where it has one whatever the scenario says.
    pub hostname: Option<String>,
    /// The part that it plays towards submitting clients.
    pub role: Role,
    /// Where the servers that it meets stand on this machine.
    pub serving: Serving,
    /// How long nothing may happen before it is certain that nothing more happens by itself.
    pub rest: Duration,
    /// Lists its queue, for [`super::read_queue`]; `None`: it cannot be seen.
    pub list: Option<String>,
    /// Has its whole queue tried.
    pub flush: Option<String>,
    /// Throws its queue away.
    pub empty: Option<String>,
    /// Prints its log.
    pub log: Option<String>,
    /// Prints the version, on its first line.
    pub version: Option<String>,
    /// What varies from run to run.
    pub varies: Varies,
    pub(super) cannot: Vec<(&'static str, String)>,
    pub(super) configure: Option<String>,
}

impl External {
    /// Whether the harness can tell it what a scenario asks for.
    pub fn can_be_told(&self) -> bool {
        self.configure.is_some()
    }

    /// The command that tells it a run's settings, if it has one, and the times of its own that it goes by.
    ///
    /// # Errors
    /// When it cannot be told them.
    pub fn configure(&self, settings: &Settings) -> Result<(Option<String>, Vec<OwnTime>), ConfigureError> {
        let filling = template::Filling::new(&self.name, settings);
        let lacks = Lacks { relay: &self.name, cannot: &self.cannot };
        let own_times = match &self.configure {
            Some(_) => lacks.own_times(&filling, settings)?,
            None => Lacks { cannot: &untold(), ..lacks }.own_times(&filling, settings)?,
        };
        let command = self.configure.as_ref().map(|text| filling.fill("configure", text)).transpose()?;
        Ok((command, own_times))
    }
}

/// What a relay without `configure:` cannot be told: everything that is not as with most. That mail goes by the DNS, the sender's too, is so with most, and
/// when it is warned of or returned makes no difference: by its own clock no run lasts until then.
fn untold() -> Vec<(&'static str, String)> {
    const WHY: &str = "it runs elsewhere, and its adapter has no `configure:`";
    let why = |setting| match setting {
        "tls" => format!("{{% if tls != \"opportunistic\" %}}{WHY}{{% endif %}}"),
        _ => WHY.to_owned(),
    };
    let needless = ["mail exchangers", "routes", "warn", "lifetime"];
    words::CANNOT
        .list()
        .filter(|setting| !needless.contains(setting))
        .map(|setting| (setting, why(setting)))
        .collect()
}

/// Whether this is the adapter of a relay that runs elsewhere: it says where.
pub(super) fn is_one(root: &Node) -> bool {
    let Value::Mapping(entries) = &root.value else { return false };
    entries.iter().any(|entry| entry.key == "address")
}

impl Reader<'_> {
    /// Reads one.
    pub(super) fn external(&self, root: &Node, name: &str, path: &Path) -> Option<External> {
        let problems = self.problems;
        let mapping = Mapping::new(root, &words::EXTERNAL, problems)?;
        let command = |key| mapping.take(key).and_then(|node| problems.some_text(node, "a command"));
        let about =
            mapping.require("about").and_then(|node| problems.some_text(node, "one line on the relay"));
        let address =
            mapping.require("address").and_then(|node| problems.parsed(node, "`host:port`", host_and_port));
        let hostname =
            mapping.take("hostname").and_then(|node| problems.some_text(node, "the relay's own name"));
        let role = mapping.take("role").and_then(|node| self.role(node));
        let serving = mapping.take("serve").and_then(|node| self.serving(node));
        let rest = mapping.take("rest").and_then(|node| problems.parsed(node, "a time", seconds));
        let cannot = mapping.take("cannot").map(|node| self.cannot(node)).unwrap_or_default();
        let configure = mapping.take("configure").and_then(|node| self.template(node, "a command"));
        if let (None, Some(entry)) = (&configure, mapping.entry("cannot")) {
            problems.push(
                Diagnostic::new(entry.key_span.clone(), "`cannot:` needs `configure:`")
                    .because("without it the relay cannot be told anything at all"),
            );
        }
        let (list, flush, empty) = (command("list"), command("flush"), command("empty"));
        let (log, version) = (command("log"), command("version"));
        let varies = mapping.take("varies").map(|node| self.varies(node)).unwrap_or_default();
        mapping.finish();
        Some(External {
            name: name.to_owned(),
            path: path.to_owned(),
            about: about?,
            address: address?,
            hostname,
            role: role.unwrap_or(Role::Relay),
            serving: serving.unwrap_or_default(),
            rest: rest.unwrap_or(REST),
            list,
            flush,
            empty,
            log,
            version,
            varies,
            cannot,
            configure,
        })
    }

    fn serving(&self, node: &Node) -> Option<Serving> {
        let problems = self.problems;
        let mapping = Mapping::new(node, &words::SERVE, problems)?;
        let port = |key| mapping.take(key).and_then(|node| self.port_number(node));
        let (port, dns_port) = (port("port"), port("dns port"));
        let listens = mapping.take("listen");
        let listen = listens.map(one_or_more).unwrap_or_default();
        let listen = listen.iter().filter_map(|node| problems.parsed(node, "an IP address", ip)).collect();
        let public = mapping.take("public").and_then(|node| problems.boolean(node));
        mapping.finish();
        let serving = Serving {
            listen,
            port: port.unwrap_or(Serving::PORT),
            dns_port: dns_port.unwrap_or(Serving::DNS_PORT),
            public: public.unwrap_or(false),
        };
        if let (Err(refused), Some(node)) = (serving.check(), listens) {
            problems.push(
                Diagnostic::new(node.span.clone(), refused.to_string())
                    .help("where that is meant, say `public: true`"),
            );
        }
        Some(serving)
    }
}

fn ip(text: &str) -> Result<IpAddr, Wrong> {
    text.parse().map_err(|_| wrong_with("names are not looked up", "write `127.0.0.1` or `\"::1\"`"))
}

/// `host`, `host:port`, `[::1]:25`.
fn host_and_port(text: &str) -> Result<(String, u16), Wrong> {
    let (host, port) = match text.rsplit_once(':') {
        // An IPv6 address without a port.
        Some((before, _)) if before.contains(':') && !before.ends_with(']') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || !host.chars().all(fits) {
        return Err(wrong_with(
            "there is no host in it",
            "write `relay.example:25`, `10.0.0.7:25` or `\"[::1]:25\"`",
        ));
    }
    let port = port.map_or(Ok(SMTP), |port| {
        number_up_to(port, u64::from(u16::MAX))
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| wrong_with(format!("{port:?} is no port"), "ports are 1 to 65535"))
    });
    Ok((host.to_owned(), port?))
}

/// `500ms`, `5s`, `2m`.
fn seconds(text: &str) -> Result<Duration, Wrong> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        _ => None,
    };
    let time =
        number_up_to(digits, 600_000).zip(unit).map(|(count, unit)| Duration::from_millis(count * unit));
    let fits = |time: &Duration| *time <= Duration::from_mins(10);
    time.filter(fits).ok_or_else(|| {
        wrong_with("a number from 1 on and `ms`, `s` or `m`, at most ten minutes", "write `5s`")
    })
}

/// What a user's file tells of.
#[derive(Debug, Clone)]
pub enum Loaded {
    /// A relay that is started here.
    Here(Box<Adapter>),
    /// One that runs elsewhere.
    Elsewhere(Box<External>),
}

impl Loaded {
    /// Reads a user's file; the relay's name is the file's stem.
    ///
    /// # Errors
    /// All mistakes in it.
    pub fn load(path: &Path) -> Result<Self, AdapterError> {
        let text = crate::yaml::text_of(path, &read::DOCUMENT)?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(read::parse_any(&name, path, &text)?)
    }
}
