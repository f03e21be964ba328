//! Adapters: everything that is particular to one relay, in a file. harness/relays/README.md is the guide to them.
//!
//! `read` makes an [`Adapter`] of a file and tells what is wrong in it; `template` fills a run's settings in; `queue` reads
//! what the listing command printed.

mod external;
mod queue;
mod read;
mod template;
#[cfg(test)]
mod tests;
mod words;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::{Intake, Settings, Unsupported};
use crate::record::{OwnTime, Role, Varies};
use crate::yaml::Diagnostics;
pub use external::{External, Loaded};
pub use queue::{Listed, read_queue};
pub(in crate::relay) use queue::{entries, told_once};

/// Where the chain of the relay's own certificate is written (PEM).
pub const CERTIFICATE_CHAIN: &str = "/etc/ssl/gauntlet/relay.crt";

/// Where the key of the relay's own certificate is written (PEM).
pub const CERTIFICATE_KEY: &str = "/etc/ssl/gauntlet/relay.key";

/// The trust store, which holds the run's own certificate authority where it has one.
pub const CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The adapters that come with the harness.
const ALL: [(&str, &str); 8] = [
    ("chasquid", include_str!("../../../relays/chasquid.yaml")),
    ("courier", include_str!("../../../relays/courier.yaml")),
    ("dma", include_str!("../../../relays/dma.yaml")),
    ("exim", include_str!("../../../relays/exim.yaml")),
    ("nullmailer", include_str!("../../../relays/nullmailer.yaml")),
    ("opensmtpd", include_str!("../../../relays/opensmtpd.yaml")),
    ("postfix", include_str!("../../../relays/postfix.yaml")),
    ("sendmail", include_str!("../../../relays/sendmail.yaml")),
];

/// Their names.
const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = ALL[at].0;
        at += 1;
    }
    names
};

/// What one that comes with the harness is, in its adapter's one line.
pub fn about(name: &str) -> &'static str {
    static ALL_READ: LazyLock<Vec<Adapter>> =
        LazyLock::new(|| NAMES.iter().filter_map(|name| Adapter::named(name)?.ok()).collect());
    ALL_READ
        .iter()
        .find(|adapter| adapter.name == name)
        .map_or("its adapter cannot be read", |adapter| &adapter.about)
}

/// How one relay is configured, started, listed and stopped.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Its name: that of the file.
    pub name: String,
    /// The user's own file that it was read from; `None`: it comes with the harness.
    pub path: Option<PathBuf>,
    /// What it is, in one line.
    pub about: String,
    /// The Debian packages that a prepared root is made from.
    pub packages: Vec<String>,
    /// A file that shows that the relay is there.
    pub provides: PathBuf,
    /// The image that it is in where it is run in a container; `None`: `gauntlet/` and its name.
    pub image: Option<String>,
    /// The image of which it is to be run in a container; `None`: it is run in a lab of this machine's. No adapter says that:
    /// whoever chooses the relay does.
    pub container: Option<String>,
    /// The part that it plays towards submitting clients.
    pub role: Role,
    cannot: Vec<(&'static str, String)>,
    files: Vec<ConfigFile>,
    prepare: Option<String>,
    start: String,
    ready_port: u16,
    intake: Intake,
    command: Option<SubmissionCommand>,
    stop: Option<String>,
    force: Option<String>,
    due: Option<String>,
    list: String,
    version: String,
    log: LogSource,
    varies: Varies,
}

/// The command that takes mail, for a relay that listens nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionCommand {
    /// For `sh -c`: the content is its standard input, `$sender` the reverse-path, `"$@"` the recipients.
    pub script: String,
    /// Who runs it; `None`: root.
    pub user: Option<String>,
}

/// An adapter's mistakes, each with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct AdapterError(#[from] pub Diagnostics);

/// Why an adapter's words cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigureError {
    /// The relay cannot be told what the scenario asks for.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A template of the adapter is wrong in a way that shows only now.
    #[error("{place}: {why}")]
    Template {
        /// The adapter and its key, and the line of the text there.
        place: String,
        /// The cause.
        why: String,
    },
}

/// An adapter's words for one run. Commands are for `sh -c`, as root, in the lab.
#[derive(Debug, Clone)]
pub struct Configured {
    /// The times of its own that it has where it was to be told some.
    pub own_times: Vec<OwnTime>,
    /// What is written before the relay is started for the first time.
    pub files: Vec<ConfigFile>,
    /// What is done after that, once.
    pub prepare: Option<String>,
    /// Starts it. It may stay in the foreground or go to the background.
    pub start: String,
    /// The port whose greeting shows that it has started; nothing greets where mail comes by a command.
    pub ready_port: u16,
    /// The command that takes mail, for a relay that listens nowhere.
    pub command: Option<SubmissionCommand>,
    /// Ends it in order; `None`: it can only be killed.
    pub stop: Option<String>,
    /// Has the whole queue tried.
    pub force: Option<String>,
    /// Has tried what is due by the relay's own schedule.
    pub due: Option<String>,
    /// Lists the queue, for [`read_queue`].
    pub list: String,
    /// Prints the version, on its first line.
    pub version: String,
    /// Where it logs.
    pub log: LogSource,
    /// What varies from run to run.
    pub varies: Varies,
}

/// A file of the relay's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Absolute, in the lab.
    pub path: PathBuf,
    /// The permission bits.
    pub mode: u32,
    /// `user` or `user:group`; `None`: root.
    pub owner: Option<String>,
    /// What it holds.
    pub text: String,
}

/// Where a relay logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// By syslog(3), to /dev/log.
    Syslog,
    /// To its own standard error.
    Stderr,
    /// To a file, in the lab.
    File(PathBuf),
}

impl Adapter {
    /// The names of those that come with the harness, sorted.
    pub fn shipped() -> &'static [&'static str] {
        &NAMES
    }

    /// One that comes with the harness; `None`: there is none of this name.
    pub fn named(name: &str) -> Option<Result<Self, AdapterError>> {
        let (name, text) = ALL.iter().find(|(other, _)| *other == name)?;
        Some(Self::parse(name, &format!("harness/relays/{name}.yaml"), text))
    }

    /// One in a user's own file; its name is the file's stem.
    pub fn load(path: &Path) -> Result<Self, AdapterError> {
        let text = crate::yaml::text_of(path, &read::DOCUMENT)?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { path: Some(path.to_owned()), ..read::parse(&name, path, &text)? })
    }

    /// One in a text, which is shown as coming from `shown_path`. All mistakes are told, not the first alone.
    pub fn parse(name: &str, shown_path: &str, text: &str) -> Result<Self, AdapterError> {
        Ok(read::parse(name, Path::new(shown_path), text)?)
    }

    /// How it takes mail from those for whom it relays.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The command whose first line is the version; no template.
    pub fn version_command(&self) -> &str {
        &self.version
    }

    /// Its words with a run's settings filled in.
    pub fn configure(&self, settings: &Settings) -> Result<Configured, ConfigureError> {
        let filling = template::Filling::new(&self.name, settings);
        let lacks = Lacks { relay: &self.name, cannot: &self.cannot };
        let own_times = lacks.own_times(&filling, settings)?;
        let command = |place: &str, text: &Option<String>| {
            text.as_ref().map(|text| filling.fill(place, text)).transpose()
        };
        let files = self.files.iter().map(|file| {
            let text = filling.fill(&format!("files: {}", file.path.display()), &file.text)?;
            Ok(ConfigFile { text, ..file.clone() })
        });
        Ok(Configured {
            own_times,
            files: files.collect::<Result<_, ConfigureError>>()?,
            prepare: command("prepare", &self.prepare)?,
            start: filling.fill("start", &self.start)?,
            ready_port: self.ready_port,
            command: match &self.command {
                None => None,
                Some(command) => {
                    let script = filling.fill("submission: command", &command.script)?;
                    Some(SubmissionCommand { script, ..command.clone() })
                }
            },
            stop: command("stop", &self.stop)?,
            force: command("queue run: force", &self.force)?,
            due: command("queue run: due", &self.due)?,
            list: self.list.clone(),
            version: self.version.clone(),
            log: self.log.clone(),
            varies: self.varies.clone(),
        })
    }
}

/// What a relay cannot be told.
struct Lacks<'a> {
    relay: &'a str,
    cannot: &'a [(&'static str, String)],
}

impl Lacks<'_> {
    /// The times of its own that it has where it was to be told some.
    ///
    /// # Errors
    /// When it cannot be told anything else that is asked for.
    fn own_times(
        &self,
        filling: &template::Filling<'_>,
        settings: &Settings,
    ) -> Result<Vec<OwnTime>, ConfigureError> {
        let mut own_times = Vec::new();
        for (setting, reason) in self.cannot {
            if !template::is_given(setting, settings) {
                continue;
            }
            let reason = filling.fill(&format!("cannot: {setting}"), reason)?;
            let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
            if !reason.is_empty() {
                let asked = template::asked(setting, settings);
                let why = format!("{} cannot be told `{asked}`: {reason}", self.relay);
                if !template::is_time_between(setting) {
                    return Err(Unsupported(why).into());
                }
                own_times.push(OwnTime { setting: (*setting).to_owned(), why });
            }
        }
        Ok(own_times)
    }
}
