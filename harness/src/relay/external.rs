//! A relay that runs elsewhere: it is reached by its address, and looked at by the commands of its adapter. It is neither
//! started nor stopped, and lives by its own time.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::adapter::{self, ConfigureError};
use super::process::Now;
use super::{BoxFuture, Driver, Fault, Settings, StartError, Trouble, Unsupported, command};
use crate::record::{LogLine, OwnTime, QueueEntry, Role, Varies};

/// Between two calls to one that does not answer yet.
const BETWEEN: Duration = Duration::from_millis(50);

/// So long a call to one may take that is only to show that it is there.
const REACHED: Duration = Duration::from_secs(5);

/// What is said of the version of one that has no command for it.
const NO_VERSION: &str = "of unknown version";

/// A relay that runs elsewhere, under test.
pub struct External {
    adapter: Arc<adapter::External>,
    address: SocketAddr,
    configure: Option<String>,
    own_times: Vec<OwnTime>,
    now: Now,
    /// How long, in real time, it may take to greet a caller, and a command to end. Guards, and measures nothing.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    version: String,
    queue: Vec<QueueEntry>,
    /// What its log was before the run.
    log_before: Vec<String>,
    trouble: Option<(String, String)>,
}

impl External {
    /// Nobody has called it yet. `address` is what [`address`] says.
    ///
    /// # Errors
    /// When it cannot be told what the settings say.
    pub fn prepare(
        adapter: Arc<adapter::External>,
        address: SocketAddr,
        settings: &Settings,
        now: Now,
        patience: Duration,
    ) -> Result<Arc<Self>, StartError> {
        let failed = |why: String| StartError::Failed { relay: adapter.name.clone(), why };
        let (configure, own_times) = adapter.configure(settings).map_err(|error| match error {
            ConfigureError::Unsupported(reason) => StartError::Unsupported(reason),
            ConfigureError::Template { place, why } => failed(format!("its adapter, {place}: {why}")),
        })?;
        let state = Mutex::default();
        Ok(Arc::new(Self { adapter, address, configure, own_times, now, patience, state }))
    }

    /// How long nothing may happen before it is certain that nothing more happens by itself.
    pub fn rest(&self) -> Duration {
        self.adapter.rest
    }

    /// Lists its queue. `true`: it is another one than the last time.
    pub async fn look(&self) -> bool {
        match self.list().await {
            Ok(queue) => {
                let mut state = self.state();
                std::mem::replace(&mut state.queue, queue.clone()) != queue
            }
            Err(why) => {
                self.trouble_with("list", &why);
                false
            }
        }
    }

    async fn list(&self) -> Result<Vec<QueueEntry>, String> {
        let Some(script) = &self.adapter.list else { return Ok(Vec::new()) };
        let printed = command::ask(script, self.patience).await?;
        let listed = adapter::read_queue(&printed).map_err(|why| format!("its queue's listing: {why}"))?;
        // Its dates are of its own time, of which the run's says nothing.
        Ok(adapter::entries(listed, |_| None))
    }

    async fn begin(&self) -> Result<(), StartError> {
        let failed = |why: String| StartError::Failed { relay: self.adapter.name.clone(), why };
        for script in [&self.configure, &self.adapter.empty].into_iter().flatten() {
            command::ask(script, self.patience).await.map_err(failed)?;
        }
        self.greeted().await.map_err(failed)?;
        let left = self.list().await.map_err(failed)?;
        if let Some(first) = left.first() {
            let mails =
                if left.len() == 1 { "1 mail that is" } else { &format!("{} mails that are", left.len()) };
            let way = match &self.adapter.empty {
                Some(_) => "`empty:` has left them there",
                None => "empty it, or say under `empty:` how that is done",
            };
            let why = format!("its queue holds {mails} not of this run, {} first: {way}", first.id);
            return Err(failed(why));
        }
        let version = match &self.adapter.version {
            Some(script) => command::ask(script, self.patience).await.map_err(failed)?,
            None => NO_VERSION.to_owned(),
        };
        let log_before = self.read_log().map_err(failed)?;
        let mut state = self.state();
        version.lines().next().unwrap_or_default().trim().clone_into(&mut state.version);
        state.log_before = log_before;
        Ok(())
    }

    /// Completes when it has greeted a caller.
    async fn greeted(&self) -> Result<(), String> {
        let deadline = Instant::now() + self.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let why = match tokio::time::timeout(left, self.answers()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("it greets nobody for {:?}", self.patience),
            };
            if Instant::now() + BETWEEN > deadline {
                let (host, port) = &self.adapter.address;
                return Err(format!("no relay answers at {host} port {port} ({}): {why}", self.address));
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// Calls it, waits for its greeting, and takes its leave.
    async fn answers(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(self.address).await?;
        let mut first = [0];
        stream.read_exact(&mut first).await?;
        stream.write_all(b"QUIT\r\n").await?;
        // To its end, so that the relay is done with it.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        Ok(())
    }

    /// All that its log has now. Blocks, for moments.
    fn read_log(&self) -> Result<Vec<String>, String> {
        let Some(script) = &self.adapter.log else { return Ok(Vec::new()) };
        Ok(command::ask_now(script, self.patience)?.lines().map(str::to_owned).collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the relay")
    }

    /// Keeps the first of what goes wrong with a command.
    fn trouble_with(&self, key: &str, why: &str) {
        let doing = format!("run `{key}:` of {}", self.adapter.name);
        self.state().trouble.get_or_insert_with(|| (doing, why.to_owned()));
    }
}

/// Where a relay accepts mail: the first address of its host.
///
/// # Errors
/// When its host has none.
pub fn address(adapter: &adapter::External) -> Result<SocketAddr, StartError> {
    let (host, port) = &adapter.address;
    let why = match (host.as_str(), *port).to_socket_addrs().map(|mut found| found.next()) {
        Ok(Some(address)) => return Ok(address),
        Ok(None) => format!("{host} has no address"),
        Err(error) => format!("the address of {host} cannot be found: {error}"),
    };
    Err(StartError::Failed { relay: adapter.name.clone(), why })
}

/// Whether somebody listens there.
///
/// # Errors
/// When nobody does, or there is no such host.
pub fn reach(adapter: &adapter::External) -> Result<(), StartError> {
    let address = address(adapter)?;
    std::net::TcpStream::connect_timeout(&address, REACHED).map(drop).map_err(|error| StartError::Failed {
        relay: adapter.name.clone(),
        why: format!("nobody listens at {address}: {error}"),
    })
}

impl Driver for External {
    fn start(&self) -> BoxFuture<'_, Result<(), StartError>> {
        Box::pin(self.begin())
    }

    /// It is not ours: scenarios that kill or restart the relay are not run.
    fn kill(&self) {}

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// As it was when [`External::look`] last saw it.
    fn queue(&self) -> Vec<QueueEntry> {
        self.state().queue.clone()
    }

    fn lists(&self) -> bool {
        self.adapter.list.is_some()
    }

    fn log(&self) -> Vec<LogLine> {
        let at = (self.now)();
        let lines = self.read_log().unwrap_or_else(|why| {
            self.trouble_with("log", &why);
            Vec::new()
        });
        let new = since(&self.state().log_before, lines);
        new.into_iter().map(|text| LogLine { at, text }).collect()
    }

    fn force_queue_run(&self) -> Result<(), Unsupported> {
        let name = &self.adapter.name;
        let script = self.adapter.flush.as_ref();
        let script = script.ok_or_else(|| Unsupported(format!("{name}: its adapter has no `flush:`")))?;
        if let Err(why) = command::ask_now(script, self.patience) {
            self.trouble_with("flush", &why);
        }
        Ok(())
    }

    fn due_queue_run(&self) -> Result<(), Unsupported> {
        Err(Unsupported(format!("{}: it runs elsewhere, by its own time", self.adapter.name)))
    }

    fn died(&self) -> Option<String> {
        None
    }

    fn version(&self) -> String {
        self.state().version.clone()
    }

    fn fault(&self, _fault: Option<Fault>) -> Result<(), Unsupported> {
        Err(Unsupported(format!("{}: it runs elsewhere, and its disk cannot be spoilt", self.adapter.name)))
    }

    fn trouble(&self) -> Option<Trouble> {
        let (doing, why) = self.state().trouble.clone()?;
        Some(Trouble { doing, why: std::io::Error::other(why) })
    }

    fn own_times(&self) -> Vec<OwnTime> {
        self.own_times.clone()
    }

    fn role(&self) -> Role {
        self.adapter.role
    }

    fn varies(&self) -> Varies {
        Varies { side_by_side: true, ..self.adapter.varies.clone() }
    }
}

/// The lines that a log has now and had not before. One that was begun anew, or has let its first lines go, goes on after
/// the last line of before, if that is still there.
fn since(before: &[String], mut now: Vec<String>) -> Vec<String> {
    if now.starts_with(before) {
        return now.split_off(before.len());
    }
    let known = before.last().and_then(|last| now.iter().rposition(|line| line == last));
    now.split_off(known.map_or(0, |at| at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_logged_before_the_run_is_not_of_it() {
        let lines = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let new = |before: &str, now: &str| since(&lines(before), lines(now)).join(" ");
        assert_eq!(new("", "a b"), "a b");
        assert_eq!(new("a b", "a b"), "");
        assert_eq!(new("a a", "a a a"), "a");
        assert_eq!(new("a b", "b c"), "c", "the first line has been let go");
        assert_eq!(new("a b", "c"), "c", "begun anew");
    }
}
