//! A real relay, unmodified, in a lab of namespaces of its own. What is particular to one relay stands in its adapter.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant, SystemTime};

use lab_init::{Command, Lab, LabError, Layout, Output, Owner, Stdin};
use mock_servers::RunTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use super::adapter::{self, Adapter, ConfigureError, Configured, LogSource};
use super::container::{self, Container};
use super::{
    BoxFuture, Driver, Ended, Fault, HandedOver, Intake, Settings, StartError, Trouble, Unsupported, roots,
    seed,
};
use crate::record::{LogLine, OwnTime, QueueEntry, Role, Varies};

/// The present moment of the run.
pub type Now = Arc<dyn Fn() -> RunTime + Send + Sync>;

/// Between two looks at something that is waited for.
const BETWEEN: Duration = Duration::from_millis(2);
/// How many bytes the relay may write: its spool, logs and all.
const DISK: u64 = 256 << 20;

/// What the relay itself writes to its standard output and standard error.
const OUTPUT: &str = "/run/gauntlet/output";
/// What fills its disk when the scenario has it so.
const FILLER: &str = "/gauntlet-fills-the-disk";

/// Of which root, made when, by which command.
type VersionOf = (PathBuf, [Option<SystemTime>; 2], String);

/// A real relay under test.
pub struct Process {
    adapter: Adapter,
    configured: Configured,
    lab: Arc<Lab>,
    /// What the lab is made in, unless it is this machine. Dropped after it.
    container: Option<Container>,
    /// From where the harness looks whether it answers.
    caller: IpAddr,
    /// Where it is to answer.
    listens: SocketAddr,
    now: Now,
    /// The date at which the run's time is zero, where the relay is under the run's clock.
    clock: Option<SystemTime>,
    /// How long, in real time, it may take to start, to answer a command or to stop. Guards, and measures nothing.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// It was started, and the call that is to show it has not come to it yet.
    is_to_be_called: bool,
    is_configured: bool,
    runs: bool,
    /// Its disk was filled, and is not mended yet.
    disk_is_full: bool,
    main: Option<lab_init::Process>,
    version: String,
    log: Vec<LogLine>,
    /// How much of the log's file was read.
    log_read: usize,
    queue: Vec<QueueEntry>,
    /// What was being done, and what came of it.
    trouble: Option<(String, String)>,
}

impl Process {
    /// Makes the lab and its files; the relay does not run yet. `caller` is a client's address on the Internet's side;
    /// `clock` is the date at which a virtual clock of its own begins, under which everything in the lab then lives;
    /// `patience` is how long, in real time, it may take to start, to answer a command or to stop.
    ///
    /// # Errors
    /// When the relay cannot be told what the settings say, is not here, or there can be no lab, or no container where one is
    /// asked for.
    pub fn prepare(
        adapter: &Adapter,
        settings: &Settings,
        caller: IpAddr,
        now: Now,
        clock: Option<SystemTime>,
        patience: Duration,
    ) -> Result<Arc<Self>, StartError> {
        let failed = |why: String| StartError::Failed { relay: adapter.name.clone(), why };
        let configured = adapter.configure(settings).map_err(|error| match error {
            ConfigureError::Unsupported(reason) => StartError::Unsupported(reason),
            ConfigureError::Template { place, why } => failed(format!("its adapter, {place}: {why}")),
        })?;
        let container = adapter.container.as_deref().map(Container::start).transpose();
        let container = container.map_err(|error| failed(error.to_string()))?;
        let layout = Layout {
            root: match container {
                Some(_) => PathBuf::from("/"),
                None => roots::root(adapter).map_err(failed)?,
            },
            container: container.as_ref().map(Container::process),
            hostname: settings.hostname.clone(),
            addresses: settings.addresses.clone(),
            upper_bytes: DISK,
        };
        let lab = Lab::start(&layout).map_err(|error| {
            let ended = container.as_ref().and_then(Container::ended);
            failed(ended.unwrap_or_else(|| error.to_string()))
        })?;
        if let Some(container) = &container
            && let Err(error) = lab.open(&adapter.provides)
        {
            let why = match error.kind() {
                ErrorKind::NotFound => format!(
                    "the image {} has no {} (`provides:` of the adapter)",
                    container.image(),
                    adapter.provides.display()
                ),
                _ => error.to_string(),
            };
            return Err(failed(why));
        }
        if let Some(epoch) = clock {
            let seed = seed::given().map_err(failed)?;
            lab.start_clock(epoch, seed).map_err(|error| failed(error.to_string()))?;
        }
        let process = Self {
            adapter: adapter.clone(),
            lab: Arc::new(lab),
            container,
            caller,
            listens: SocketAddr::new(settings.listen.ip(), configured.ready_port),
            configured,
            now,
            clock,
            patience,
            state: Mutex::default(),
        };
        process.write_files(settings).map_err(|error| failed(error.to_string()))?;
        Ok(Arc::new(process))
    }

    /// The file that it logs to, unless it uses the system log.
    pub fn log_file(&self) -> Option<PathBuf> {
        match &self.configured.log {
            LogSource::Syslog => None,
            LogSource::File(path) => Some(path.clone()),
            LogSource::Stderr => Some(PathBuf::from(OUTPUT)),
        }
    }

    /// The lab that it lives in.
    pub fn lab(&self) -> Arc<Lab> {
        self.lab.clone()
    }

    fn write_files(&self, settings: &Settings) -> Result<(), LabError> {
        let write = |path: &str, text: &str| self.lab.write_file(path, 0o644, &Owner::Root, text);
        let own: Vec<String> =
            settings.addresses.iter().map(|address| format!("{address} {}", settings.hostname)).collect();
        let own = own.join("\n");
        write("/etc/hosts", &format!("127.0.0.1 localhost\n::1 localhost\n{own}\n"))?;
        write("/etc/hostname", &format!("{}\n", settings.hostname))?;
        write("/etc/mailname", &format!("{}\n", settings.hostname))?;
        // No search list: a name is what it is.
        write("/etc/resolv.conf", &format!("nameserver {}\nsearch .\n", settings.resolver.ip()))?;
        write(
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n",
        )?;
        self.lab.make_directory("/run/gauntlet", 0o755, &Owner::Root)?;
        let mut trusted = self.lab.read_file(adapter::CA_FILE).unwrap_or_default();
        trusted.truncate(first_certificate(&trusted));
        trusted.extend_from_slice(settings.tls_root.as_deref().unwrap_or_default().as_bytes());
        if !trusted.is_empty() {
            self.lab.write_file(adapter::CA_FILE, 0o644, &Owner::Root, trusted)?;
        }
        if let Some(certificate) = &settings.certificate {
            write(adapter::CERTIFICATE_CHAIN, &certificate.chain)?;
            write(adapter::CERTIFICATE_KEY, &certificate.key)?;
        }
        // Some relays wait for as long as a file may still be changing, by its time.
        let long_ago = SystemTime::now() - Duration::from_hours(1);
        for file in &self.configured.files {
            let mut written = self.lab.create(&file.path, file.mode, &owner(file.owner.as_deref()))?;
            let done = written.write_all(file.text.as_bytes()).and_then(|()| written.set_modified(long_ago));
            done.map_err(|error| {
                LabError::told(format!("writing {} in the lab", file.path.display()), error.to_string())
            })?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the relay")
    }

    fn failed(&self, why: impl std::fmt::Display) -> StartError {
        if let Some(why) = self.container_ended() {
            return StartError::Failed { relay: self.adapter.name.clone(), why };
        }
        let mut why = why.to_string();
        let said = self.lab.read_file(OUTPUT).unwrap_or_default();
        let log: Vec<String> = self.log().into_iter().map(|line| line.text).collect();
        // One that logs to its standard error has said it all there.
        let log = if self.configured.log == LogSource::Stderr { String::new() } else { log.join("\n") };
        for (what, text) in [("it said", String::from_utf8_lossy(&said).into_owned()), ("its log", log)] {
            if !text.trim().is_empty() {
                why = format!("{why}\n{what}:\n{}", indented(&text));
            }
        }
        StartError::Failed { relay: self.adapter.name.clone(), why }
    }

    /// Runs a script to its end; what it printed. Blocks, for moments.
    fn ask(&self, script: &str) -> Result<String, String> {
        let mut asked = self.begin_asking(script)?;
        // What runs on is left to the lab's end; nobody waits for it.
        let ended = asked.process.wait(self.patience);
        asked.answer(ended.map_err(|error| error.to_string()))
    }

    /// The same for a script that may take long; the run can be cancelled meanwhile.
    async fn ask_aside(&self, script: &str) -> Result<String, String> {
        let mut asked = self.begin_asking(script)?;
        let ended = self.end_of(&mut asked).await;
        asked.answer(ended)
    }

    async fn end_of(&self, asked: &mut Asked) -> Result<ExitStatus, String> {
        loop {
            match asked.process.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() < asked.deadline => tokio::time::sleep(BETWEEN).await,
                Ok(None) => return Err(format!("it still runs after {:?}", self.patience)),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Hands mail to the adapter's command, as a program on the relay's own machine does: with that machine's line ends.
    async fn hand_it_over(&self, mail: HandedOver) -> Result<Ended, String> {
        let command = self.configured.command.as_ref().ok_or("its adapter has no command for it")?;
        let content = local(&mail.content);
        let argv = ["/bin/sh", "-c", command.script.as_str(), "sh"].map(str::to_owned);
        let ran = Command::new(argv.into_iter().chain(mail.to))
            .env("sender", mail.from)
            .user(owner(command.user.as_deref()))
            .stdin(Stdin::Bytes(content));
        let mut asked = self.begin_command(ran, &command.script)?;
        let status = self.end_of(&mut asked).await?;
        let [out, complaints] = asked.said();
        Ok(Ended { status: status.code(), said: format!("{out}{complaints}") })
    }

    /// Its version, by the adapter's command: once in this process for each root, as long as that is the same.
    async fn ask_version(&self) -> Result<String, String> {
        static ASKED: Mutex<BTreeMap<VersionOf, String>> = Mutex::new(BTreeMap::new());
        let asked = || ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        let root = match &self.container {
            // An image that is built anew is another one.
            Some(container) => {
                PathBuf::from(container::check(container.image()).map_err(|error| error.to_string())?)
            }
            None => roots::root(&self.adapter)?,
        };
        // A root that is made anew is another directory, or is given another program.
        let program = self.adapter.provides.strip_prefix("/").unwrap_or(&self.adapter.provides);
        let made =
            [root.clone(), root.join(program)].map(|path| path.metadata().and_then(|is| is.modified()).ok());
        let of = (root, made, self.configured.version.clone());
        if let Some(version) = asked().get(&of) {
            return Ok(version.clone());
        }
        let answer = self.ask_aside(&self.configured.version).await?;
        let version = answer.lines().next().unwrap_or_default().trim().to_owned();
        asked().insert(of, version.clone());
        Ok(version)
    }

    /// Why its container is gone, if it has one that is.
    fn container_ended(&self) -> Option<String> {
        self.container.as_ref()?.ended()
    }

    fn begin_asking(&self, script: &str) -> Result<Asked, String> {
        self.begin_command(Command::new(["/bin/sh", "-c", script]), script)
    }

    /// Runs a command for what it prints; `script` is what it is called by.
    fn begin_command(&self, command: Command, script: &str) -> Result<Asked, String> {
        let command = command.output(Output::Split);
        let mut process = self.lab.spawn(command).map_err(|error| error.to_string())?;
        let reading = [process.stdout.take(), process.stderr.take()].map(|pipe| {
            let (tell, told) = mpsc::channel();
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                if let Some(mut pipe) = pipe {
                    // What came before an error is what there is.
                    let _ = pipe.read_to_end(&mut bytes);
                }
                let _ = tell.send(bytes);
            });
            told
        });
        let deadline = Instant::now() + self.patience;
        Ok(Asked { process, reading, deadline, first_line: first_line(script).to_owned() })
    }

    /// Runs a script and does not wait for it: what it does is seen.
    fn begin(&self, script: &str) {
        let spawned = self.lab.spawn(Command::new(["/bin/sh", "-c", script]).output(Output::Null));
        if let Err(error) = spawned {
            self.trouble_with(format!("run `{}`", first_line(script)), error);
        }
    }

    /// Keeps the first of what goes wrong.
    fn trouble_with(&self, doing: String, why: impl std::fmt::Display) {
        self.state().trouble.get_or_insert_with(|| (doing, why.to_string()));
    }

    /// Has a script of the adapter run in place of waiting for it; `None`: it has none.
    fn begin_queue_run(&self, which: &str, script: Option<&String>) -> Result<(), Unsupported> {
        let name = &self.adapter.name;
        let script = script.ok_or_else(|| {
            Unsupported(format!("{name}: its adapter does not say how to do `queue run: {which}`"))
        })?;
        self.begin(script);
        Ok(())
    }

    async fn start_it(&self) -> Result<(), StartError> {
        if !std::mem::replace(&mut self.state().is_configured, true) {
            if let Some(script) = &self.configured.prepare {
                self.ask_aside(script).await.map_err(|why| self.failed(why))?;
            }
            let version = self.ask_version().await.map_err(|why| self.failed(why))?;
            self.state().version = version;
        }
        let is_called = self.configured.command.is_none();
        self.state().is_to_be_called = is_called;
        let script = format!("exec >>{OUTPUT} 2>&1\n{}", self.configured.start);
        let command = Command::new(["/bin/sh", "-c", &script]).output(Output::Null);
        let main = self.lab.spawn(command).map_err(|error| self.failed(error))?;
        self.state().main = Some(main);
        if !is_called {
            // Mail that comes before it looks waits in its queue.
            self.state().runs = true;
            return Ok(());
        }
        let deadline = Instant::now() + self.patience;
        let greeted = self.greeted();
        tokio::pin!(greeted);
        loop {
            tokio::select! {
                () = &mut greeted => {
                    self.state().runs = true;
                    return Ok(());
                }
                () = tokio::time::sleep(BETWEEN) => {}
            }
            if let Some(why) = self.has_ended() {
                return Err(self.failed(format!("it ended before it answered: {why}")));
            }
            if Instant::now() > deadline {
                return Err(self.failed(self.silence()));
            }
            // One that says a lot before it listens waits when nobody reads it.
            self.read_log();
        }
    }

    /// Completes when it has greeted a caller.
    async fn greeted(&self) {
        while self.answers().await.is_err() {
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// What to say of a relay that runs and has greeted nobody.
    fn silence(&self) -> String {
        let Self { listens, patience, .. } = self;
        let places = self.lab.listeners().unwrap_or_default();
        if self.is_reached_at(&places) {
            return format!("it listens at {listens}, and greeted no caller for {patience:?}");
        }
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        let elsewhere = match places.as_slice() {
            [] => "it listens nowhere".to_owned(),
            places => format!("it listens at {}", places.join(", ")),
        };
        format!("it runs, and nobody listens at {listens} after {patience:?}: {elsewhere}")
    }

    /// Whether one of these places is where it is to answer.
    fn is_reached_at(&self, places: &[SocketAddr]) -> bool {
        let Self { listens, .. } = self;
        let ours = |ip: IpAddr| ip.is_unspecified() || ip == listens.ip();
        places.iter().any(|place| place.port() == listens.port() && ours(place.ip()))
    }

    /// Calls it, waits for its greeting, and takes its leave.
    async fn answers(&self) -> std::io::Result<()> {
        let socket = self.lab.client_tcp(self.caller).map_err(std::io::Error::other)?;
        let mut stream = TcpSocket::from_std_stream(socket.into()).connect(self.listens).await?;
        self.state().is_to_be_called = false;
        let mut first = [0];
        stream.read_exact(&mut first).await?;
        stream.write_all(b"QUIT\r\n").await?;
        // To its end, so that the relay is done with it.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        Ok(())
    }

    /// Why nothing of it runs any more, if so. One that forks away has ended well, and lives on.
    fn has_ended(&self) -> Option<String> {
        if let Some(why) = self.container_ended() {
            return Some(why);
        }
        let mut state = self.state();
        let status = state.main.as_mut()?.try_wait().ok().flatten()?;
        let gone = self.lab.tasks().is_ok_and(|tasks| tasks.is_empty());
        if status.success() {
            // It had forked away.
            return gone.then(|| "none of its processes is left".to_owned());
        }
        Some(status.to_string())
    }

    async fn stop_it(&self) {
        if let Some(script) = self.configured.stop.as_ref().filter(|_| self.state().runs) {
            self.begin(script);
            let deadline = Instant::now() + self.patience;
            while Instant::now() < deadline && self.lab.tasks().is_ok_and(|tasks| !tasks.is_empty()) {
                tokio::time::sleep(BETWEEN).await;
            }
        }
        self.end();
    }

    /// Ends whatever still runs.
    fn end(&self) {
        self.queue();
        if let Err(error) = self.lab.kill_everything() {
            self.trouble_with(format!("end {}", self.adapter.name), error);
        }
        let mut state = self.state();
        state.runs = false;
        state.main = None;
    }

    /// The moment of a date in seconds since 1970, under the run's clock.
    fn run_time(&self, seconds: u64) -> Option<RunTime> {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Some(RunTime::new(date.duration_since(self.clock?).unwrap_or_default()))
    }

    fn list(&self) -> Result<Vec<QueueEntry>, String> {
        let printed = self.ask(&self.configured.list)?;
        let listed = adapter::read_queue(&printed).map_err(|why| format!("its queue's listing: {why}"))?;
        Ok(adapter::entries(listed, |seconds| self.run_time(seconds)))
    }

    /// Takes up what it has logged since the last time.
    fn read_log(&self) {
        let at = (self.now)();
        let mut state = self.state();
        match &self.configured.log {
            LogSource::Syslog => {
                let mut datagram = vec![0; 16 * 1024];
                while let Ok(length) = self.lab.syslog().recv(&mut datagram) {
                    let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
                    state.log.push(LogLine { at, text: message(&text).to_owned() });
                }
            }
            LogSource::File(_) | LogSource::Stderr => {
                let path = match &self.configured.log {
                    LogSource::File(path) => path.as_path(),
                    _ => Path::new(OUTPUT),
                };
                let bytes = self.lab.read_file(path).unwrap_or_default();
                let new = bytes.get(state.log_read..).unwrap_or_default();
                let whole = new.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
                state.log_read += whole;
                let text = String::from_utf8_lossy(&new[..whole]).into_owned();
                state.log.extend(text.lines().map(|line| LogLine { at, text: line.to_owned() }));
            }
        }
    }
}

/// A script that was begun for what it prints.
struct Asked {
    process: lab_init::Process,
    /// What comes of its standard output, and of its standard error.
    reading: [mpsc::Receiver<Vec<u8>>; 2],
    deadline: Instant,
    first_line: String,
}

impl Asked {
    /// What it printed, and what it complained of.
    fn said(self) -> [String; 2] {
        let Self { reading, deadline, .. } = self;
        reading.map(|told| {
            let left = deadline.saturating_duration_since(Instant::now());
            String::from_utf8_lossy(&told.recv_timeout(left).unwrap_or_default()).into_owned()
        })
    }

    /// What it printed, once it has ended like this.
    fn answer(self, ended: Result<ExitStatus, String>) -> Result<String, String> {
        let first_line = self.first_line.clone();
        let status = ended.map_err(|why| format!("`{first_line}`: {why}"))?;
        let [out, complaints] = self.said();
        if status.success() {
            return Ok(out);
        }
        let said = indented(&format!("{out}{complaints}"));
        Err(format!("`{first_line}` ended with {status}\n{said}").trim_end().to_owned())
    }
}

/// Text with the line ends of the relay's own machine.
fn local(content: &[u8]) -> Vec<u8> {
    let mut local = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|&b| b == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => local.extend(line.iter().chain(b"\n")),
            None => local.extend(line),
        }
    }
    local
}

/// `user`, or `user:group`; nobody named is root.
fn owner(named: Option<&str>) -> Owner {
    match named.map(|owner| owner.split_once(':').unwrap_or((owner, ""))) {
        None => Owner::Root,
        Some((user, "")) => Owner::User(user.to_owned()),
        Some((user, group)) => Owner::UserGroup(user.to_owned(), group.to_owned()),
    }
}

/// A syslog datagram (RFC 3164 section 4.1) without its priority and time.
fn message(datagram: &str) -> &str {
    let text = datagram.trim_end_matches(['\0', '\n']);
    let text = text.split_once('>').filter(|(head, _)| head.starts_with('<')).map_or(text, |(_, rest)| rest);
    // `Jan  5 12:00:00 `
    let stamped = text.is_char_boundary(16)
        && text.as_bytes().get(3) == Some(&b' ')
        && text.as_bytes().get(15) == Some(&b' ');
    if stamped { &text[16..] } else { text }
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn first_line(script: &str) -> &str {
    script.trim().lines().next().unwrap_or_default()
}

impl Driver for Process {
    fn start(&self) -> BoxFuture<'_, Result<(), StartError>> {
        Box::pin(self.start_it())
    }

    fn intake(&self) -> Intake {
        self.adapter.intake().clone()
    }

    fn command_for(&self, mail: &HandedOver) -> String {
        let script = self.configured.command.as_ref().map_or("", |command| command.script.as_str());
        let quoted = |word: &str| format!("'{word}'");
        let to = mail.to.iter().map(|to| quoted(to)).collect::<Vec<_>>().join(" ");
        let shown = first_line(script).replace("\"$sender\"", &quoted(&mail.from)).replace("\"$@\"", &to);
        shown.strip_prefix("exec ").unwrap_or(&shown).to_owned()
    }

    fn hand_over(&self, mail: HandedOver) -> BoxFuture<'_, Result<Ended, String>> {
        Box::pin(self.hand_it_over(mail))
    }

    fn kill(&self) {
        self.end();
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop_it())
    }

    fn queue(&self) -> Vec<QueueEntry> {
        if self.state().runs {
            match self.list() {
                Ok(entries) => self.state().queue = entries,
                // One that has died, or that can write nothing, is listed as it was when last seen.
                Err(_) if self.state().disk_is_full || self.has_ended().is_some() => {}
                Err(why) => self.trouble_with(format!("list the queue of {}", self.adapter.name), why),
            }
        }
        if self.configured.log == LogSource::Syslog {
            // A relay waits when nobody reads what it logs.
            self.read_log();
        }
        self.state().queue.clone()
    }

    fn logged(&self) -> Option<u64> {
        self.read_log();
        Some(self.state().log.len() as u64)
    }

    fn log(&self) -> Vec<LogLine> {
        self.read_log();
        self.state().log.clone()
    }

    fn force_queue_run(&self) -> Result<(), Unsupported> {
        self.begin_queue_run("force", self.configured.force.as_ref())
    }

    fn due_queue_run(&self) -> Result<(), Unsupported> {
        self.begin_queue_run("due", self.configured.due.as_ref())
    }

    fn died(&self) -> Option<String> {
        if !self.state().runs {
            return None;
        }
        self.has_ended()
    }

    fn version(&self) -> String {
        self.state().version.clone()
    }

    fn fault(&self, fault: Option<Fault>) -> Result<(), Unsupported> {
        let is_to_be_full = fault == Some(Fault::DiskFull);
        if !is_to_be_full && !self.state().disk_is_full {
            return Ok(());
        }
        let unsupported = |error: LabError| Unsupported(format!("its disk cannot be filled: {error}"));
        // What was there is gone: a disk that is full is so by this file.
        let mut filler = self.lab.create(FILLER, 0o600, &Owner::Root).map_err(unsupported)?;
        self.state().disk_is_full = is_to_be_full;
        if is_to_be_full {
            let zeros = vec![0; 1 << 20];
            let mut size = zeros.len();
            // To the last octet.
            while size > 0 {
                match filler.write(&zeros[..size]) {
                    Err(full) if full.kind() == ErrorKind::StorageFull => size /= 2,
                    Err(error) => return Err(Unsupported(format!("its disk cannot be filled: {error}"))),
                    Ok(_) => {}
                }
            }
        }
        Ok(())
    }

    fn trouble(&self) -> Option<Trouble> {
        // It explains whatever else went wrong.
        if let Some(why) = self.container_ended() {
            let doing = format!("keep {} running", self.adapter.name);
            return Some(Trouble { doing, why: std::io::Error::other(why) });
        }
        let (doing, why) = self.state().trouble.clone()?;
        Some(Trouble { doing, why: std::io::Error::other(why) })
    }

    fn awaits_call(&self) -> bool {
        self.state().is_to_be_called && self.lab.listeners().is_ok_and(|places| self.is_reached_at(&places))
    }

    fn own_times(&self) -> Vec<OwnTime> {
        self.configured.own_times.clone()
    }

    fn role(&self) -> Role {
        self.adapter.role
    }

    fn varies(&self) -> Varies {
        // Most relays are several processes; and what one that is alone does, the system schedules.
        Varies { side_by_side: true, ..self.configured.varies.clone() }
    }
}

/// Where the first certificate of a trust store ends. Nobody in a lab has a certificate by any of them, and a relay may read
/// them all each time it looks at its queue; a store without any is a mistake to some.
fn first_certificate(store: &[u8]) -> usize {
    const END: &[u8] = b"-----END CERTIFICATE-----\n";
    store.windows(END.len()).position(|window| window == END).map_or(store.len(), |at| at + END.len())
}
