//! A scenario's servers and its DNS by themselves, for any relay, in real time.

use std::sync::Arc;
use std::time::SystemTime;

use mock_servers::RunTime;
use mock_servers::dns::QueryLog;
use mock_servers::environment::Clock;
use mock_servers::environment::real::RealClock;
use mock_servers::script::Script;
use mock_servers::smtp::server::{Environment, Server};
use mock_servers::smtp::tls::TlsMaterial;
use mock_servers::transcript::Recorder;
use tokio::task::JoinSet;

use super::outside::Outside;
use super::places::{ORIGIN, Places};
use super::plan::{Plan, Who};
use super::wires::Wires;
use super::world::{LabError, start_dns, system};
use super::zone::zone;
use crate::relay::serving::{Public, Serving};
use crate::scenario::{Reach, Scenario, origin_mailbox};

/// Servers that stand until this is dropped. To be made, and dropped, on a thread with a runtime, which carries them.
pub struct Stand {
    /// Who stands where.
    pub plan: Arc<Plan>,
    /// What the servers write down.
    pub recorder: Recorder,
    /// What the DNS server was asked.
    pub queries: QueryLog,
    /// The relay's name in the DNS.
    pub hostname: String,
    /// The date at which time is zero.
    pub epoch: SystemTime,
    clock: Arc<dyn Clock>,
    tls: Arc<TlsMaterial>,
    tasks: JoinSet<()>,
    /// Holds the addresses that hang.
    _wires: Wires,
}

/// Why nothing stands.
#[derive(Debug, thiserror::Error)]
pub enum StandError {
    /// It would be public.
    #[error(transparent)]
    Public(#[from] Public),
    /// There is no place for everyone.
    #[error("{0}")]
    Plan(String),
    /// As in a run.
    #[error(transparent)]
    Lab(#[from] LabError),
}

impl Stand {
    /// Stands them up: whoever calls after this is answered. Servers without a place here are left out; the plan tells.
    ///
    /// # Errors
    /// When an address is public and that was not said to be meant, or cannot be listened at.
    pub fn new(scenario: &Scenario, serving: &Serving) -> Result<Self, StandError> {
        serving.check()?;
        let plan = Arc::new(Plan::new(scenario, serving, None).map_err(StandError::Plan)?);
        let wires = Wires::Outside(Outside::new(plan.clone(), None));
        let epoch = SystemTime::now();
        let clock: Arc<dyn Clock> = Arc::new(RealClock::start());
        let tls = Arc::new(TlsMaterial::new(epoch));
        let (recorder, queries) = (Recorder::default(), QueryLog::default());
        // There is nobody to hand mail back to: servers that forward it keep it.
        let environment = Environment {
            clock: clock.clone(),
            recorder: recorder.clone(),
            tls: tls.clone(),
            forwarder: None,
        };
        let mut tasks = JoinSet::new();

        let hostname = scenario.relay.hostname.clone().unwrap_or_else(|| format!("relay.{ORIGIN}"));
        let mut zone = zone(scenario, &Places::new(scenario), &hostname, &tls).map_err(LabError::Dns)?;
        zone.readdress(|address| plan.address(address));
        start_dns(&wires, zone, &clock, &queries, &mut tasks)?;
        for script in scripts(scenario, &plan) {
            let name = script.name.clone();
            let server = Server::new(Arc::new(script), environment.clone());
            let own = plan.rows.iter().filter(|row| row.here.is_some() && row.who == of(scenario, &name));
            for row in own {
                match row.reach {
                    Reach::Good => {
                        let listener = wires.listen(row.scenario).map_err(system("stand a server up"))?;
                        let serving = server.clone().serve(listener, row.scenario);
                        tasks.spawn(async move {
                            // Only a listener that failed gets here, and callers are refused.
                            let _ = serving.await;
                        });
                    }
                    Reach::Refused => {}
                    Reach::Filtered => {
                        wires.filter(row.scenario).map_err(system("make an address hang"))?;
                    }
                }
            }
        }
        Ok(Self { plan, recorder, queries, hostname, epoch, clock, tls, tasks, _wires: wires })
    }

    /// The present moment.
    pub fn now(&self) -> RunTime {
        self.clock.now()
    }

    /// The certificate authority of the servers' certificates, PEM.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn authority(&self) -> Result<String, LabError> {
        Ok(self.tls.root_pem()?)
    }

    /// Passes on the panic of a server, if there was one: it is a defect of ours and must not look like a relay's.
    pub fn check(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

/// The scenario's servers, and the senders' mailbox where it has none of its own.
fn scripts(scenario: &Scenario, plan: &Plan) -> Vec<Script> {
    let mut scripts: Vec<Script> = scenario.servers.iter().map(|server| server.script.clone()).collect();
    if plan.rows.iter().any(|row| row.who == Who::Mailbox) {
        scripts.push(origin_mailbox(scenario));
    }
    scripts
}

fn of(scenario: &Scenario, name: &str) -> Who {
    let is_server = scenario.server(name).is_some();
    if is_server { Who::Server(name.to_owned()) } else { Who::Mailbox }
}
