//! Templates, and the settings that are filled into them.

use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};

use super::{CA_FILE, CERTIFICATE_CHAIN, CERTIFICATE_KEY, ConfigureError};
use crate::relay::{Settings, Tls};

/// The settings by the names that templates have for them.
pub(super) const VARIABLES: [&str; 22] = [
    "hostname",
    "domain",
    "addresses",
    "resolver",
    "trusted",
    "smarthost",
    "routes",
    "auth",
    "tls",
    "tls_root",
    "ca_file",
    "certificate",
    "retry_first",
    "retry_at_most",
    "warn",
    "lifetime",
    "size_limit",
    "reuse",
    "greeting_timeout",
    "command_timeout",
    "end_of_data_timeout",
    // What Jinja itself brings.
    "range",
];

/// Where templates are read: nothing is escaped, a variable that is not there is an error, and the last line keeps its end.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true);
    environment.set_syntax(syntax.build().expect("the delimiters are Jinja's own"));
    environment
}

/// What is wrong, without the template's name, which is given elsewhere.
pub(super) fn cause(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// One run's settings, to be filled into an adapter's texts.
pub(super) struct Filling<'a> {
    adapter: &'a str,
    environment: Environment<'static>,
    settings: Value,
}

impl<'a> Filling<'a> {
    pub(super) fn new(adapter: &'a str, settings: &Settings) -> Self {
        Self { adapter, environment: environment(), settings: variables(settings) }
    }

    /// The text at `place` with the settings filled in.
    pub(super) fn fill(&self, place: &str, text: &str) -> Result<String, ConfigureError> {
        let filled = self
            .environment
            .template_from_str(text)
            .and_then(|template| template.render(self.settings.clone()));
        filled.map_err(|error| {
            let line = error.line().map_or(String::new(), |line| format!(", line {line}"));
            ConfigureError::Template {
                place: format!("{}.yaml, `{place}`{line}", self.adapter),
                why: cause(&error),
            }
        })
    }
}

/// Whether a setting, as `cannot:` calls it, is given. Without a word on it `tls` is opportunistic, so that its own template
/// decides.
pub(super) fn is_given(setting: &str, settings: &Settings) -> bool {
    match setting {
        "mail exchangers" => settings.smarthost.is_none(),
        "smarthost" => settings.smarthost.is_some(),
        "routes" => !settings.routes.is_empty(),
        "auth" => settings.auth.is_some(),
        "auth mechanisms" => settings.auth.as_ref().is_some_and(|auth| !auth.mechanisms.is_empty()),
        "certificate" => settings.certificate.is_some(),
        "retry first" => settings.retry_first.is_some(),
        "retry at most" => settings.retry_at_most.is_some(),
        "warn" => settings.warn.is_some(),
        "lifetime" => settings.lifetime.is_some(),
        "size limit" => settings.size_limit.is_some(),
        "reuse" => settings.reuse.is_some(),
        "greeting timeout" => settings.greeting_timeout.is_some(),
        "command timeout" => settings.command_timeout.is_some(),
        "end of data timeout" => settings.end_of_data_timeout.is_some(),
        _ => true,
    }
}

/// Whether a setting is how long the relay waits between attempts or for a reply. It has such times in any case: where it
/// cannot be told them, what does not hang on them can be judged all the same.
pub(super) fn is_time_between(setting: &str) -> bool {
    setting.starts_with("retry ") || setting.ends_with(" timeout")
}

/// A setting with the value that is asked for, where its value is one word.
pub(super) fn asked(setting: &str, settings: &Settings) -> String {
    match setting {
        "tls" => format!("tls: {}", tls(settings.tls)),
        "reuse" => settings.reuse.map_or_else(|| setting.to_owned(), |reuse| format!("reuse: {reuse}")),
        _ => setting.to_owned(),
    }
}

fn tls(tls: Tls) -> &'static str {
    match tls {
        Tls::Off => "off",
        Tls::Opportunistic => "opportunistic",
        Tls::Required => "required",
        Tls::Dane => "dane",
    }
}

/// The settings as templates see them; what is not given is `none`.
fn variables(settings: &Settings) -> Value {
    let domain = settings.hostname.split_once('.').map_or(settings.hostname.as_str(), |(_, domain)| domain);
    let addresses = settings.addresses.iter().map(ToString::to_string);
    let trusted = settings.trusted.iter().map(ToString::to_string);
    let routes = settings
        .routes
        .iter()
        .map(|(domain, host)| Value::from_pairs([("domain", domain.as_str()), ("host", host.as_str())]));
    let auth = settings.auth.as_ref().map(|auth| {
        Value::from_pairs([
            ("user", Value::from(auth.user.as_str())),
            ("password", Value::from(auth.password.as_str())),
            ("mechanisms", auth.mechanisms.iter().map(String::as_str).collect()),
            ("smarthost_only", Value::from(auth.smarthost_only)),
        ])
    });
    let certificate = settings
        .certificate
        .as_ref()
        .map(|_| Value::from_pairs([("chain", CERTIFICATE_CHAIN), ("key", CERTIFICATE_KEY)]));
    Value::from_pairs([
        ("hostname", Value::from(settings.hostname.as_str())),
        ("domain", Value::from(domain)),
        ("addresses", addresses.collect()),
        ("resolver", Value::from(settings.resolver.ip().to_string())),
        ("trusted", trusted.collect()),
        ("smarthost", or_none(settings.smarthost.as_deref())),
        ("routes", routes.collect()),
        ("auth", or_none(auth)),
        ("tls", Value::from(tls(settings.tls))),
        ("tls_root", Value::from(settings.tls_root.is_some())),
        ("ca_file", Value::from(CA_FILE)),
        ("certificate", or_none(certificate)),
        ("retry_first", seconds(settings.retry_first)),
        ("retry_at_most", seconds(settings.retry_at_most)),
        ("warn", seconds(settings.warn)),
        ("lifetime", seconds(settings.lifetime)),
        ("size_limit", or_none(settings.size_limit)),
        ("reuse", or_none(settings.reuse)),
        ("greeting_timeout", seconds(settings.greeting_timeout)),
        ("command_timeout", seconds(settings.command_timeout)),
        ("end_of_data_timeout", seconds(settings.end_of_data_timeout)),
    ])
}

fn or_none<T: Into<Value>>(value: Option<T>) -> Value {
    value.map_or_else(|| Value::from(()), Into::into)
}

/// Whole seconds, none of them lost: a relay is never told less than what was asked for.
fn seconds(duration: Option<Duration>) -> Value {
    or_none(duration.map(|duration| duration.as_secs() + u64::from(duration.subsec_nanos() > 0)))
}
