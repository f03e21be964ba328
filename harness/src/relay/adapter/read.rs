//! From a file to an [`Adapter`].

use std::path::{Path, PathBuf};

use regex_lite::Regex;

use super::{Adapter, ConfigFile, Loaded, LogSource, SubmissionCommand, external, template, words};
use crate::record::{Role, Varies, Varying};
use crate::relay::{Intake, Submission};
use crate::yaml::{
    self, Diagnostic, Diagnostics, Document, Entry, Mapping, Node, Problems, Style, Value, Wrong,
    one_or_more, regular_expression, suggestion, wrong, wrong_with,
};

/// What is said of a file that is no adapter at all.
pub(super) const DOCUMENT: Document = Document {
    noun: "adapter",
    one: "an adapter",
    empty: "an adapter begins with `about:`; harness/relays/README.md shows one",
    large: None,
    octets: "save it as UTF-8",
};

/// The port on which mail is accepted.
const SMTP: u16 = 25;

/// Files are readable by all unless the adapter says otherwise.
const MODE: u32 = 0o644;

/// Reads an adapter that came from `path`.
pub(super) fn parse(name: &str, path: &Path, text: &str) -> Result<Adapter, Diagnostics> {
    read(path, text, |reader, root| reader.adapter(root, name))
}

/// The same for one that may be of a relay that runs elsewhere.
pub(super) fn parse_any(name: &str, path: &Path, text: &str) -> Result<Loaded, Diagnostics> {
    read(path, text, |reader, root| {
        if external::is_one(root) {
            return Some(Loaded::Elsewhere(reader.external(root, name, path)?.into()));
        }
        let adapter = reader.adapter(root, name)?;
        Some(Loaded::Here(Adapter { path: Some(path.to_owned()), ..adapter }.into()))
    })
}

fn read<T>(path: &Path, text: &str, of: impl Fn(&Reader<'_>, &Node) -> Option<T>) -> Result<T, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let root = yaml::read(text, &DOCUMENT, &mut found);
    let problems = Problems::from(found);
    let made = root.as_ref().and_then(|root| of(&Reader { text, problems: &problems }, root));
    let list = problems.into_list();
    made.filter(|_| list.is_empty()).ok_or_else(|| Diagnostics::new(path, text, list))
}

pub(super) struct Reader<'a> {
    text: &'a str,
    pub(super) problems: &'a Problems,
}

impl Reader<'_> {
    fn adapter(&self, root: &Node, name: &str) -> Option<Adapter> {
        let problems = self.problems;
        let mapping = Mapping::new(root, &words::ADAPTER, problems)?;
        let template = |key, what| mapping.take(key).and_then(|node| self.template(node, what));
        let about =
            mapping.require("about").and_then(|node| problems.some_text(node, "one line on the relay"));
        let packages = mapping.take("install").map(|node| self.packages(node)).unwrap_or_default();
        let provides = mapping
            .require("provides")
            .and_then(|node| problems.parsed(node, "the path of a file", absolute));
        let image = mapping.take("image").and_then(|node| problems.some_text(node, "the name of an image"));
        let role = mapping.take("role").and_then(|node| self.role(node));
        let version = mapping.require("version").and_then(|node| problems.some_text(node, "a command"));
        let cannot = mapping.take("cannot").map(|node| self.cannot(node)).unwrap_or_default();
        let files = mapping.take("files").map(|node| self.files(node)).unwrap_or_default();
        let prepare = template("prepare", "a command");
        let start = mapping.require("start").and_then(|node| self.template(node, "a command"));
        let ready_port = mapping.take("ready").and_then(|node| self.ready(node)).unwrap_or(SMTP);
        let (intake, command) = mapping.take("submission").map_or((Intake::ByAddress, None), |node| {
            self.submission(node).unwrap_or((Intake::ByAddress, None))
        });
        let stop = template("stop", "a command");
        let (force, due) = mapping.take("queue run").map(|node| self.queue_run(node)).unwrap_or_default();
        let list = mapping.require("queue").and_then(|node| self.list(node));
        let log = mapping
            .take("log")
            .and_then(|node| problems.parsed(node, "`syslog`, `stderr` or the path of a file", log));
        let varies = mapping.take("varies").map(|node| self.varies(node)).unwrap_or_default();
        mapping.finish();
        Some(Adapter {
            name: name.to_owned(),
            about: about?,
            packages,
            path: None,
            provides: provides?,
            image,
            container: None,
            role: role.unwrap_or(Role::Relay),
            cannot,
            files,
            prepare,
            start: start?,
            ready_port,
            intake,
            command,
            stop,
            force,
            due,
            list: list?,
            version: version?,
            log: log.unwrap_or(LogSource::Syslog),
            varies,
        })
    }

    pub(super) fn role(&self, node: &Node) -> Option<Role> {
        let roles = [("relay", Role::Relay), ("submission", Role::Submission)];
        self.problems.word(node, "a role", &roles)
    }

    fn packages(&self, node: &Node) -> Vec<String> {
        let Some(mapping) = Mapping::new(node, &words::INSTALL, self.problems) else { return Vec::new() };
        let packages = mapping.take("debian").map(one_or_more).unwrap_or_default();
        let packages = packages
            .iter()
            .filter_map(|node| self.problems.parsed(node, "the name of a Debian package", package))
            .collect();
        mapping.finish();
        packages
    }

    pub(super) fn cannot(&self, node: &Node) -> Vec<(&'static str, String)> {
        let Some(mapping) = Mapping::new(node, &words::CANNOT, self.problems) else { return Vec::new() };
        let mut cannot = Vec::new();
        for setting in words::CANNOT.list() {
            let reason = mapping.take(setting).and_then(|node| self.template(node, "the reason"));
            cannot.extend(reason.map(|reason| (setting, reason)));
        }
        mapping.finish();
        cannot
    }

    /// The entries of a mapping whose keys are names.
    fn named<'n>(&self, node: &'n Node, expected: &str) -> &'n [Entry] {
        match &node.value {
            Value::Mapping(entries) => entries,
            Value::Null => &[],
            _ => {
                self.problems.expected(node, expected);
                &[]
            }
        }
    }

    fn files(&self, node: &Node) -> Vec<ConfigFile> {
        let entries = self.named(node, "files by path (`/etc/relay.conf: text`)");
        entries.iter().filter_map(|entry| self.file(entry)).collect()
    }

    fn file(&self, entry: &Entry) -> Option<ConfigFile> {
        let problems = self.problems;
        let path = absolute(&entry.key).map_err(|wrong| {
            let title = format!("`{}` is not the path of a file", entry.key);
            let mut diagnostic = Diagnostic::new(entry.key_span.clone(), title).because(wrong.why);
            diagnostic.help.extend(wrong.help);
            problems.push(diagnostic);
        });
        let (mut mode, mut owner) = (None, None);
        let text = if let Value::Mapping(_) = &entry.value.value {
            let mapping = Mapping::new(&entry.value, &words::FILE, problems)?;
            mode = mapping.take("mode").and_then(|node| problems.parsed(node, "permission bits", bits));
            owner = mapping.take("owner").and_then(|node| problems.parsed(node, "an owner", user));
            let text = mapping.require("text").and_then(|node| self.template(node, "the file's text"));
            mapping.finish();
            text
        } else {
            self.template(&entry.value, "the file's text, or a mapping with `text:`")
        };
        Some(ConfigFile { path: path.ok()?, mode: mode.unwrap_or(MODE), owner, text: text? })
    }

    fn ready(&self, node: &Node) -> Option<u16> {
        let mapping = Mapping::new(node, &words::READY, self.problems)?;
        let port = mapping.require("port").and_then(|node| self.port_number(node));
        mapping.finish();
        port
    }

    pub(super) fn port_number(&self, node: &Node) -> Option<u16> {
        let port = self.problems.integer(node, "a port")?;
        let port = u16::try_from(port).ok().filter(|port| *port > 0);
        if port.is_none() {
            let why = "ports are 1 to 65535";
            self.problems.push(Diagnostic::new(node.span.clone(), "there is no such port").because(why));
        }
        port
    }

    /// By a command, or by a user at a port: `None` where it is neither, or both.
    fn submission(&self, node: &Node) -> Option<(Intake, Option<SubmissionCommand>)> {
        let problems = self.problems;
        let mapping = Mapping::new(node, &words::SUBMISSION, problems)?;
        let command = mapping.take("command");
        let as_whom = mapping.take("as");
        let at = mapping.take("port");
        let (by_name, by_password) = (mapping.take("user"), mapping.take("password"));
        mapping.finish();
        let of_command = || [command, as_whom].into_iter().flatten();
        let of_port = || [at, by_name, by_password].into_iter().flatten();
        if let (Some(_), Some(stranger)) = (of_command().next(), of_port().next()) {
            let title = "a relay takes mail by a command or at a port";
            let help = "`command` and `as`, or `port`, `user` and `password`";
            problems.push(Diagnostic::new(stranger.span.clone(), title).because("both").help(help));
            return None;
        }
        let missing = |what: &str, help: &str| {
            let title = format!("`submission` needs `{what}`");
            problems.push(Diagnostic::new(node.span.clone(), title).because("incomplete").help(help));
        };
        if of_port().next().is_none() {
            let Some(command) = command else {
                missing("command", "the command that takes a mail, or `port`, `user` and `password`");
                return None;
            };
            let script = self.template(command, "a command")?;
            let user = as_whom.and_then(|node| problems.parsed(node, "a user", user));
            return Some((Intake::ByCommand, Some(SubmissionCommand { script, user })));
        }
        let Some(((at, name), password)) = at.zip(by_name).zip(by_password) else {
            missing("port, user, password", "all three: where mail is submitted, and as whom");
            return None;
        };
        let submission = Submission {
            port: self.port_number(at)?,
            user: problems.some_text(name, "a user")?,
            password: problems.some_text(password, "a password")?,
        };
        Some((Intake::ByPassword(submission), None))
    }

    fn queue_run(&self, node: &Node) -> (Option<String>, Option<String>) {
        let Some(mapping) = Mapping::new(node, &words::QUEUE_RUN, self.problems) else { return (None, None) };
        let template = |key| mapping.take(key).and_then(|node| self.template(node, "a command"));
        let commands = (template("force"), template("due"));
        mapping.finish();
        commands
    }

    /// No template: awk and perl have braces of their own.
    fn list(&self, node: &Node) -> Option<String> {
        let mapping = Mapping::new(node, &words::QUEUE, self.problems)?;
        let list = mapping.require("list").and_then(|node| self.problems.some_text(node, "a command"));
        mapping.finish();
        list
    }

    pub(super) fn varies(&self, node: &Node) -> Varies {
        const ORDER: &str = "recipient order";
        const LINES: &str = "log lines";
        const WAITS: &str = "waits";
        let problems = self.problems;
        let mut varies = Varies::default();
        for entry in self.named(node, "what varies, by name (`queue id: 'queued as (\\S+)'`)") {
            if entry.key == ORDER {
                varies.recipient_order = problems.boolean(&entry.value).unwrap_or_default();
                continue;
            }
            if let Value::Bool(_) = entry.value.value {
                let title = format!("`varies` has no `{}:` that is a truth value", entry.key);
                problems.unknown(entry.key_span.clone(), title, &entry.key, &[ORDER]);
                continue;
            }
            if entry.key == WAITS {
                let expected = "within which bounds it waits by chance between attempts, in words";
                varies.waits = problems.some_text(&entry.value, expected);
                continue;
            }
            if entry.key == LINES {
                let lines = one_or_more(&entry.value).iter();
                varies
                    .chance
                    .extend(lines.filter_map(|node| {
                        problems.parsed(node, "a regular expression", regular_expression)
                    }));
                continue;
            }
            self.varying(entry, &mut varies.values);
        }
        varies
    }

    /// Where a value is announced, or, as a mapping, where alone it stands.
    fn varying(&self, entry: &Entry, values: &mut Vec<Varying>) {
        let in_place = matches!(entry.value.value, Value::Mapping(_));
        let expressions = |node: &Node| -> Vec<Varying> {
            let parsed = one_or_more(node)
                .iter()
                .filter_map(|node| self.problems.parsed(node, "a regular expression with one group", group));
            parsed.map(|pattern| Varying { name: entry.key.clone(), pattern, in_place }).collect()
        };
        if !in_place {
            return values.extend(expressions(&entry.value));
        }
        if let Some(mapping) = Mapping::new(&entry.value, &words::VARYING, self.problems) {
            values.extend(mapping.require("in place").map(expressions).unwrap_or_default());
            mapping.finish();
        }
    }

    /// A text that settings are filled into. What can be wrong with it without a run is told here.
    pub(super) fn template(&self, node: &Node, expected: &str) -> Option<String> {
        let text = self.problems.text(node, expected)?;
        let environment = template::environment();
        let template = match environment.template_from_str(&text) {
            Ok(template) => template,
            Err(error) => {
                let at = error.range().map_or(0, |range| range.start);
                self.problems.push(
                    Diagnostic::new(self.place(node, &text, at, 1), "this is no template")
                        .because(template::cause(&error))
                        .help("templates are Jinja's: `{{ setting }}`, `{% if setting %}…{% endif %}`, `{# comment #}`")
                        .help("braces of the shell's own stand between `{% raw %}` and `{% endraw %}`"),
                );
                return None;
            }
        };
        let mut unknown: Vec<String> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !template::VARIABLES.contains(&name.as_str()))
            .collect();
        unknown.sort();
        for name in &unknown {
            let at = word(&text, name).unwrap_or_default();
            let place = self.place(node, &text, at, name.len());
            self.problems.push(
                Diagnostic::new(place, format!("there is no setting `{name}`"))
                    .because("unknown")
                    .help(suggestion(name, &template::VARIABLES)),
            );
        }
        unknown.is_empty().then_some(text)
    }

    /// The place in the file of `length` octets of a node's text from `at` on. YAML folds lines and takes indentation away,
    /// so that only what is no white space can be counted; in quotes not even that.
    fn place(&self, node: &Node, text: &str, at: usize, length: usize) -> yaml::Span {
        let (written, mut start) = (&self.text[node.span.clone()], node.span.start);
        let written = match node.style {
            Style::SingleQuoted | Style::DoubleQuoted => return node.span.clone(),
            Style::Block if written.starts_with(['|', '>']) => {
                let header = written.find('\n').map_or(written.len(), |end| end + 1);
                start += header;
                &written[header..]
            }
            Style::Plain | Style::Block => written,
        };
        let before = text.get(..at).unwrap_or(text).chars().filter(|c| !c.is_whitespace()).count();
        let found = written.char_indices().filter(|(_, c)| !c.is_whitespace()).nth(before);
        found.map_or(node.span.clone(), |(at, _)| start + at..start + at + length)
    }
}

/// Where a word stands in a template, as a whole word inside `{{ }}` or `{% %}`.
fn word(text: &str, name: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |at: usize| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let inside = before.rfind(['{', '}']).is_some_and(|at| before[at..].starts_with('{'));
        inside && !before.ends_with(part) && !after.starts_with(part)
    };
    text.match_indices(name).map(|(at, _)| at).find(|at| whole(*at))
}

/// A whole number from 1 to this.
pub(super) fn number_up_to(text: &str, most: u64) -> Option<u64> {
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (1..=most).contains(number))
}

fn absolute(text: &str) -> Result<PathBuf, Wrong> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(wrong_with("it does not begin with `/`", "write the whole path, as the relay sees it"));
    }
    if path.components().any(|part| part == std::path::Component::ParentDir) || text.ends_with('/') {
        return Err(wrong("it names no file by itself"));
    }
    Ok(path.to_owned())
}

fn bits(text: &str) -> Result<u32, Wrong> {
    let octal = text.bytes().all(|digit| matches!(digit, b'0'..=b'7')) && matches!(text.len(), 3 | 4);
    let bits = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    bits.ok_or_else(|| {
        wrong_with("not three or four octal digits", "write `\"0644\"`, or `\"0600\"` for its owner alone")
    })
}

fn user(text: &str) -> Result<String, Wrong> {
    let name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    if name(user) && name(group) {
        return Ok(text.to_owned());
    }
    Err(wrong_with("not a user, or a user and a group", "write `user`, or `user:group`"))
}

fn package(text: &str) -> Result<String, Wrong> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err(wrong("small letters, digits, `+`, `-` and `.` (Debian Policy 5.6.7)"))
}

fn log(text: &str) -> Result<LogSource, Wrong> {
    match text {
        "syslog" => Ok(LogSource::Syslog),
        "stderr" => Ok(LogSource::Stderr),
        _ if text.starts_with('/') => absolute(text).map(LogSource::File),
        _ => Err(wrong_with("unknown", suggestion(text, &["syslog", "stderr"]))),
    }
}

/// A regular expression whose only group is what varies.
fn group(text: &str) -> Result<String, Wrong> {
    let regex = Regex::new(&regular_expression(text)?).map_err(|error| wrong(error.to_string()))?;
    // The first is the whole match.
    match regex.captures_len() - 1 {
        1 => Ok(text.to_owned()),
        0 => Err(wrong_with("it has no group", "put what varies into `(…)`")),
        many => Err(wrong_with(
            format!("it has {many} groups"),
            "put what varies into `(…)`; other brackets are written `(?:…)`",
        )),
    }
}
