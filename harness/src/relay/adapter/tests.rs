//! Reading adapters, filling settings in, and reading queues.

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::record::Varying;
use crate::relay::{AuthSettings, Certificate, Intake, Tls};
use crate::yaml;

const SECOND: Duration = Duration::from_secs(1);

/// What each run says.
fn bare() -> Settings {
    Settings {
        hostname: "relay.origin.example".into(),
        listen: "203.0.113.25:25".parse().unwrap(),
        addresses: vec!["203.0.113.25".parse().unwrap(), "2001:db8:113::25".parse().unwrap()],
        resolver: "198.51.100.3:53".parse().unwrap(),
        trusted: vec!["203.0.113.10".parse().unwrap(), "2001:db8:100::20".parse().unwrap()],
        directory: "/nowhere".into(),
        smarthost: None,
        routes: vec![("origin.example".into(), "mx.origin.example".into())],
        auth: None,
        tls: Tls::Opportunistic,
        tls_root: None,
        certificate: None,
        retry_first: None,
        retry_at_most: None,
        warn: None,
        lifetime: None,
        size_limit: None,
        reuse: None,
        greeting_timeout: None,
        command_timeout: None,
        end_of_data_timeout: None,
    }
}

fn auth(mechanisms: &[&str], smarthost_only: bool) -> AuthSettings {
    AuthSettings {
        smarthost_only,
        user: "user".into(),
        password: "secret".into(),
        mechanisms: mechanisms.iter().map(ToString::to_string).collect(),
    }
}

/// A change, and what it is called.
type Change = (&'static str, fn(&mut Settings));

/// Each setting by itself, in each way that makes a difference.
const CHANGES: [Change; 23] = [
    ("smarthost", |it| it.smarthost = Some("hub.example".into())),
    ("no route", |it| it.routes.clear()),
    ("auth", |it| it.auth = Some(auth(&[], false))),
    ("auth of the smart host", |it| {
        it.smarthost = Some("hub.example".into());
        it.auth = Some(auth(&[], true));
    }),
    ("auth mechanisms", |it| it.auth = Some(auth(&["CRAM-MD5"], false))),
    ("auth inside TLS", |it| {
        it.smarthost = Some("hub.example".into());
        it.auth = Some(auth(&["PLAIN", "LOGIN"], true));
        it.tls = Tls::Required;
    }),
    ("tls off", |it| it.tls = Tls::Off),
    ("tls off, smart host", |it| {
        it.smarthost = Some("hub.example".into());
        it.tls = Tls::Off;
    }),
    ("tls required", |it| {
        it.tls = Tls::Required;
        it.tls_root = Some("PEM".into());
    }),
    ("tls dane", |it| it.tls = Tls::Dane),
    ("certificate", |it| {
        it.certificate = Some(Certificate { chain: "PEM".into(), key: "PEM".into() });
    }),
    ("retry first", |it| it.retry_first = Some(60 * SECOND)),
    ("retry first, long", |it| it.retry_first = Some(7200 * SECOND)),
    ("retry at most", |it| it.retry_at_most = Some(600 * SECOND)),
    ("warn", |it| it.warn = Some(Duration::from_millis(1500))),
    ("lifetime", |it| it.lifetime = Some(3600 * SECOND)),
    ("lifetime, long", |it| it.lifetime = Some(864_000 * SECOND)),
    ("size limit", |it| it.size_limit = Some(1_000_000)),
    ("reuse", |it| it.reuse = Some(true)),
    ("no reuse", |it| it.reuse = Some(false)),
    ("greeting timeout", |it| it.greeting_timeout = Some(20 * SECOND)),
    ("command timeout", |it| it.command_timeout = Some(30 * SECOND)),
    ("end of data timeout", |it| it.end_of_data_timeout = Some(40 * SECOND)),
];

fn shipped(name: &str) -> Adapter {
    Adapter::named(name).expect("it is there").unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_file_beside_the_harness_is_shipped() {
    let mut names: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/harness/relays"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, Adapter::shipped());
    for name in Adapter::shipped() {
        let adapter = shipped(name);
        assert_eq!(adapter.name, *name);
        assert!(!adapter.packages.is_empty() && adapter.provides.is_absolute(), "{name}");
    }
    assert!(Adapter::named("qmail").is_none());
}

#[test]
fn a_file_of_ones_own_is_named_by_its_stem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("our-relay.yaml");
    std::fs::write(&path, MINIMAL).unwrap();
    assert_eq!(Adapter::load(&path).unwrap().name, "our-relay");
    let missing = Adapter::load(&folder.path().join("other.yaml")).unwrap_err().to_string();
    assert!(missing.contains("the adapter cannot be read"), "{missing}");
}

/// Alone, with each other one, and all but one: no shipped adapter has a template that fails.
#[test]
fn shipped_adapters_can_be_filled_in_with_any_settings() {
    for name in Adapter::shipped() {
        let adapter = shipped(name);
        let check = |label: &str, settings: &Settings| match adapter.configure(settings) {
            Ok(configured) => {
                let texts = configured.files.iter().map(|file| &file.text);
                for text in texts.chain([&configured.start]).chain(&configured.prepare) {
                    assert!(!text.contains("{{") && !text.contains("{%"), "{name}, {label}: {text}");
                    assert!(
                        !text
                            .lines()
                            .any(|line| line.contains("none") && !line.contains("tls_security_level = none")),
                        "{name}, {label}: {text}"
                    );
                }
            }
            Err(ConfigureError::Unsupported(why)) => {
                assert!(why.0.starts_with(&format!("{name} cannot be told `")), "{label}: {why}");
            }
            Err(error @ ConfigureError::Template { .. }) => panic!("{name}, {label}: {error}"),
        };
        check("nothing", &bare());
        for (first, change) in CHANGES {
            let mut settings = bare();
            change(&mut settings);
            check(first, &settings);
            for (second, change) in CHANGES {
                let mut settings = settings.clone();
                change(&mut settings);
                check(&format!("{first} and {second}"), &settings);
            }
        }
        for (left_out, _) in CHANGES {
            let mut settings = bare();
            for (_, change) in CHANGES.iter().filter(|(label, _)| *label != left_out) {
                change(&mut settings);
            }
            check(&format!("all but {left_out}"), &settings);
        }
    }
}

/// As many settings at once as the relay can be told.
fn full(adapter: &Adapter) -> Settings {
    let mut settings = bare();
    for (_, change) in CHANGES.iter().filter(|(label, _)| !["no route", "tls dane"].contains(label)) {
        let mut next = settings.clone();
        change(&mut next);
        if adapter.configure(&next).is_ok() {
            settings = next;
        }
    }
    settings
}

fn shown(configured: &Configured) -> String {
    let mut shown = String::new();
    for file in &configured.files {
        let owner = file.owner.as_deref().unwrap_or("root");
        writeln!(shown, "=== {} {:04o} {owner}\n{}", file.path.display(), file.mode, file.text).unwrap();
    }
    let commands = [
        ("prepare", &configured.prepare),
        ("start", &Some(configured.start.clone())),
        ("stop", &configured.stop),
        ("force", &configured.force),
        ("due", &configured.due),
    ];
    for (what, command) in commands {
        writeln!(shown, "=== {what}\n{}", command.as_deref().unwrap_or("(none)")).unwrap();
    }
    writeln!(shown, "=== port {}, log {:?}", configured.ready_port, configured.log).unwrap();
    for Varying { name, pattern, in_place } in &configured.varies.values {
        writeln!(shown, "{name}{}: {pattern}", if *in_place { " (in place)" } else { "" }).unwrap();
    }
    for line in &configured.varies.chance {
        writeln!(shown, "log line: {line}").unwrap();
    }
    if let Some(waits) = &configured.varies.waits {
        writeln!(shown, "waits by chance: {waits}").unwrap();
    }
    writeln!(shown, "recipient order varies: {}", configured.varies.recipient_order).unwrap();
    shown
}

fn snapshots() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/adapters"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn shipped_adapters_with_many_settings() {
    for name in Adapter::shipped() {
        let adapter = shipped(name);
        let configured = adapter.configure(&full(&adapter)).unwrap();
        snapshots().bind(|| insta::assert_snapshot!(*name, shown(&configured)));
    }
}

#[test]
fn what_cannot_be_told_is_unsupported_with_the_reason() {
    let opensmtpd = shipped("opensmtpd");
    let why = |change: fn(&mut Settings)| {
        let mut settings = bare();
        change(&mut settings);
        opensmtpd.configure(&settings).map(drop).unwrap_err().to_string()
    };
    assert_eq!(
        why(|it| it.tls = Tls::Dane),
        "opensmtpd cannot be told `tls: dane`: TLSA records are not looked up: smtpd.conf(5) has no word for them"
    );
    assert_eq!(
        why(|it| it.tls = Tls::Off),
        "opensmtpd cannot be told `tls: off`: STARTTLS is opportunistic wherever a mail exchanger offers it; smtpd.conf(5), relay, \
         has `smtp+notls` for a relay host only"
    );
    // Times it has of its own; the run goes on by these.
    let configured = opensmtpd.configure(&Settings { retry_first: Some(SECOND), ..bare() }).unwrap();
    let [own] = &configured.own_times[..] else { panic!("{:?}", configured.own_times) };
    let why = &own.why;
    assert_eq!(own.setting, "retry first");
    assert!(why.starts_with("opensmtpd cannot be told `retry first`: the back-off is fixed"), "{why}");
    assert_eq!(opensmtpd.configure(&bare()).unwrap().own_times, []);
    // `reuse: true` is what it does anyway; `false` can be had.
    for reuse in [true, false] {
        assert!(opensmtpd.configure(&Settings { reuse: Some(reuse), ..bare() }).is_ok());
    }
}

const MINIMAL: &str = "\
about: A relay
provides: /usr/sbin/relay
version: relay --version
start: exec relay
queue: { list: relay queue }
";

#[test]
fn what_is_not_said_has_a_default() {
    let adapter = Adapter::parse("ours", "ours.yaml", MINIMAL).unwrap();
    assert_eq!((adapter.role, adapter.packages.len()), (Role::Relay, 0));
    let configured = adapter.configure(&bare()).unwrap();
    assert_eq!((configured.ready_port, configured.log), (25, LogSource::Syslog));
    assert_eq!((configured.stop, configured.force, configured.due), (None, None, None));
    assert!(configured.files.is_empty() && configured.varies.is_nothing());
}

#[test]
fn mail_comes_by_address_by_command_or_by_password() {
    let read =
        |submission: &str| Adapter::parse("ours", "ours.yaml", &format!("{MINIMAL}{submission}")).unwrap();
    assert_eq!(read("").intake(), &Intake::ByAddress);
    let by_command = read("submission: { command: 'sendmail {{ hostname }} \"$@\"', as: mail }\n");
    assert_eq!(by_command.intake(), &Intake::ByCommand);
    let command = by_command.configure(&bare()).unwrap().command.unwrap();
    assert_eq!(
        (command.script.as_str(), command.user.as_deref()),
        ("sendmail relay.origin.example \"$@\"", Some("mail"))
    );
    let Intake::ByPassword(login) =
        read("submission: { port: 587, user: a, password: b }\n").intake().clone()
    else {
        panic!("it is by password")
    };
    assert_eq!((login.port, login.user.as_str(), login.password.as_str()), (587, "a", "b"));
}

#[test]
fn commands_that_are_no_templates_keep_their_braces() {
    let text = MINIMAL.replace("relay queue", "\"awk '{{print}} {% x'\"").replace("--version", "${#x}");
    let configured = Adapter::parse("ours", "ours.yaml", &text).unwrap().configure(&bare()).unwrap();
    assert_eq!(
        (configured.list.as_str(), configured.version.as_str()),
        ("awk '{{print}} {% x'", "relay ${#x}")
    );
}

#[test]
fn files_keep_their_last_line_end_mode_and_owner() {
    let text = format!(
        "{MINIMAL}files:\n  /a: |\n    name={{{{ hostname }}}} {{{{ warn is none }}}}\n  /b: {{ mode: \"0600\", owner: root:mail, text: x }}\n"
    );
    let files = Adapter::parse("ours", "ours.yaml", &text).unwrap().configure(&bare()).unwrap().files;
    assert_eq!((files[0].text.as_str(), files[0].mode), ("name=relay.origin.example True\n", 0o644));
    assert_eq!((files[1].owner.as_deref(), files[1].mode), (Some("root:mail"), 0o600));
}

/// What only a run's settings show.
#[test]
fn a_template_that_fails_with_a_runs_settings_says_where() {
    let text = MINIMAL.replace("exec relay", "|\n  set -e\n  exec relay {{ auth.user }}");
    let adapter = Adapter::parse("ours", "ours.yaml", &text).unwrap();
    let error = adapter.configure(&bare()).map(drop).unwrap_err();
    let ConfigureError::Template { place, why } = &error else { panic!("{error}") };
    assert_eq!(place, "ours.yaml, `start`, line 2");
    assert!(why.contains("undefined"), "{why}");
}

/// Each mistake: what is put in the place of what, in the minimal adapter.
const MISTAKES: [(&str, &str, &str); 34] = [
    ("unknown key", "about:", "role: relay\nabuot:"),
    ("missing key", "start: exec relay\n", ""),
    ("duplicate key", "start:", "start: a\nstart:"),
    ("not a text", "exec relay", "[exec, relay]"),
    ("number for a text", "A relay", "4"),
    ("empty text", "A relay", "''"),
    ("not a mapping", "{ list: relay queue }", "relay queue"),
    ("unknown key inside", "list:", "lists:"),
    ("relative path", "/usr/sbin", "sbin"),
    ("role", "queue:", "role: relays\nqueue:"),
    ("log", "queue:", "log: sylog\nqueue:"),
    ("port", "queue:", "ready: { port: 70000 }\nqueue:"),
    ("port in words", "queue:", "ready: { port: smtp }\nqueue:"),
    ("submission, empty", "queue:", "submission: {}\nqueue:"),
    ("submission, both", "queue:", "submission: { command: sendmail, port: 587 }\nqueue:"),
    ("submission, half", "queue:", "submission: { port: 587, user: a }\nqueue:"),
    ("submission, as whom alone", "queue:", "submission: { as: mail }\nqueue:"),
    ("submission, unknown user", "queue:", "submission: { command: sendmail, as: 'a b' }\nqueue:"),
    ("submission, no such port", "queue:", "submission: { port: 0, user: a, password: b }\nqueue:"),
    ("setting", "queue:", "cannot: { retry frist: no word for it }\nqueue:"),
    ("mode", "queue:", "files: { /etc/a: { mode: rw, text: a } }\nqueue:"),
    ("file without text", "queue:", "files: { /etc/a: { mode: \"0644\" } }\nqueue:"),
    ("owner", "queue:", "files: { /etc/a: { owner: 'a b', text: a } }\nqueue:"),
    ("path of a file", "queue:", "files: { etc/a: a }\nqueue:"),
    ("package", "queue:", "install: { debian: [Post fix] }\nqueue:"),
    ("no regular expression", "queue:", "varies: { queue id: 'id=(' }\nqueue:"),
    ("no group", "queue:", "varies: { queue id: 'id=\\S+' }\nqueue:"),
    ("two groups", "queue:", "varies: { queue id: ['id=(\\S+)', '(a|b) (\\S+)'] }\nqueue:"),
    ("truth value", "queue:", "varies: { recipients order: true }\nqueue:"),
    ("waits in a list", "queue:", "varies: { waits: [5m, 10m] }\nqueue:"),
    ("block not closed", "exec relay", "|\n  # start\n  exec relay {% if tls %}-t\n  # end"),
    ("expression", "exec relay", "|\n  # start\n  exec relay {{ tls + }} -x"),
    ("folded template", "exec relay", ">-\n  exec relay\n  {{ domain }}\n\n  {{ smarthots }} -x"),
    ("unknown setting", "exec relay", "|\n  # retry_frist\n  exec relay -q {{ [retry_frist, 4] | min }}"),
];

#[test]
fn each_mistake_is_told_with_its_place() {
    let mut told = String::new();
    for (what, from, to) in MISTAKES {
        let text = MINIMAL.replacen(from, to, 1);
        assert_ne!(text, MINIMAL, "{what}");
        let error = Adapter::parse("ours", "ours.yaml", &text).map(drop).expect_err(what);
        writeln!(told, "=== {what}\n{error}").unwrap();
    }
    snapshots().bind(|| insta::assert_snapshot!("mistakes", told));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = MINIMAL.replace("about:", "abuot:").replace("list:", "lists:").replace("/usr", "usr");
    let error = Adapter::parse("ours", "ours.yaml", &text).map(drop).unwrap_err();
    assert_eq!(error.0.list().len(), 3, "{error}");
}

#[test]
fn a_queue_is_read() {
    let text = "id=A1\tfrom=\tto=b@c.example\tarrived=17\n\
                \n\
                id=A1\tfrom=a@b\tto=\"x y\"@c\tarrived=17\tnext=20\tattempts=3\treason=a=b: c\theld=yes\n";
    let listed = read_queue(text).unwrap();
    assert_eq!(
        listed[0],
        Listed {
            id: "A1".into(),
            from: String::new(),
            to: "b@c.example".into(),
            arrived: 17,
            next: None,
            attempts: None,
            reason: None,
            held: false
        }
    );
    assert_eq!(
        (listed[1].next, listed[1].attempts, listed[1].reason.as_deref(), listed[1].held),
        (Some(20), Some(3), Some("a=b: c"), true)
    );
    assert_eq!(read_queue(" \n\n"), Ok(Vec::new()));
}

#[test]
fn a_line_that_is_none_of_a_queue_is_told() {
    let good = "id=A\tfrom=a\tto=b\tarrived=1";
    let told = |line: &str| read_queue(&format!("{good}\n{line}\n")).unwrap_err();
    assert_eq!(
        told("mail queue is empty"),
        "line 2: \"mail queue is empty\" is not `key=value`: \"mail queue is empty\""
    );
    for (line, why) in [
        ("from=a\tto=b\tarrived=1", "there is no `id=`"),
        ("id=A\tto=b\tarrived=1", "there is no `from=`"),
        ("id=A\tfrom=a\tto=\tarrived=1", "`to=` is empty"),
        ("id=A\tfrom=a\tto=b\tarrived=now", "`arrived=` needs a whole number, not \"now\""),
        ("id=A\tid=B\tfrom=a\tto=b\tarrived=1", "`id=` is there twice"),
        ("id=A\tfrom=a\tto=b\tarrived=1\tsize=3", "there is no key \"size\""),
        ("id=A\tfrom=a\tto=b\tarrived=1\theld=maybe", "`held=` is `yes` or `no`, not \"maybe\""),
    ] {
        assert!(told(line).contains(why), "{line}: {}", told(line));
    }
}

const GUIDE: &str = include_str!("../../../relays/README.md");

#[test]
fn one_without_a_command_for_settings_is_taken_as_it_is() {
    let text = "about: A\naddress: relay.example\ncannot: {}\n";
    let mistake = read::parse_any("rack", Path::new("rack.yaml"), text).unwrap_err().to_string();
    assert!(mistake.contains("`cannot:` needs `configure:`"), "{mistake}");
    let text = text.replace("cannot: {}\n", "");
    let rack = match read::parse_any("rack", Path::new("rack.yaml"), &text) {
        Ok(Loaded::Elsewhere(rack)) => rack,
        other => panic!("{other:?}"),
    };
    for (name, change) in CHANGES {
        let mut settings = bare();
        change(&mut settings);
        let is_as_with_most = ["no route", "warn", "lifetime", "lifetime, long"].contains(&name);
        match rack.configure(&settings) {
            Ok((None, own_times)) => assert!(is_as_with_most || !own_times.is_empty(), "{name}"),
            Err(ConfigureError::Unsupported(why)) => {
                assert!(!is_as_with_most && why.0.contains("has no `configure:`"), "{name}: {why}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn where_a_relay_is_has_a_host_and_mostly_a_port() {
    let at = |address: &str| {
        let text = format!("about: A\naddress: \"{address}\"\n");
        match read::parse_any("rack", Path::new("rack.yaml"), &text) {
            Ok(Loaded::Elsewhere(rack)) => Some(rack.address),
            Ok(Loaded::Here(_)) => panic!("{address} makes it another kind"),
            Err(_) => None,
        }
    };
    let found = |host: &str, port| Some((host.to_owned(), port));
    assert_eq!(at("relay.example"), found("relay.example", 25));
    assert_eq!(at("10.0.0.7:2500"), found("10.0.0.7", 2500));
    assert_eq!(at("[::1]:2500"), found("::1", 2500));
    assert_eq!(at("::1"), found("::1", 25));
    for wrong in ["", ":25", "relay:0", "relay:65536", "relay:smtp", "relay example:25"] {
        assert_eq!(at(wrong), None, "{wrong}");
    }
}

/// The first block of the guide is an adapter; the others are parts of one, but for that of a relay that runs elsewhere.
#[test]
fn the_guide_is_right() {
    let blocks: Vec<&str> =
        GUIDE.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    let parse =
        |text: &str| Adapter::parse("guide", "README.md", text).unwrap_or_else(|error| panic!("{error}"));
    let whole = parse(blocks[0]);
    for (_, change) in CHANGES {
        let mut settings = bare();
        change(&mut settings);
        whole.configure(&settings).map(drop).unwrap();
    }
    assert!(blocks.len() > 3, "{blocks:?}");
    let (elsewhere, parts): (Vec<&str>, Vec<&str>) =
        blocks[1..].iter().partition(|block| block.contains("\naddress: "));
    for part in parts {
        parse(&format!("{MINIMAL}{part}"));
    }
    let [elsewhere] = elsewhere[..] else { panic!("{elsewhere:?}") };
    match read::parse_any("rack", Path::new("README.md"), elsewhere) {
        Ok(Loaded::Elsewhere(rack)) => assert_eq!(rack.address, ("relay.lab.example".to_owned(), 25)),
        other => panic!("{other:?}"),
    }
    let adapters = [&words::ADAPTER, &words::CANNOT, &words::EXTERNAL, &words::SERVE];
    for word in adapters.into_iter().flat_map(yaml::Words::list).chain(template::VARIABLES) {
        assert!(word == "range" || GUIDE.contains(&format!("`{word}`")), "nothing is said of `{word}`");
    }
    let line = GUIDE.lines().find(|line| line.starts_with("id=")).unwrap();
    assert_eq!(read_queue(&line.replace("    ", "\t")).unwrap()[0].attempts, Some(2));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_listing_makes_it_panic(text in "(\\PC|[\t\n\r=]|id=|arrived=|[0-9]){0,80}") {
        let _ = read_queue(&text);
    }

    #[test]
    fn no_adapter_makes_it_panic(text in "(\\PC|[\n: |>'{}%#-]|start|\\{\\{|\\{%|%\\}|\\}\\}){0,60}") {
        let adapter = format!("{MINIMAL}stop: |\n  {}\nprepare: >\n  é {}\n", text.replace('\n', "\n  "), text.replace('\n', "\n  "));
        for text in [text.as_str(), adapter.as_str()] {
            if let Err(error) = Adapter::parse("any", "any.yaml", text) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

#[test]
fn a_program_just_built_is_brought_by_the_adapter() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let text = "about: x\nprovides: /usr/local/sbin/ours\nversion: x\nstart: x\nqueue: { list: x }\nfiles:\n  \
                /usr/local/sbin/ours: { from: built/ours }\n  /etc/ours: { from: /etc/passwd, mode: \"0600\" }\n  /x: text\n";
    std::fs::write(at("ours.yaml"), text).unwrap();
    let adapter = Adapter::load(&at("ours.yaml")).unwrap();
    assert_eq!(adapter.program(), Some(at("built/ours").as_path()), "from the adapter's file on");
    let files = adapter.configure(&bare()).unwrap().files;
    assert_eq!(files.iter().map(|file| file.mode).collect::<Vec<_>>(), [0o755, 0o600, 0o644]);
    let why = files[0].contents().expect_err("it is not built yet");
    assert!(why.contains("built/ours") && why.contains("/usr/local/sbin/ours"), "{why}");
    std::fs::write(at("elsewhere"), b"\x7fELF\xff").unwrap();
    let files = adapter.with_program(&at("elsewhere")).configure(&bare()).unwrap().files;
    assert_eq!(files[0].contents().unwrap().as_ref(), b"\x7fELF\xff");

    for wrong in ["{ mode: \"0644\" }", "{ text: x, from: y }"] {
        let text = text.replace("{ from: built/ours }", wrong);
        let mistakes = Adapter::parse("ours", "ours.yaml", &text).unwrap_err().to_string();
        assert!(mistakes.contains("a file has either `text:` or `from:`"), "{mistakes}");
    }
}
