//! Provisional.
#![allow(missing_docs)]
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;

use super::{Settings, Tls, Unsupported};
use crate::record::Role;

pub const CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";
pub const CERTIFICATE_CHAIN: &str = "/etc/ssl/gauntlet/relay.crt";
pub const CERTIFICATE_KEY: &str = "/etc/ssl/gauntlet/relay.key";

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AdapterError(pub String);

#[derive(Debug, Clone)]
pub struct Adapter {
    pub name: String,
    pub about: String,
    pub packages: Vec<String>,
    pub provides: PathBuf,
    pub role: Role,
    file: File,
}
#[derive(Debug, Clone, Deserialize)]
struct File {
    about: String,
    install: BTreeMap<String, Vec<String>>,
    provides: PathBuf,
    role: String,
    version: String,
    #[serde(default)]
    cannot: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, serde_yaml::Value>,
    prepare: Option<String>,
    start: String,
    stop: Option<String>,
    #[serde(rename = "queue run")]
    queue_run: BTreeMap<String, String>,
    queue: BTreeMap<String, String>,
    log: String,
}
pub enum ConfigureError {
    Unsupported(Unsupported),
    Template { place: String, why: String },
}
pub struct Configured {
    pub files: Vec<ConfigFile>,
    pub prepare: Option<String>,
    pub start: String,
    pub ready_port: u16,
    pub stop: Option<String>,
    pub force: Option<String>,
    pub due: Option<String>,
    pub list: String,
    pub version: String,
    pub log: LogSource,
}
pub struct ConfigFile {
    pub path: PathBuf,
    pub mode: u32,
    pub owner: Option<String>,
    pub text: String,
}
pub enum LogSource {
    Syslog,
    Stderr,
    File(PathBuf),
}
pub struct Listed {
    pub id: String,
    pub from: String,
    pub to: String,
    pub arrived: u64,
    pub next: Option<u64>,
    pub attempts: Option<u32>,
    pub reason: Option<String>,
    pub held: bool,
}

const SHIPPED: [(&str, &str); 4] = [
    ("exim", include_str!("../../relays/exim.yaml")),
    ("opensmtpd", include_str!("../../relays/opensmtpd.yaml")),
    ("postfix", include_str!("../../relays/postfix.yaml")),
    ("sendmail", include_str!("../../relays/sendmail.yaml")),
];
impl Adapter {
    pub fn shipped() -> &'static [&'static str] {
        &["exim", "opensmtpd", "postfix", "sendmail"]
    }
    pub fn named(name: &str) -> Option<Result<Adapter, AdapterError>> {
        SHIPPED.iter().find(|(n, _)| *n == name).map(|(_, text)| Self::parse(name, name, text))
    }
    pub fn load(path: &Path) -> Result<Adapter, AdapterError> {
        let text =
            std::fs::read_to_string(path).map_err(|e| AdapterError(format!("{}: {e}", path.display())))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self::parse(&name, &path.display().to_string(), &text)
    }
    pub fn parse(name: &str, shown: &str, text: &str) -> Result<Adapter, AdapterError> {
        let file: File = serde_yaml::from_str(text).map_err(|e| AdapterError(format!("{shown}: {e}")))?;
        Ok(Adapter {
            name: name.to_owned(),
            about: file.about.clone(),
            packages: file.install.get("debian").cloned().unwrap_or_default(),
            provides: file.provides.clone(),
            role: Role::Relay,
            file,
        })
    }
    pub fn configure(&self, s: &Settings) -> Result<Configured, ConfigureError> {
        let f = &self.file;
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        let secs = |d: Option<std::time::Duration>| d.map(|d| d.as_secs());
        let ctx = context! {
            hostname => s.hostname.clone(), domain => s.hostname.split_once('.').map_or("", |x| x.1), addresses => s.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            resolver => s.resolver.ip().to_string(), trusted => s.trusted.iter().map(ToString::to_string).collect::<Vec<_>>(), smarthost => s.smarthost.clone(),
            routes => s.routes.iter().map(|(d, h)| context!{domain => d, host => h}).collect::<Vec<_>>(),
            auth => s.auth.as_ref().map(|a| context!{user => a.user.clone(), password => a.password.clone(), mechanisms => a.mechanisms.clone(), smarthost_only => a.smarthost_only}),
            tls => match s.tls { Tls::Off => "off", Tls::Opportunistic => "opportunistic", Tls::Required => "required", Tls::Dane => "dane" },
            tls_root => s.tls_root.is_some(), ca_file => CA_FILE, certificate => s.certificate.as_ref().map(|_| context!{chain => CERTIFICATE_CHAIN, key => CERTIFICATE_KEY}),
            retry_first => secs(s.retry_first), retry_at_most => secs(s.retry_at_most), warn => secs(s.warn), lifetime => secs(s.lifetime), size_limit => s.size_limit, reuse => s.reuse,
            greeting_timeout => secs(s.greeting_timeout), command_timeout => secs(s.command_timeout), end_of_data_timeout => secs(s.end_of_data_timeout),
        };
        let render = |place: &str, text: &str| {
            env.render_str(text, &ctx)
                .map_err(|e| ConfigureError::Template { place: place.to_owned(), why: format!("{e:#}") })
        };
        let given = |key: &str| match key {
            "tls" => true,
            "auth" => s.auth.is_some(),
            "auth mechanisms" => s.auth.as_ref().is_some_and(|a| !a.mechanisms.is_empty()),
            "retry first" => s.retry_first.is_some(),
            "retry at most" => s.retry_at_most.is_some(),
            "warn" => s.warn.is_some(),
            "lifetime" => s.lifetime.is_some(),
            "size limit" => s.size_limit.is_some(),
            "reuse" => s.reuse.is_some(),
            "greeting timeout" => s.greeting_timeout.is_some(),
            "command timeout" => s.command_timeout.is_some(),
            "end of data timeout" => s.end_of_data_timeout.is_some(),
            _ => false,
        };
        for (key, text) in &f.cannot {
            let why = render(key, text)?;
            if given(key) && !why.trim().is_empty() {
                return Err(ConfigureError::Unsupported(Unsupported(format!(
                    "{} cannot be told `{key}`: {}",
                    self.name,
                    why.trim()
                ))));
            }
        }
        let mut files = Vec::new();
        for (path, value) in &f.files {
            let place = path.display().to_string();
            let (text, mode, owner) = match value {
                serde_yaml::Value::String(t) => (t.clone(), 0o644, None),
                v => (
                    v["text"].as_str().unwrap_or_default().to_owned(),
                    v["mode"].as_str().map_or(0o644, |m| u32::from_str_radix(m, 8).unwrap_or(0o644)),
                    v.get("owner").and_then(|o| o.as_str()).map(str::to_owned),
                ),
            };
            files.push(ConfigFile { path: path.clone(), mode, owner, text: render(&place, &text)? + "\n" });
        }
        let opt = |place: &str, t: Option<&String>| t.map(|t| render(place, t)).transpose();
        Ok(Configured {
            files,
            prepare: opt("prepare", f.prepare.as_ref())?,
            start: render("start", &f.start)?,
            ready_port: 25,
            stop: opt("stop", f.stop.as_ref())?,
            force: opt("force", f.queue_run.get("force"))?,
            due: opt("due", f.queue_run.get("due"))?,
            list: f.queue["list"].clone(),
            version: f.version.clone(),
            log: match f.log.as_str() {
                "syslog" => LogSource::Syslog,
                "stderr" => LogSource::Stderr,
                p => LogSource::File(p.into()),
            },
        })
    }
}
pub fn read_queue(text: &str) -> Result<Vec<Listed>, String> {
    text.lines()
        .filter(|l| !l.trim().is_empty())
        .map(|line| {
            let f: BTreeMap<&str, &str> = line.split('\t').filter_map(|p| p.split_once('=')).collect();
            let get = |k: &str| f.get(k).map(|v| (*v).to_owned());
            Ok(Listed {
                id: get("id").ok_or_else(|| format!("no id in {line:?}"))?,
                from: get("from").unwrap_or_default(),
                to: get("to").unwrap_or_default(),
                arrived: get("arrived").and_then(|v| v.parse().ok()).unwrap_or(0),
                next: get("next").and_then(|v| v.parse().ok()),
                attempts: get("attempts").and_then(|v| v.parse().ok()),
                reason: get("reason"),
                held: f.get("held") == Some(&"yes"),
            })
        })
        .collect()
}
