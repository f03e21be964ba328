//! Where a real relay's files come from: a root that `ci/relay-roots.sh` prepared, or this machine's own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ring::digest;

use super::adapter::Adapter;

/// What makes the roots. A root's record has the sum of it, so that one made by another state of it is known.
const RECIPE: &str = include_str!("../../../ci/relay-roots.sh");

/// What a root says of itself, below it.
const RECORD: &str = "etc/gauntlet-root";

/// Where a relay is, and where it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// Where its prepared root is, or would be; `None`: there is no directory for roots.
    pub prepared: Option<PathBuf>,
    /// What a lab is made from; `None`: it is nowhere.
    pub root: Option<PathBuf>,
}

/// What a prepared root was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Whether it would be made in the same way today, but for newer packages.
    pub is_up_to_date: bool,
    /// The adapter's packages, each with its version.
    pub packages: Vec<(String, String)>,
}

/// Looks for a relay: its prepared root comes first.
pub fn find(adapter: &Adapter) -> Whereabouts {
    let prepared = all().map(|roots| roots.join(&adapter.name));
    let below = |root: &Path| root.join(adapter.provides.strip_prefix("/").unwrap_or(&adapter.provides));
    // A program just built is brought to whatever root there is.
    let brought = adapter.program().is_some_and(Path::is_file);
    let here = || (brought || adapter.provides.exists()).then(|| PathBuf::from("/"));
    let root = prepared.clone().filter(|root| below(root).exists() || brought && root.is_dir()).or_else(here);
    Whereabouts { prepared, root }
}

/// What a lab of this relay is made from.
///
/// # Errors
/// Where it is nowhere; says what to do.
pub fn root(adapter: &Adapter) -> Result<PathBuf, String> {
    let Whereabouts { prepared, root } = find(adapter);
    root.ok_or_else(|| {
        let way_out = match command(adapter) {
            None if adapter.program().is_some() => "build it".to_owned(),
            None => "install it, or have its adapter name its packages (`install:`)".to_owned(),
            Some(command) => format!("`{command}` prepares a root, as root"),
        };
        format!("there is {}; {way_out}", nowhere(adapter, prepared.as_deref()))
    })
}

/// Where a relay was looked for, and is not.
pub fn nowhere(adapter: &Adapter, prepared: Option<&Path>) -> String {
    if let Some(program) = adapter.program() {
        return format!("no {}, which its adapter has for {}", program.display(), adapter.provides.display());
    }
    let prepared =
        prepared.map_or_else(String::new, |root| format!("no prepared root in {}, and ", root.display()));
    format!("{prepared}no {} on this machine", adapter.provides.display())
}

/// The command that prepares its root; `None`: its adapter names no packages.
pub fn command(adapter: &Adapter) -> Option<String> {
    let asked = adapter.path.as_ref().map_or_else(|| adapter.name.clone(), |path| path.display().to_string());
    (!adapter.packages.is_empty()).then(|| format!("ci/relay-roots.sh {asked}"))
}

/// What its prepared root says of itself; `None`: nothing, for somebody else made it.
pub fn made(adapter: &Adapter, root: &Path) -> Option<Made> {
    let record = std::fs::read_to_string(root.join(RECORD)).ok()?;
    let of = |key: &str| {
        let values = record.lines().map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        values.flatten().map(str::to_owned).collect::<Vec<String>>()
    };
    let recipe = recipe(&adapter.packages);
    let packages = of("package").into_iter().filter_map(|line| {
        let (package, version) = line.split_once(' ')?;
        Some((package.to_owned(), version.to_owned()))
    });
    Some(Made { is_up_to_date: of("recipe").contains(&recipe), packages: packages.collect() })
}

/// The sum that `ci/relay-roots.sh` keeps of itself and the packages.
fn recipe(packages: &[String]) -> String {
    let text = format!("{RECIPE}{}\n", packages.join(" "));
    let sum = digest::digest(&digest::SHA256, text.as_bytes());
    sum.as_ref().iter().fold(String::new(), |mut hex, octet| {
        // A text takes all that is written to it.
        let _ = write!(hex, "{octet:02x}");
        hex
    })
}

/// Where prepared roots are: `GAUNTLET_ROOTS`, or the user's cache.
fn all() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    set("GAUNTLET_ROOTS").or_else(|| Some(cache()?.join("gauntlet/roots")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter() -> Adapter {
        let text = "about: x\ninstall: { debian: [our-relay, our-modules] }\nprovides: /usr/sbin/our-relay\n\
                    version: x\nstart: x\nqueue: { list: x }\n";
        Adapter::parse("our-relay", "our-relay.yaml", text).unwrap()
    }

    /// The record of a root, made by this recipe.
    fn root_with(recipe: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let record =
            format!("relay: our-relay\nrecipe: {recipe}\npackage: our-modules 2\npackage: our-relay 1.2-3\n");
        std::fs::write(root.path().join(RECORD), record).unwrap();
        root
    }

    /// The sum is the one that the script writes: by the same tools.
    #[test]
    fn a_root_is_up_to_date_by_the_scripts_own_sum() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/relay-roots.sh");
        let sum = std::process::Command::new("sh")
            .args([
                "-c",
                "{ cat \"$0\"; printf '%s\\n' 'our-relay our-modules'; } | sha256sum | cut -d' ' -f1",
            ])
            .arg(script)
            .output()
            .unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        let made = made(&adapter(), root_with(sum.trim()).path()).unwrap();
        assert!(made.is_up_to_date, "{sum}");
        let versions = [("our-modules", "2"), ("our-relay", "1.2-3")];
        assert_eq!(made.packages, versions.map(|(name, version)| (name.to_owned(), version.to_owned())));
    }

    #[test]
    fn a_root_of_another_recipe_is_out_of_date_and_one_without_a_record_says_nothing() {
        let root = root_with("0123");
        assert!(!made(&adapter(), root.path()).unwrap().is_up_to_date);
        assert_eq!(made(&adapter(), root.path().join("elsewhere").as_path()), None);
    }
}
