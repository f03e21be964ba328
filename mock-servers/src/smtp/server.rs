//! Accepts connections and gives each a session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::conversation::Conversation;
use super::dialogue::DialogueRunner;
use super::forward::Forwarder;
use super::gate::Gate;
use super::memory::ServerMemory;
use super::session::{Limits, ServerSession};
use super::shell::{Ends, Shell};
use super::tls::TlsMaterial;
use crate::environment::{Clock, Connection, Listener};
use crate::script::Script;
use crate::transcript::{Recorder, Side};

/// What servers are given by the run.
#[derive(Clone)]
pub struct Environment {
    /// The run's clock.
    pub clock: Arc<dyn Clock>,
    /// Where sessions are written down.
    pub recorder: Recorder,
    /// The run's certificates; its epoch is the run's start in the calendar.
    pub tls: Arc<TlsMaterial>,
    /// What carries mail that servers forward to the relay; without it they keep it.
    pub forwarder: Option<Forwarder>,
}

/// A scripted server. Clones are the same server at further addresses: they share its memory.
#[derive(Clone)]
pub struct Server {
    script: Arc<Script>,
    memory: ServerMemory,
    gate: Gate,
    limits: Limits,
    environment: Environment,
}

/// Serves the script at one address, with a memory of its own, until the returned future is dropped; its sessions end
/// with it. Returns only when the listener fails.
pub async fn serve(
    script: Arc<Script>,
    listener: Box<dyn Listener>,
    address: SocketAddr,
    environment: Environment,
) -> io::Error {
    Server::new(script, environment).serve(listener, address).await
}

impl Server {
    /// A server that nobody has come to yet.
    pub fn new(script: Arc<Script>, environment: Environment) -> Self {
        let memory = ServerMemory::forwarding(&script, environment.forwarder.clone());
        Self { script, memory, gate: Gate::default(), limits: Limits::default(), environment }
    }

    /// By which a session of this server can be held at an event. A dialogue has no events and is never held.
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// The same with other bounds of memory.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Accepts connections until the returned future is dropped; its sessions end with it. `address` is what the record
    /// shows as the server's end. Returns only when the listener fails. A panic in a session is passed on.
    pub async fn serve(self, mut listener: Box<dyn Listener>, address: SocketAddr) -> io::Error {
        let mut sessions = JoinSet::new();
        listener.prepare();
        if self.script.holds_clients_back() {
            listener.narrow_window();
        }
        loop {
            tokio::select! {
                biased;
                Some(ended) = sessions.join_next(), if !sessions.is_empty() => {
                    if let Err(error) = ended && error.is_panic() {
                        std::panic::resume_unwind(error.into_panic());
                    }
                }
                accepted = listener.accept() => match accepted {
                    Ok((connection, client)) => {
                        sessions.spawn(self.session(connection, client, address));
                    }
                    Err(error) => return error,
                },
            }
        }
    }

    /// One connection's session. Its number is taken now, its work is in the future.
    fn session(
        &self,
        connection: Box<dyn Connection>,
        client: SocketAddr,
        address: SocketAddr,
    ) -> impl Future<Output = ()> + Send + 'static {
        let Environment { clock, recorder, tls, .. } = &self.environment;
        let record = recorder.open(&self.script.name, Side::Server, client, address, clock.now());
        let mut conversation: Box<dyn Conversation> = if let Some(dialogue) = &self.script.dialogue {
            Box::new(DialogueRunner::new(dialogue, record.clone()))
        } else {
            let (script, memory) = (self.script.clone(), &self.memory);
            let session =
                ServerSession::new(script, memory, record.clone(), client, tls.epoch(), self.limits);
            Box::new(session.behind(self.gate.clone()))
        };
        let ends = Ends::Server { tls: tls.clone(), hostname: self.script.hostname.clone() };
        let mut shell = Shell::new(connection, clock.clone(), record, ends);
        shell.read(self.script.read);
        async move { shell.converse(&mut *conversation).await }
    }
}
