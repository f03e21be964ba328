//! A container for one run of a relay: made from an image by the machine's engine, without any network, and gone on drop.
//!
//! It gives the relay's files, its network namespace, its process numbers and its rights. The lab is then made inside
//! ([`lab_init::Layout::container`]), so that adapters, clock and everything else are those of the process driver.

#[cfg(target_os = "linux")]
mod engine;

use super::adapter::Adapter;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Container, check, engine, ready};
#[cfg(target_os = "linux")]
pub use engine::{Container, check, engine, ready};

/// How the images are called that `ci/images.sh` builds: this, and the adapter's name.
const OURS: &str = "gauntlet/";

/// The relays that `ci/images.sh` builds images of: the directories of `ci/images`.
pub const BUILT: [&str; 4] = ["exim", "opensmtpd", "postfix", "sendmail"];

/// What a name begins with that asks for a container: `container:postfix`, `container:./my-relay.yaml=our/relay:1.2`.
pub const PREFIX: &str = "container:";

/// Why there is no container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// Nobody listens there, or nobody that speaks the engine's language.
    #[error("no container engine at {at}: {why}{}", if .why.contains("ermission denied") { NO_RIGHT } else { "" })]
    NoEngine {
        /// Where it was looked for.
        at: String,
        /// What was found.
        why: String,
    },
    /// The containers of this engine are out of reach.
    #[error(
        "the container engine at {0} is not this machine's: a relay's container is entered by its processes. Set DOCKER_HOST \
         to unix:// and the path of the local engine's socket, or unset it"
    )]
    Elsewhere(String),
    /// An image of ours was not built.
    #[error("there is no image {image} here: {}", build_it(.name))]
    NotBuilt {
        /// The image.
        image: String,
        /// The relay, as `ci/images.sh` knows it.
        name: String,
    },
    /// Somebody else's is not to be had.
    #[error("there is no image {image} here, and it cannot be pulled: {why}")]
    NoImage {
        /// The image.
        image: String,
        /// The engine's words.
        why: String,
    },
    /// The engine could not start a container of it.
    #[error("no container of the image {image} could be started: {why}")]
    NotStarted {
        /// The image.
        image: String,
        /// The engine's words.
        why: String,
    },
}

const NO_RIGHT: &str =
    " (this user may not use it: run as root, or add the user to the group that owns the socket)";

/// What to do about an image of ours that is not here.
fn build_it(name: &str) -> String {
    if BUILT.contains(&name) {
        format!("`ci/images.sh {name}` builds it")
    } else {
        "the relay's adapter can name another one (`image:`), or whoever runs it (`container:RELAY=IMAGE`)"
            .to_owned()
    }
}

impl ContainerError {
    /// Whether there is no engine that could be used, whatever is asked of it.
    pub fn is_missing_engine(&self) -> bool {
        matches!(self, Self::NoEngine { .. } | Self::Elsewhere(_))
    }
}

/// A name that asks for a container, without the prefix: the relay's, and the image where one is given.
pub fn asked(name: &str) -> (&str, Option<&str>) {
    name.rsplit_once('=').map_or((name, None), |(relay, image)| (relay, Some(image)))
}

/// The image that an adapter's relay is in, unless another is asked for.
pub fn image_of(adapter: &Adapter) -> String {
    adapter.image.clone().unwrap_or_else(|| format!("{OURS}{}", adapter.name))
}

/// How a relay in a container was asked for; `None`: it is not to be in one.
pub fn choice(adapter: &Adapter) -> Option<String> {
    let image = adapter.container.as_ref()?;
    let path = adapter.path.as_ref();
    let name = path.map_or_else(|| adapter.name.clone(), |path| path.display().to_string());
    let other = if *image == image_of(adapter) { String::new() } else { format!("={image}") };
    Some(format!("{PREFIX}{name}{other}"))
}

/// An image by name and tag, `latest` where none is given. A digest stays with the name.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there are no containers"))]
fn name_and_tag(image: &str) -> (&str, &str) {
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[last..].rfind(':') {
        Some(colon) if !image.contains('@') => (&image[..last + colon], &image[last + colon + 1..]),
        _ => (image, "latest"),
    }
}

/// Where there is no Linux there are no namespaces to enter.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::ContainerError;
    use std::convert::Infallible;

    /// A container: none here.
    pub struct Container(Infallible);

    fn none() -> ContainerError {
        ContainerError::Elsewhere("(this system has no Linux namespaces)".to_owned())
    }

    /// Always an error.
    pub fn engine() -> Result<String, ContainerError> {
        Err(none())
    }

    /// Always an error.
    pub fn check(_image: &str) -> Result<String, ContainerError> {
        Err(none())
    }

    /// Always an error.
    pub fn ready(_image: &str) -> Result<(), ContainerError> {
        Err(none())
    }

    #[allow(missing_docs, clippy::unused_self, reason = "documented with the real one")]
    impl Container {
        pub fn start(_image: &str) -> Result<Self, ContainerError> {
            Err(none())
        }

        pub fn process(&self) -> u32 {
            match self.0 {}
        }

        pub fn image(&self) -> &str {
            match self.0 {}
        }

        pub fn ended(&self) -> Option<String> {
            match self.0 {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_told_from_its_tag_and_from_a_registrys_port() {
        for (image, expected) in [
            ("gauntlet/postfix", ("gauntlet/postfix", "latest")),
            ("debian:bookworm-slim", ("debian", "bookworm-slim")),
            ("here.example:5000/relay", ("here.example:5000/relay", "latest")),
            ("here.example:5000/relay:1.2", ("here.example:5000/relay", "1.2")),
        ] {
            assert_eq!(name_and_tag(image), expected);
        }
    }

    #[test]
    fn an_image_may_be_named_behind_the_relay() {
        assert_eq!(asked("postfix"), ("postfix", None));
        assert_eq!(asked("./my.yaml=our/relay:1.2"), ("./my.yaml", Some("our/relay:1.2")));
    }

    /// One fact, in two files that different programs read.
    #[test]
    fn the_images_have_the_packages_of_the_adapters() {
        let directory = format!("{}/ci/images", env!("CARGO_MANIFEST_DIR"));
        let entries = std::fs::read_dir(&directory).expect("it is there").flatten();
        let mut built: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        built.sort();
        assert_eq!(built, BUILT);
        for name in BUILT {
            let adapter = Adapter::named(name).expect("shipped").expect("it can be read");
            let path = format!("{directory}/{name}/Dockerfile");
            let text = std::fs::read_to_string(&path).expect("it is there");
            assert!(text.contains("\nFROM debian:bookworm-slim\n"), "{path}");
            let install =
                format!("--no-install-recommends ca-certificates {} \\\n", adapter.packages.join(" "));
            assert!(text.contains(&install), "{path} is to install: {}", adapter.packages.join(" "));
        }
    }
}
