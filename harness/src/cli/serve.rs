//! `gauntlet serve`: a scenario's servers and DNS, for any relay, with the conversation as it goes on.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mock_servers::dns::{DnsQuery, Outcome, Transport};
use mock_servers::transcript::{Session, Side};

use super::output::Output;
use super::{Exit, check, complain, interrupt, run};
use crate::lab::{Row, Stand, StandError, Who, relay_address};
use crate::record::{self, Clock, End, Ending, Raw, Record, RelayIdentity, Role, Varies};
use crate::relay::serving::Serving;
use crate::render::live::Live;
use crate::report::terminal;
use crate::run::Cancel;
use crate::scenario::{Reach, Scenario};
use crate::verdict::{self, Severity};

/// So often it is looked whether there is something new to tell.
const LOOK: Duration = Duration::from_millis(25);

/// The relay, in what is told of it.
const RELAY: &str = "the relay";

#[derive(Debug, clap::Args)]
pub(super) struct ServeArguments {
    /// The scenario's file.
    scenario: PathBuf,
    /// Of a template (`for each:`) the case of this name.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// The servers' port. With 25, which needs root, a relay need not know of ports.
    #[arg(long, value_name = "PORT", default_value_t = Serving::PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The DNS server's port, for UDP and TCP.
    #[arg(long, value_name = "PORT", default_value_t = Serving::DNS_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    dns_port: u16,
    /// An address of this machine to stand at, in place of loopback; several are used in turn, and where there are fewer than
    /// servers, ports count on.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    listen: Vec<IpAddr>,
    /// Stand at public addresses too: whoever reaches them can hand mail to these servers.
    #[arg(long)]
    public: bool,
    /// Write the certificate authority of the servers' certificates (PEM) to this file.
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
}

/// Stands, tells, and judges what was said when it is ended.
pub(super) fn serve(arguments: &ServeArguments) -> Exit {
    let scenario = match the_one(&arguments.scenario, arguments.case.as_ref()) {
        Ok(scenario) => scenario,
        Err(exit) => return exit,
    };
    let cancel = Cancel::default();
    interrupt::cancel_on_signals(&cancel, "ending");
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot serve: {error}"));
            return Exit::Unjudged;
        }
    };
    let local = runtime.block_on(stand(arguments, scenario, cancel));
    // Whatever still stands is gone before anything is said of the exit.
    drop(runtime);
    local
}

/// The scenario that is meant.
fn the_one(path: &Path, case: Option<&String>) -> Result<Scenario, Exit> {
    let (scenarios, _) = check::load_all(&[path.to_owned()])?;
    let cases: Vec<String> = case.cloned().into_iter().collect();
    let mut scenarios = run::of_cases(scenarios, &cases)?;
    match scenarios.len() {
        1 => Ok(scenarios.remove(0)),
        0 => {
            complain(&format!("there is no scenario in {}", path.display()));
            Err(Exit::Usage)
        }
        many => {
            let names: Vec<&str> =
                scenarios.iter().map(|scenario| scenario.case.as_deref().unwrap_or(&scenario.name)).collect();
            let way = if scenarios.iter().all(|scenario| scenario.case.is_some()) {
                "choose one with `--case`"
            } else {
                "give one file"
            };
            complain(&format!(
                "one scenario is served at a time, and there are {many}: {way}\n  {}",
                names.join(", ")
            ));
            Err(Exit::Usage)
        }
    }
}

async fn stand(arguments: &ServeArguments, scenario: Scenario, cancel: Cancel) -> Exit {
    let ServeArguments { port, dns_port, public, .. } = *arguments;
    let serving = Serving { listen: arguments.listen.clone(), port, dns_port, public };
    let mut stand = match Stand::new(&scenario, &serving) {
        Ok(stand) => stand,
        Err(StandError::Public(why)) => {
            complain(&format!("{why}\n  where that is meant, add --public"));
            return Exit::Usage;
        }
        Err(StandError::Plan(why)) => {
            complain(&why);
            return Exit::Usage;
        }
        Err(StandError::Lab(why)) => {
            complain(&why);
            return Exit::Unjudged;
        }
    };
    if let Some(path) = &arguments.authority {
        let written = stand.authority().map_err(|why| why.to_string());
        if let Err(why) = written.and_then(|pem| std::fs::write(path, pem).map_err(|why| why.to_string())) {
            complain(&format!("cannot write the certificate authority to {}: {why}", path.display()));
            return Exit::Unjudged;
        }
    }
    let output = Output::default();
    output.line(&introduction(&scenario, &stand, &serving));
    let mut telling = Telling::default();
    while !output.has_failed() {
        let over = tokio::select! {
            biased;
            () = cancel.cancelled() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        stand.check();
        telling.tell(&stand, &output);
        if over {
            break;
        }
    }
    let record = record(&scenario, &stand);
    let findings = verdict::on_the_wire(&scenario, &record);
    output.line(&summary(&scenario, &record));
    let breaches = terminal::breaches(&record, &findings, output.style());
    if breaches.is_empty() {
        output.line("nothing that was said breaks a rule of the wire; what was submitted, and became of it, is not known here");
    } else {
        output.line(&format!("held against what the relay said:\n{}", breaches.trim_end()));
    }
    let violates = findings.iter().any(|finding| finding.severity == Severity::Violates);
    output.end(if violates { Exit::Breach } else { Exit::Ok })
}

/// What stands where, and how a relay finds it.
fn introduction(scenario: &Scenario, stand: &Stand, serving: &Serving) -> String {
    let plan = &stand.plan;
    let mut table = vec![[String::new(), "in the scenario".to_owned(), "here".to_owned(), String::new()]];
    for row in &plan.rows {
        let (name, note) = about(scenario, row);
        let here =
            row.here.map_or_else(|| "no place (--listen gives one)".to_owned(), |here| here.to_string());
        table.push([name, row.scenario.to_string(), here, note]);
    }
    let mut text =
        format!("{}: {}\n\n{}\n\nTo point a relay here:\n", scenario.name, scenario.title, columns(&table));
    let dns = plan.rows.iter().find(|row| row.who == Who::Dns).and_then(|row| row.here);
    if let Some(dns) = dns {
        let _ = writeln!(
            text,
            "  its DNS server is {} port {}: names lead to the addresses under `here`, and all others do not exist",
            dns.ip(),
            dns.port()
        );
    }
    let port = match plan.one_port() {
        Some(25) => "  it hands mail on at port 25, as always\n".to_owned(),
        Some(port) => format!(
            "  the port of its next hops is {port}, for all of them (--port 25, as root, makes that needless)\n"
        ),
        None => format!(
            "  DNS tells no ports: it has to be told each server's as a route of its own; as many --listen as servers, and all \
             have port {}\n",
            serving.port
        ),
    };
    text += &port;
    let _ = writeln!(text, "  its own name is {} (the scenario's; another does for most)", stand.hostname);
    if let Some(smarthost) = scenario.relay.smarthost.as_ref().and_then(|name| scenario.server(name)) {
        let _ = writeln!(text, "  all its mail goes to its smart host, {}", smarthost.script.hostname);
    }
    text += "\nCtrl-C ends it.\n";
    text
}

/// A row's name, and what there is to say of it.
fn about(scenario: &Scenario, row: &Row) -> (String, String) {
    let reach = match row.reach {
        Reach::Good => None,
        Reach::Refused => Some("refuses".to_owned()),
        Reach::Filtered => Some("never answers".to_owned()),
    };
    match &row.who {
        Who::Dns => ("DNS".to_owned(), "UDP and TCP".to_owned()),
        Who::Mailbox => ("mailbox".to_owned(), "what comes back to senders".to_owned()),
        Who::Server(name) => {
            let server = scenario.server(name);
            let hostname = server.map(|server| server.script.hostname.clone());
            let domains: Vec<&str> = server
                .iter()
                .flat_map(|server| &server.serves)
                .map(|serves| serves.domain.as_str())
                .collect();
            let exchanges = (!domains.is_empty()).then(|| format!("MX of {}", domains.join(", ")));
            let note: Vec<String> = hostname.into_iter().chain(exchanges).chain(reach).collect();
            (name.clone(), note.join(", "))
        }
    }
}

/// Columns, each as wide as it must be.
fn columns<const N: usize>(table: &[[String; N]]) -> String {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let row = |row: &[String; N]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    table.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// What was told of the conversation.
#[derive(Default)]
struct Telling {
    touched: u64,
    queries: usize,
    /// Sessions so far, and those of them that go on.
    sessions: usize,
    open: Vec<(usize, Live)>,
}

impl Telling {
    /// Tells what is new, in the order in which it happened.
    fn tell(&mut self, stand: &Stand, output: &Output) {
        let mut lines = Vec::new();
        let queries = stand.queries.since(self.queries);
        self.queries += queries.len();
        lines.extend(queries.iter().map(|query| (query.at, of_query(query))));
        let touched = stand.recorder.touched();
        if touched != self.touched {
            self.touched = touched;
            while let Some((session, _)) = stand.recorder.session(self.sessions) {
                lines.push((session.opened, opened(&session)));
                self.open.push((self.sessions, Live::default()));
                self.sessions += 1;
            }
            self.open.retain_mut(|(index, live)| {
                let Some((session, over)) = stand.recorder.session(*index) else { return false };
                let who = format!("{} {}", session.mock, session.ordinal);
                lines.extend(
                    live.more(&session).into_iter().map(|(at, line)| (at, format!("{who:<12} {line}"))),
                );
                !over
            });
        }
        lines.sort_by_key(|(at, _)| *at);
        for (at, line) in lines {
            output.line(&format!("{:>10.3}  {line}", at.since_start().as_secs_f64()));
        }
    }
}

fn opened(session: &Session) -> String {
    let who = format!("{} {}", session.mock, session.ordinal);
    format!("{who:<12} *  {RELAY} calls, from {}", session.client)
}

fn of_query(query: &DnsQuery) -> String {
    let by = if query.transport == Transport::Tcp { " (TCP)" } else { "" };
    format!("{:<12} {} {}{by}: {}", "dns", query.record_type, query.name, query.outcome)
}

/// What was seen, as a record: nothing is known of the relay but what it said.
fn record(scenario: &Scenario, stand: &Stand) -> Record {
    let since = stand.epoch.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    let serves = scenario.servers.iter().flat_map(|server| {
        server.serves.iter().map(|serves| (server.script.name.clone(), serves.domain.clone()))
    });
    record::assemble(Raw {
        relay: RelayIdentity {
            name: RELAY.to_owned(),
            version: String::new(),
            hostname: stand.hostname.clone(),
            role: Role::Relay,
            own_times: Vec::new(),
            address: relay_address(),
            varies: Varies { side_by_side: true, ..Varies::default() },
        },
        epoch: since.as_secs().cast_signed(),
        clock: Clock::Run,
        serves: serves.collect(),
        sessions: stand.recorder.take_sessions(),
        queries: stand.queries.queries(),
        sent: Vec::new(),
        queue: Vec::new(),
        log: Vec::new(),
        steps: Vec::new(),
        checkpoints: Vec::new(),
        end: End { at: stand.now(), how: Ending::Finished },
    })
}

/// Who was called how often, and what came of it.
fn summary(scenario: &Scenario, record: &Record) -> String {
    let names = scenario.servers.iter().map(|server| server.script.name.as_str());
    let others = record.sessions.iter().map(|session| session.mock.as_str());
    let mut table = vec![["server", "sessions", "mails taken", "mails not taken"].map(str::to_owned)];
    let mut told: Vec<&str> = Vec::new();
    for name in names.chain(others) {
        if told.contains(&name) {
            continue;
        }
        told.push(name);
        let own = || {
            record.sessions.iter().filter(|session| session.mock == name && session.mock_is == Side::Server)
        };
        let count =
            |taken| own().flat_map(|session| &session.transactions).filter(|t| t.taken == taken).count();
        table.push([
            name.to_owned(),
            own().count().to_string(),
            count(true).to_string(),
            count(false).to_string(),
        ]);
    }
    let queries = record.queries.len();
    let is_failure = |query: &&DnsQuery| !matches!(query.outcome, Outcome::Records(_) | Outcome::NoData(_));
    let failed = record.queries.iter().filter(is_failure).count();
    format!(
        "\n{}\n\nDNS: {queries} queries, {failed} of them without an answer that tells something\n",
        columns(&table)
    )
}
