//! Starting, looking at and stopping a relay.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::config::Config;
use crate::delivery::Memory;
use crate::dns::Resolver;
use crate::environment::{Clock, Network};
use crate::log::{Log, LogLine};
use crate::queue::{Queue, QueueEntry};
use crate::scheduler::{self, Lanes};
use crate::server;
use crate::tasks::Tasks;
use crate::tls::{self, BadCertificate, BadRoots, Tls};

/// How long attempts under way may go on while the relay is being stopped. Those that hang are then given up, as if the time
/// for the next reply were over: their mail waits.
const GRACE: Duration = Duration::from_secs(20);
/// After this long nothing is waited for any more.
const STOPPED_AFTER: Duration = Duration::from_secs(30);

/// A running relay. Dropping it is like [`Relay::kill`].
pub struct Relay {
    context: Arc<Context>,
    stop: watch::Sender<Option<SystemTime>>,
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The spool cannot be used.
    #[error("cannot use {path} as the spool: {source}; it must be a directory that can be written to")]
    Spool {
        /// The directory that was configured.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {source}; is another relay still there?")]
    Listen {
        /// The address that was configured.
        address: SocketAddr,
        /// What the network says.
        source: io::Error,
    },
    /// The certificate authorities cannot be used.
    #[error(transparent)]
    Roots(#[from] BadRoots),
    /// The relay's own certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
}

/// What every part of the relay works with.
pub(crate) struct Context {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) resolver: Resolver,
    pub(crate) tls: Tls,
    /// Towards clients, if there is a certificate.
    pub(crate) acceptor: Option<TlsAcceptor>,
    pub(crate) log: Arc<Log>,
    pub(crate) queue: Queue,
    pub(crate) lanes: Lanes,
    pub(crate) memory: Memory,
    pub(crate) tasks: Arc<Tasks>,
    /// Once the relay is being stopped: when its grace is over.
    stopping: watch::Receiver<Option<SystemTime>>,
}

impl Relay {
    /// Starts a relay: it listens when this returns, and the mail in its spool is taken up.
    ///
    /// It runs as tasks of the runtime that this is called in, which must be a current-thread one if two runs are to be
    /// alike.
    pub async fn start(
        config: Config,
        clock: Arc<dyn Clock>,
        network: Arc<dyn Network>,
    ) -> Result<Relay, StartError> {
        let config = Arc::new(config);
        let tls = Tls::new(&config.tls_roots, clock.clone())?;
        let certificate = config.certificate.as_ref();
        let acceptor = certificate.map(|pair| tls::acceptor(pair, clock.clone())).transpose()?;
        let log = Arc::new(Log::new(clock.clone()));
        let queue = Queue::open(config.clone(), clock.clone(), log.clone())
            .map_err(|source| StartError::Spool { path: config.spool.clone(), source })?;
        let listener = network
            .listen(config.listen)
            .await
            .map_err(|source| StartError::Listen { address: config.listen, source })?;
        let (stop, stopping) = watch::channel(None);
        let resolver = Resolver::new(config.resolver, clock.clone(), network.clone());
        let tasks = Arc::new(Tasks::default());
        let context = Arc::new(Context {
            config,
            clock,
            network,
            resolver,
            tls,
            acceptor,
            log,
            queue,
            lanes: Lanes::default(),
            memory: Memory::default(),
            tasks,
            stopping,
        });
        context.tasks.spawn(server::serve(context.clone(), listener));
        context.tasks.spawn(scheduler::run(context.clone()));
        Ok(Relay { context, stop })
    }

    /// The mail in the queue, oldest first.
    pub fn queue(&self) -> Vec<QueueEntry> {
        self.context.queue.list()
    }

    /// The mail in the archive, oldest first. Only `exchange-5.5` puts any there (KB Q254893).
    pub fn archived(&self) -> Vec<QueueEntry> {
        self.context.queue.archived()
    }

    /// Why the relay ended by itself, if it did: it never should.
    pub fn died(&self) -> Option<String> {
        self.context.tasks.died()
    }

    /// The log since the relay was started.
    pub fn log(&self) -> Vec<LogLine> {
        self.context.log.lines()
    }

    /// Tries all deferred mail now, whatever the schedule says.
    pub fn run_queue(&self) {
        self.context.queue.make_due();
    }

    /// Looks at the queue and tries what is due. What is due is tried by itself, so that this changes nothing.
    pub fn run_due(&self) {
        self.context.queue.look();
    }

    /// Ends the relay as SIGKILL would: every task, connection and socket is gone when this returns, and the spool is
    /// as it was.
    pub fn kill(self) {
        drop(self);
    }

    /// Ends the relay in order, in half a minute at most: no new connections, 421 to clients (RFC 5321 section 3.8), attempts
    /// under way are finished or, where they hang, given up; what remains stays in the spool.
    pub async fn stop(self) {
        let now = self.context.clock.now();
        // No receiver is left only if every task has ended, and then there is nobody to tell.
        let _ = self.stop.send(Some(now + GRACE));
        let limit = self.context.clock.sleep_until(now + STOPPED_AFTER);
        tokio::select! {
            biased;
            () = self.context.tasks.all_ended() => {}
            // What has not ended by itself is killed with the relay.
            () = limit => {}
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.context.tasks.kill();
    }
}

impl Context {
    /// Completes when the relay is being stopped.
    pub(crate) async fn stopping(&self) {
        let mut stopping = self.stopping.clone();
        // The sender goes with the relay, and then so do all tasks.
        if stopping.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.borrow().is_some()
    }

    /// Completes when the relay is being stopped and its grace is over.
    async fn out_of_grace(&self) {
        self.stopping().await;
        let end = *self.stopping.borrow();
        if let Some(end) = end {
            self.clock.sleep_until(end).await;
        }
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }

    /// The future's output, or `None` when it takes longer than `limit`, or than a relay that is being stopped can wait.
    pub(crate) async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let deadline = self.clock.sleep_until(self.clock.now() + limit);
        tokio::select! {
            biased;
            output = future => Some(output),
            () = deadline => None,
            () = self.out_of_grace() => None,
        }
    }
}

#[cfg(test)]
mod tests;
