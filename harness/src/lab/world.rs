//! The world of one run.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mock_servers::RunTime;
use mock_servers::dns::{QueryLog, serve_tcp, serve_udp};
use mock_servers::environment::Clock;
use mock_servers::script::{Certificate, Script};
use mock_servers::smtp::gate::Gate;
use mock_servers::smtp::server::{Environment, Server};
use mock_servers::smtp::tls::{TlsError, TlsMaterial};
use mock_servers::transcript::{Recorder, SessionRecorder, Side};
use tokio::task::{AbortHandle, JoinSet};

use super::bridge::{RelayClock, RelayNet, RunClock};
use super::datagrams::DatagramSocket;
use super::forwarding;
use super::net::{Net, Socket};
use super::places::{self, ORIGIN, Places};
use super::scratch::Scratch;
use super::sim::{Owner, Sim};
use super::zone::{serves_origin, zone};
use crate::relay::{self, Driver, Settings, StartError, Unsupported};
use crate::scenario::{Reach, Scenario, Tls};

/// The relay under test, shared by those who look at it.
pub type Relay = Arc<dyn Driver>;

/// Makes the relay of this name, in a world with this clock and this network that begins at this date.
pub type Factory = fn(
    &str,
    &Settings,
    Arc<dyn relay::Clock>,
    Arc<dyn relay::Network>,
    SystemTime,
) -> Result<Relay, StartError>;

/// Seconds from 1970 to the date of every run's beginning: Monday, 5 January 2026.
pub const EPOCH: i64 = 1_767_571_200;

/// Where the relay accepts mail.
const RELAY_PORT: u16 = 25;

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The relay did not start, or cannot do what is asked.
    #[error(transparent)]
    Relay(#[from] StartError),
    /// The operating system refused something.
    #[error("cannot {doing}: {why}")]
    System {
        /// What was being done.
        doing: String,
        /// The system's words.
        why: io::Error,
    },
    /// The run's certificates cannot be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The scenario's DNS cannot be made.
    #[error("the scenario's DNS cannot be made: {0}")]
    Dns(String),
}

/// Network, DNS, mock servers and relay of one run. Everything ends when it is dropped.
pub struct World {
    sim: Sim,
    net: Net,
    /// What the mocks write down.
    pub recorder: Recorder,
    /// What the DNS server was asked.
    pub queries: QueryLog,
    /// The relay under test.
    pub relay: Relay,
    /// Its own name.
    pub hostname: String,
    environment: Environment,
    servers: BTreeMap<String, Standing>,
    tasks: JoinSet<()>,
    /// Dropped last: the relay's files.
    directory: Scratch,
}

/// A mock server that listens, or could.
struct Standing {
    server: Server,
    addresses: Vec<SocketAddr>,
    listening: Vec<AbortHandle>,
}

impl World {
    /// Builds the world of a scenario around a relay, which runs when this returns. To be called on the run's thread.
    pub async fn build(
        scenario: &Scenario,
        relay: &str,
        factory: Factory,
        sim: &Sim,
    ) -> Result<Self, LabError> {
        let net = Net::new(sim.clone());
        let clock: Arc<dyn Clock> = Arc::new(RunClock { sim: sim.clone(), owner: Owner::Mock });
        let epoch = epoch();
        let (forwarder, mail) = forwarding::channel();
        let environment = Environment {
            forwarder: Some(forwarder),
            clock: clock.clone(),
            recorder: Recorder::default(),
            tls: Arc::new(TlsMaterial::new(epoch)),
        };
        let directory = Scratch::new()
            .map_err(|why| LabError::System { doing: "make a directory for the run".into(), why })?;
        let places = Places::new(scenario);
        let hostname = scenario.relay.hostname.clone().unwrap_or_else(|| format!("relay.{ORIGIN}"));
        let settings = settings(scenario, &places, &hostname, directory.path(), &environment.tls)?;
        let relay = factory(
            relay,
            &settings,
            Arc::new(RelayClock { sim: sim.clone(), epoch }),
            Arc::new(RelayNet { net: net.clone(), v4: places::RELAY.into(), v6: places::RELAY_V6.into() }),
            epoch,
        )?;
        let mut world = Self {
            sim: sim.clone(),
            net,
            recorder: environment.recorder.clone(),
            queries: QueryLog::default(),
            relay,
            hostname: hostname.clone(),
            environment,
            servers: BTreeMap::new(),
            tasks: JoinSet::new(),
            directory,
        };
        let zone = zone(scenario, &places, &hostname, &world.environment.tls).map_err(LabError::Dns)?;
        world.start_dns(Arc::new(zone), &clock)?;
        for (server, placed) in scenario.servers.iter().zip(&places.0) {
            world.place(server.script.clone(), &placed.addresses)?;
        }
        if !serves_origin(scenario) {
            let mailbox = SocketAddr::new(places::MAILBOX.into(), 25);
            world.place(crate::scenario::origin_mailbox(scenario), &[(mailbox, Reach::Good)])?;
        }
        let forwarding = forwarding::servers(scenario, &places);
        if !forwarding.is_empty() {
            let recorder = world.recorder.clone();
            let carrying = forwarding::carry(world.net.clone(), clock, recorder, forwarding, mail);
            world.tasks.spawn(carrying);
        }
        world.relay.start().await?;
        Ok(world)
    }

    /// A connection from a client to the relay, and the session that its transcript is written to.
    pub async fn dial(&self, client: &str, trusted: bool) -> io::Result<(Socket, SessionRecorder)> {
        let from = if trusted { places::TRUSTED } else { places::STRANGER };
        let to = relay_address();
        let (socket, from) = self.net.connect(from.into(), to).await?;
        Ok((socket, self.recorder.open(client, Side::Client, from, to, self.now())))
    }

    /// What mocks live in: clock, transcript, certificates.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Passes on the panic of a mock, if there was one: it is a defect of ours and must not look like a relay's.
    pub fn check_mocks(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    /// Tells what went wrong with the machine under the relay without any step's doing, if something did: what the relay
    /// then did says nothing about it.
    pub fn check_machine(&self) -> Result<(), LabError> {
        let Some(why) = self.relay.trouble() else { return Ok(()) };
        let doing = format!("keep the relay's files in {}", self.directory.path().display());
        Err(LabError::System { doing, why })
    }

    /// The present moment.
    pub fn now(&self) -> RunTime {
        self.sim.now()
    }

    /// Takes a server's listeners away; those who call are refused, and its open sessions end.
    pub async fn stop_server(&mut self, name: &str) {
        let Some(standing) = self.servers.get_mut(name) else { return };
        for task in standing.listening.drain(..) {
            task.abort();
            // Its sockets are closed when the runtime has come round to it.
            while !task.is_finished() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// By which a session of this server is held at an event.
    pub fn gate(&self, server: &str) -> Option<Gate> {
        self.servers.get(server).map(|standing| standing.server.gate())
    }

    /// Lets every session go that is held.
    pub fn let_go(&self) {
        for standing in self.servers.values() {
            standing.server.gate().open();
        }
    }

    /// Brings a server's listeners back.
    pub fn start_server(&mut self, name: &str) -> Result<(), LabError> {
        let Some(standing) = self.servers.get_mut(name) else { return Ok(()) };
        if standing.listening.is_empty() {
            for address in &standing.addresses {
                let listener = self.net.listen(*address).map_err(|why| LabError::System {
                    doing: format!("listen for the server `{name}`"),
                    why,
                })?;
                let serving = standing.server.clone().serve(Box::new(listener), *address);
                standing.listening.push(self.tasks.spawn(async move {
                    // Only a listener that failed gets here; the relay then meets a refusal, which the transcript shows.
                    let _ = serving.await;
                }));
            }
        }
        Ok(())
    }

    /// Stands a server up at its addresses.
    fn place(&mut self, script: Script, addresses: &[(SocketAddr, Reach)]) -> Result<(), LabError> {
        let mut good = Vec::new();
        for (address, reach) in addresses {
            match reach {
                Reach::Good => good.push(*address),
                Reach::Refused => self.net.refuse(*address),
                Reach::Filtered => self.net.filter(*address),
            }
        }
        let name = script.name.clone();
        // A server that is stopped refuses: its address exists.
        for address in &good {
            self.net.refuse(*address);
        }
        let server = Server::new(Arc::new(script), self.environment.clone());
        let standing = Standing { server, addresses: good, listening: Vec::new() };
        self.servers.insert(name.clone(), standing);
        self.start_server(&name)
    }

    fn start_dns(
        &mut self,
        zone: Arc<mock_servers::dns::Zone>,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), LabError> {
        let system = |why| LabError::System { doing: "open the DNS server's sockets".into(), why };
        let at = SocketAddr::new(places::DNS.into(), 53);
        let udp = DatagramSocket::open(&self.net, at).map_err(system)?;
        let tcp = self.net.listen(at).map_err(system)?;
        let (udp_zone, log) = (zone.clone(), self.queries.clone());
        let udp_clock = clock.clone();
        self.tasks.spawn(async move {
            let _ = serve_udp(Box::new(udp), udp_zone, udp_clock, log).await;
        });
        let (clock, log) = (clock.clone(), self.queries.clone());
        self.tasks.spawn(async move {
            let _ = serve_tcp(Box::new(tcp), zone, clock, log).await;
        });
        Ok(())
    }
}

/// The date of every run's beginning.
pub fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH.unsigned_abs())
}

/// Where the relay accepts mail.
pub fn relay_address() -> SocketAddr {
    SocketAddr::new(places::RELAY.into(), RELAY_PORT)
}

/// The scenario's neutral words, with names made addresses.
fn settings(
    scenario: &Scenario,
    places: &Places,
    hostname: &str,
    directory: &std::path::Path,
    tls: &TlsMaterial,
) -> Result<Settings, LabError> {
    let asked = &scenario.relay;
    if let Some(to) = asked.auth.as_ref().and_then(|auth| auth.to.as_ref())
        && asked.smarthost.as_ref() != Some(to)
    {
        let why =
            format!("credentials for `{to}` alone, which is not the smart host, cannot be told to a relay");
        return Err(StartError::from(Unsupported(why)).into());
    }
    let mut routes = Vec::new();
    if !serves_origin(scenario) {
        routes.push((ORIGIN.to_owned(), places::MAILBOX_NAME.to_owned()));
    }
    Ok(Settings {
        hostname: hostname.to_owned(),
        listen: relay_address(),
        resolver: SocketAddr::new(places::DNS.into(), 53),
        // A server that hands mail back to the relay is one of its clients that may relay.
        trusted: std::iter::once(places::TRUSTED.into())
            .chain(forwarding::servers(scenario, places).into_values())
            .collect(),
        directory: directory.to_owned(),
        smarthost: asked
            .smarthost
            .as_ref()
            .and_then(|name| places.get(name))
            .map(|placed| placed.hostname.clone()),
        routes,
        auth: asked.auth.as_ref().map(|auth| relay::AuthSettings {
            smarthost_only: auth.to.is_some(),
            user: auth.user.clone(),
            password: auth.password.clone(),
            mechanisms: auth.mechanisms.clone(),
        }),
        tls: match asked.tls {
            None | Some(Tls::Opportunistic) => relay::Tls::Opportunistic,
            Some(Tls::Off) => relay::Tls::Off,
            Some(Tls::Required) => relay::Tls::Required,
            Some(Tls::Dane) => relay::Tls::Dane,
        },
        // Made only where it is needed: a key costs more than a run.
        tls_root: (asked.tls == Some(Tls::Required)).then(|| tls.root_pem()).transpose()?,
        certificate: match asked.offers_tls {
            Some(true) => {
                let (chain, key) = tls.pem(hostname, Certificate::Good)?;
                Some(relay::Certificate { chain, key })
            }
            _ => None,
        },
        retry_first: asked.retry_first,
        retry_at_most: asked.retry_at_most,
        warn: asked.warn,
        lifetime: asked.lifetime,
        size_limit: asked.size_limit,
        reuse: asked.reuse,
        greeting_timeout: asked.greeting_timeout,
        command_timeout: asked.command_timeout,
        end_of_data_timeout: asked.end_of_data_timeout,
    })
}
