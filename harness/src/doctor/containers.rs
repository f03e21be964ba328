//! Relays in containers: whether there is an engine, whether a lab can be made in one of its containers, and which images are here.

use std::time::{Duration, Instant};

use lab_init::{Lab, Layout};

use super::{CONTAINERS, Check, State, check};
use crate::relay::adapter::Adapter;
use crate::relay::container::{self, Container, ContainerError};

/// What a machine has for relays in containers.
#[derive(Debug, Clone)]
pub struct Containers {
    /// The engine, by version and place.
    pub engine: Result<String, ContainerError>,
    /// How long it took to start a container, make a lab in it and take both away, or why there is none; `None`: without an
    /// image that cannot be tried.
    pub container: Option<Result<Duration, String>>,
    /// The relays that were asked about.
    pub images: Vec<Image>,
}

/// A relay in a container.
#[derive(Debug, Clone)]
pub struct Image {
    /// The relay's name.
    pub relay: String,
    /// How it is asked for: `container:postfix`.
    pub choice: String,
    /// Its image.
    pub image: String,
    /// Whether it is here.
    pub found: Result<(), ContainerError>,
}

/// Looks for the engine, and for the images of these relays; makes a container of the first that is here, and a lab in it.
pub(super) fn look(relays: &[Adapter]) -> Containers {
    let engine = container::engine();
    let images: Vec<Image> = relays
        .iter()
        .filter_map(|adapter| {
            let image = adapter.container.clone()?;
            Some(Image {
                relay: adapter.name.clone(),
                choice: container::choice(adapter)?,
                found: container::check(&image).map(drop),
                image,
            })
        })
        .collect();
    let first = images.iter().find(|image| image.found.is_ok());
    let container = first.filter(|_| engine.is_ok()).map(|image| make(&image.image));
    Containers { engine, container, images }
}

fn make(image: &str) -> Result<Duration, String> {
    let began = Instant::now();
    let container = Container::start(image).map_err(|error| error.to_string())?;
    let layout = Layout { container: Some(container.process()), ..Layout::default() };
    let lab = Lab::start(&layout).map_err(|error| container.ended().unwrap_or_else(|| error.to_string()))?;
    lab.stop().map_err(|error| error.to_string())?;
    drop(container);
    Ok(began.elapsed())
}

/// What that means.
pub(super) fn checks(facts: &Containers) -> Vec<Check> {
    let mut checks = vec![match &facts.engine {
        Ok(engine) => check(CONTAINERS, "engine", State::Ok, engine.clone()),
        Err(error) => {
            let mend =
                "install Docker (sudo apt-get install docker.io), start it, and run as root".to_owned();
            Check { mend: Some(mend), ..check(CONTAINERS, "engine", State::Missing, error.to_string()) }
        }
    }];
    if facts.engine.is_err() {
        return checks;
    }
    checks.extend(facts.container.as_ref().map(|made| match made {
        Ok(took) => {
            let says =
                format!("one was started, a lab made in it, and both taken away in {} ms", took.as_millis());
            check(CONTAINERS, "a container", State::Ok, says)
        }
        Err(why) => check(CONTAINERS, "a container", State::Missing, why.clone()),
    }));
    checks.extend(facts.images.iter().map(|image| match &image.found {
        Ok(()) => check(CONTAINERS, &image.relay, State::Ok, format!("image {}", image.image)),
        Err(error) => {
            let mend = match error {
                ContainerError::NotBuilt { name, .. } => Some(format!("ci/images.sh {name}")),
                _ => None,
            };
            Check {
                mend,
                ..check(CONTAINERS, &image.relay, State::Missing, format!("no image {}", image.image))
            }
        }
    }));
    checks
}

impl Containers {
    /// Each relay that was asked about, and whether it can be run in a container.
    pub(super) fn can_run(&self) -> impl Iterator<Item = (&str, bool)> {
        let works = matches!(self.container, Some(Ok(_)));
        self.images.iter().map(move |image| (image.choice.as_str(), works && image.found.is_ok()))
    }
}
