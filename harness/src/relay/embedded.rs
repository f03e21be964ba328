//! The embedded relays: the reference relay, and its vintage relatives. They live in the run's own thread, under its
//! clock and in its network.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use mock_servers::RunTime;
use reference_relay::config::{
    Auth, AuthScope, Certificate, Config, Host, Mechanism, Queue, Route, Timeouts, TlsPolicy, Vintage,
};
use reference_relay::environment::{Clock, Disk, Network};
use reference_relay::vintage::{VINTAGES, vintage};
use reference_relay::{RecipientState, Relay};

use super::{BoxFuture, Choice, Driver, Fault, Settings, StartError, Tls, Trouble, Unsupported};
use crate::record::{LogLine, QueueEntry, Role};

/// The name of the relay that is no vintage.
pub const REFERENCE: &str = "reference";

/// Every embedded relay.
pub fn choices() -> Vec<Choice> {
    let reference = Choice { name: REFERENCE, about: "does what the RFCs ask; the default" };
    let vintages = VINTAGES.iter().map(|v| Choice { name: v.name, about: v.description });
    std::iter::once(reference).chain(vintages).collect()
}

/// Whether there is an embedded relay of this name.
pub fn exists(name: &str) -> bool {
    choices().iter().any(|choice| choice.name == name)
}

/// An embedded relay under test.
pub struct Embedded {
    name: String,
    config: Config,
    clock: Arc<dyn Clock>,
    network: Arc<dyn Network>,
    epoch: SystemTime,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    running: Option<Relay>,
    /// Of the instances that have ended.
    log: Vec<LogLine>,
    last_queue: Vec<QueueEntry>,
}

impl Embedded {
    /// Prepares a relay; it does not run yet. `epoch` is the date at which the run's time is zero.
    ///
    /// # Errors
    /// When the relay cannot be told what the settings say.
    pub fn prepare(
        name: &str,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        network: Arc<dyn Network>,
        epoch: SystemTime,
    ) -> Result<Arc<dyn Driver>, StartError> {
        let vintage = if name == REFERENCE {
            Vintage::default()
        } else {
            vintage(name).ok_or_else(|| StartError::Failed {
                relay: name.to_owned(),
                why: "there is no relay of this name; `gauntlet relays` lists them".to_owned(),
            })?
        };
        let config = configure(settings, vintage)?;
        Ok(Arc::new(Self { name: name.to_owned(), config, clock, network, epoch, slot: Mutex::default() }))
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().expect("nobody panics while holding the relay")
    }

    fn run_time(&self, at: SystemTime) -> RunTime {
        RunTime::new(at.duration_since(self.epoch).unwrap_or_default())
    }

    fn entries(&self, relay: &Relay) -> Vec<QueueEntry> {
        let live = relay.queue().into_iter().map(|entry| self.entry(entry, false));
        live.chain(relay.archived().into_iter().map(|entry| self.entry(entry, true))).collect()
    }

    fn entry(&self, entry: reference_relay::QueueEntry, held: bool) -> QueueEntry {
        let mut next = None;
        let mut reasons = Vec::new();
        for recipient in &entry.recipients {
            match &recipient.state {
                RecipientState::Active => {}
                RecipientState::Deferred { next_attempt, reason: why } => {
                    let at = self.run_time(*next_attempt);
                    next = Some(next.map_or(at, |earliest: RunTime| earliest.min(at)));
                    reasons.push((recipient.address.as_str(), why.as_str()));
                }
                RecipientState::Failed { reason: why } => {
                    reasons.push((recipient.address.as_str(), why.as_str()));
                }
            }
        }
        let reason = super::adapter::told_once(&reasons, entry.recipients.len());
        QueueEntry {
            id: entry.id,
            from: entry.sender,
            arrived: self.run_time(entry.arrival),
            recipients: entry.recipients.into_iter().map(|recipient| recipient.address).collect(),
            attempts: Some(entry.attempts),
            next,
            reason,
            held,
        }
    }

    fn lines(&self, relay: &Relay) -> Vec<LogLine> {
        relay.log().into_iter().map(|line| LogLine { at: self.run_time(line.at), text: line.text }).collect()
    }

    /// Takes the running relay out, keeping what it leaves.
    fn take(&self) -> Option<Relay> {
        let mut slot = self.slot();
        let relay = slot.running.take()?;
        slot.last_queue = self.entries(&relay);
        slot.log.extend(self.lines(&relay));
        Some(relay)
    }
}

impl Driver for Embedded {
    fn start(&self) -> BoxFuture<'_, Result<(), StartError>> {
        Box::pin(async {
            let relay = Relay::start(self.config.clone(), self.clock.clone(), self.network.clone())
                .await
                .map_err(|error| StartError::Failed { relay: self.name.clone(), why: error.to_string() })?;
            self.slot().running = Some(relay);
            Ok(())
        })
    }

    fn kill(&self) {
        if let Some(relay) = self.take() {
            relay.kill();
        }
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(relay) = self.take() {
                relay.stop().await;
            }
        })
    }

    fn queue(&self) -> Vec<QueueEntry> {
        let slot = self.slot();
        // One that has died by a panic cannot be asked any more.
        let alive = slot.running.as_ref().filter(|relay| relay.died().is_none());
        alive.map_or_else(|| slot.last_queue.clone(), |relay| self.entries(relay))
    }

    fn log(&self) -> Vec<LogLine> {
        let slot = self.slot();
        let mut log = slot.log.clone();
        log.extend(slot.running.iter().flat_map(|relay| self.lines(relay)));
        log
    }

    fn force_queue_run(&self) -> Result<(), Unsupported> {
        if let Some(relay) = &self.slot().running {
            relay.run_queue();
        }
        Ok(())
    }

    fn due_queue_run(&self) -> Result<(), Unsupported> {
        if let Some(relay) = &self.slot().running {
            relay.run_due();
        }
        Ok(())
    }

    fn died(&self) -> Option<String> {
        self.slot().running.as_ref().and_then(Relay::died)
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn fault(&self, fault: Option<Fault>) -> Result<(), Unsupported> {
        self.config.disk.set_full(fault == Some(Fault::DiskFull));
        Ok(())
    }

    fn trouble(&self) -> Option<Trouble> {
        let doing = || format!("keep the relay's files in {}", self.config.spool.display());
        self.config.disk.trouble().map(|why| Trouble { doing: doing(), why })
    }

    fn role(&self) -> Role {
        Role::Relay
    }
}

/// The settings in the relay's own words.
fn configure(settings: &Settings, vintage: Vintage) -> Result<Config, Unsupported> {
    let queue = Queue::default();
    let timeouts = Timeouts::default();
    Ok(Config {
        hostname: settings.hostname.clone(),
        listen: settings.listen,
        resolver: settings.resolver,
        spool: settings.directory.clone(),
        disk: Disk::default(),
        trusted: settings.trusted.clone(),
        smarthost: settings.smarthost.clone().map(Host::Name),
        routes: settings
            .routes
            .iter()
            .map(|(domain, host)| Route { domain: domain.clone(), via: Host::Name(host.clone()) })
            .collect(),
        postmaster: None,
        auth: settings.auth.as_ref().map(auth).transpose()?,
        tls: match settings.tls {
            Tls::Off => TlsPolicy::Off,
            Tls::Opportunistic => TlsPolicy::Opportunistic,
            Tls::Required => TlsPolicy::Required,
            Tls::Dane => TlsPolicy::Dane,
        },
        certificate: settings
            .certificate
            .as_ref()
            .map(|own| Certificate { chain: own.chain.clone(), key: own.key.clone() }),
        tls_roots: settings.tls_root.iter().cloned().collect(),
        queue: Queue {
            retry_first: settings.retry_first.unwrap_or(queue.retry_first),
            retry_at_most: settings.retry_at_most.unwrap_or(queue.retry_at_most),
            warn: settings.warn.or(queue.warn),
            lifetime: settings.lifetime.unwrap_or(queue.lifetime),
        },
        size_limit: settings.size_limit,
        reuse: settings.reuse.unwrap_or(true),
        chunking: true,
        timeouts: Timeouts {
            greeting: settings.greeting_timeout.unwrap_or(timeouts.greeting),
            command: settings.command_timeout.unwrap_or(timeouts.command),
            rcpt: settings.command_timeout.unwrap_or(timeouts.rcpt),
            data: settings.command_timeout.unwrap_or(timeouts.data),
            end_of_data: settings.end_of_data_timeout.unwrap_or(timeouts.end_of_data),
            ..timeouts
        },
        vintage,
    })
}

fn auth(settings: &super::AuthSettings) -> Result<Auth, Unsupported> {
    let mechanisms = if settings.mechanisms.is_empty() {
        vec![Mechanism::CramMd5, Mechanism::Plain, Mechanism::Login]
    } else {
        settings
            .mechanisms
            .iter()
            .map(|name| match name.to_ascii_uppercase().as_str() {
                "PLAIN" => Ok(Mechanism::Plain),
                "LOGIN" => Ok(Mechanism::Login),
                "CRAM-MD5" => Ok(Mechanism::CramMd5),
                other => Err(Unsupported(format!("the embedded relay does not speak AUTH {other}"))),
            })
            .collect::<Result<_, _>>()?
    };
    Ok(Auth {
        to: if settings.smarthost_only { AuthScope::Smarthost } else { AuthScope::Any },
        user: settings.user.clone(),
        password: settings.password.clone(),
        mechanisms,
    })
}
