//! The machine's container engine, by testcontainers: one thread of this process talks to it.

use std::future::Future;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use lab_init::Reaper;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::bollard::query_parameters::RemoveContainerOptionsBuilder;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};
use tokio::runtime::Runtime;

use super::{ContainerError, OURS, name_and_tag};

/// Where the engine is unless `DOCKER_HOST` says otherwise.
const SOCKET: &str = "unix:///var/run/docker.sock";
/// How long the engine may take for a question, and for a container's start or end. These guard.
const ANSWER: Duration = Duration::from_secs(10);
const WORK: Duration = Duration::from_mins(2);
/// What all containers of this process have, with a value of its own.
const SESSION: &str = "org.gauntlet.session";
/// The number of this process.
const HARNESS: &str = "org.gauntlet.harness";
/// What keeps a container running: adapters need a shell in any case.
const SHELL: &str = "/bin/sh";
const WAIT: [&str; 2] = ["-c", "exec sleep 2147483647"];

/// The engine's version and place, once it has answered. It is asked once.
///
/// # Errors
/// When there is none, this user may not use it, or it is not this machine's.
pub fn engine() -> Result<String, ContainerError> {
    Engine::get().map(|engine| format!("{} at {}", engine.version, engine.at))
}

/// What identifies an image that is here: it is another one when it was built anew.
///
/// # Errors
/// When there is no engine, or no such image.
pub fn check(image: &str) -> Result<String, ContainerError> {
    let engine = Engine::get()?;
    let name = image.to_owned();
    let found = engine.ask(ANSWER, async move {
        let (image, tag) = name_and_tag(&name);
        docker().await?.inspect_image(&format!("{image}:{tag}")).await.map_err(|error| error.to_string())
    });
    match found {
        Ok(found) => Ok(found.id.unwrap_or_default()),
        Err(why) => Err(match image.strip_prefix(OURS) {
            Some(name) => ContainerError::NotBuilt { image: image.to_owned(), name: name.to_owned() },
            None => ContainerError::NoImage { image: image.to_owned(), why },
        }),
    }
}

/// Whether a container of this image can be asked for: one of somebody else's may still have to be pulled.
///
/// # Errors
/// When there is no engine, or an image of ours was not built.
pub fn ready(image: &str) -> Result<(), ContainerError> {
    engine()?;
    if image.starts_with(OURS) { check(image).map(drop) } else { Ok(()) }
}

/// The engine, and what takes this process's containers away when it is killed.
struct Engine {
    /// One thread; whoever asks waits for its answer on a channel, inside another runtime or not.
    runtime: Runtime,
    at: String,
    version: String,
    session: String,
    /// How many containers were asked for.
    count: AtomicU32,
    reaper: Reaper,
}

impl Engine {
    fn get() -> Result<&'static Self, ContainerError> {
        static ENGINE: OnceLock<Result<Engine, ContainerError>> = OnceLock::new();
        ENGINE.get_or_init(Self::find).as_ref().map_err(Clone::clone)
    }

    fn find() -> Result<Self, ContainerError> {
        let at = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let at = at.unwrap_or_else(|| SOCKET.to_owned());
        let none = |why: String| ContainerError::NoEngine { at: at.clone(), why };
        let socket =
            PathBuf::from(at.strip_prefix("unix://").ok_or_else(|| ContainerError::Elsewhere(at.clone()))?);
        // Its words are clearer than those of who speaks HTTP over it.
        match std::os::unix::net::UnixStream::connect(&socket) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(none("there is no such socket".to_owned()));
            }
            Err(error) => return Err(none(error.to_string())),
            Ok(_) => {}
        }
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("containers").enable_all().build();
        let runtime = runtime.map_err(|error| none(error.to_string()))?;
        let version = ask(&runtime, ANSWER, async {
            docker().await?.version().await.map_err(|error| error.to_string())
        });
        let version = version.map_err(none)?.version.unwrap_or_else(|| "an engine".to_owned());
        let session = session();
        let reaper = Reaper::start(&socket, &format!("{SESSION}={session}"))
            .map_err(|error| ContainerError::NoEngine { at: at.clone(), why: error.to_string() })?;
        Ok(Self { runtime, at, version, session, count: AtomicU32::new(0), reaper })
    }

    /// Removes a container by its name, if there is one, and tells the reaper.
    fn remove(&self, name: &str) -> Result<(), String> {
        let name = name.to_owned();
        self.ask(WORK, async move {
            let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            match docker().await?.remove_container(&name, Some(force)).await {
                Ok(()) | Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })?;
        self.reaper.gone();
        Ok(())
    }

    /// By which a user finds a container, and this process one that the engine has not told the number of.
    fn next_name(&self) -> String {
        format!("gauntlet-{}-{}", self.session, self.count.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn ask<T: Send + 'static>(
        &self,
        within: Duration,
        answer: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> Result<T, String> {
        ask(&self.runtime, within, answer)
    }
}

/// Has the engine's thread do something, and waits for it.
fn ask<T: Send + 'static>(
    runtime: &Runtime,
    within: Duration,
    answer: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    let (tell, told) = mpsc::channel();
    runtime.spawn(async move {
        let answer = tokio::time::timeout(within, answer).await;
        // Whoever asked has waited at least as long.
        let _ = tell.send(answer.unwrap_or_else(|_| Err(format!("no answer for {within:?}"))));
    });
    told.recv().unwrap_or_else(|_| Err("the thread that talks to the engine has panicked".to_owned()))
}

async fn docker() -> Result<Docker, String> {
    docker_client_instance().await.map_err(|error| error.to_string())
}

/// A value that no other process has: its number, and when it asked.
fn session() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", std::process::id(), now.as_nanos())
}

/// A running container, without a network. It is removed when it is dropped, or when this process is gone.
pub struct Container {
    engine: &'static Engine,
    name: String,
    /// `None` once it is being removed.
    handle: Mutex<Option<ContainerAsync<GenericImage>>>,
    image: String,
    process: u32,
    /// Becomes readable when its first process has ended.
    alive: OwnedFd,
}

impl Container {
    /// Starts one of an image. One that is not here, and not of those that `ci/images.sh` builds, is pulled.
    ///
    /// # Errors
    /// When there is no engine or image, or the engine cannot start it.
    pub fn start(image: &str) -> Result<Self, ContainerError> {
        ready(image)?;
        let engine = Engine::get()?;
        let not_started = |why: String| ContainerError::NotStarted { image: image.to_owned(), why };
        engine.reaper.expect().map_err(|error| not_started(error.to_string()))?;
        let name = engine.next_name();
        let (image_name, tag) = name_and_tag(image);
        let request = GenericImage::new(image_name, tag)
            .with_entrypoint(SHELL)
            .with_cmd(WAIT)
            .with_container_name(&name)
            .with_network("none")
            .with_user("0")
            .with_label(SESSION, &engine.session)
            .with_label(HARNESS, std::process::id().to_string());
        let started = engine.ask(WORK, async move {
            let container = request.start().await.map_err(|error| words(&error))?;
            let found = docker().await?.inspect_container(container.id(), None).await;
            let process = found.map_err(|error| error.to_string())?.state.and_then(|state| state.pid);
            Ok((container, process.and_then(|process| u32::try_from(process).ok()).unwrap_or_default()))
        });
        let (container, process) = started.map_err(|why| {
            // One that was made and could not be started is still there.
            let _ = engine.remove(&name);
            if why.contains("failed to pull") {
                return ContainerError::NoImage { image: image.to_owned(), why };
            }
            let hint = if why.contains(SHELL) { ": the image has no /bin/sh" } else { "" };
            not_started(format!("{why}{hint}"))
        })?;
        let id = container.id().to_owned();
        let process_there = Pid::from_raw(process.cast_signed()).filter(|_| is_of(process, &id));
        let alive = process_there.and_then(|process| pidfd_open(process, PidfdFlags::empty()).ok());
        let Some(alive) = alive else {
            let _ = engine.ask(WORK, async move { container.rm().await.map_err(|error| words(&error)) });
            let _ = engine.remove(&name);
            return Err(ContainerError::Elsewhere(engine.at.clone()));
        };
        let handle = Mutex::new(Some(container));
        Ok(Self { engine, name, handle, image: image.to_owned(), process, alive })
    }

    /// Its first process, as this machine numbers it.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// What it was made of.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// How it came to its end, if it has: somebody else ended it.
    pub fn ended(&self) -> Option<String> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&self.alive, PollFlags::IN)], Some(&now)).unwrap_or_default();
        if ready == 0 {
            return None;
        }
        let name = self.name.clone();
        let state = self.engine.ask(ANSWER, async move {
            let found = docker().await?.inspect_container(&name, None).await;
            match found {
                Ok(found) => Ok(found.state),
                Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        });
        let how = match state {
            Ok(Some(state)) if state.oom_killed == Some(true) => "out of memory".to_owned(),
            Ok(Some(state)) => state.exit_code.map_or_else(String::new, |code| format!("exit code {code}")),
            Ok(None) => "and removed".to_owned(),
            Err(why) => format!("the engine says: {why}"),
        };
        Some(format!("the container {} of {} was ended from outside ({how})", self.name, self.image))
    }

    fn handle(&self) -> MutexGuard<'_, Option<ContainerAsync<GenericImage>>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let Some(container) = self.handle().take() else { return };
        let removed =
            self.engine.ask(WORK, async move { container.rm().await.map_err(|error| words(&error)) });
        match removed {
            Ok(()) => self.engine.reaper.gone(),
            // Somebody else has, or it is tried once more. What is there still is left to the reaper, at this process's end.
            Err(_) => drop(self.engine.remove(&self.name)),
        }
    }
}

/// Whether this machine has that process, and it is the container's: an engine may be in a machine of its own.
fn is_of(process: u32, id: &str) -> bool {
    let groups = Path::new("/proc").join(process.to_string()).join("cgroup");
    std::fs::read_to_string(groups).is_ok_and(|groups| groups.contains(id))
}

/// An error with its causes, each of which may say what the one above it does not.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
