//! The harness inside an ordinary container, with the two rights that a lab needs, and without them.
//!
//! Needs Docker, and the root of postfix that `ci/relay-roots.sh` prepares: it is the container's file system. Where either is missing
//! the test says so and is skipped.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// An image of the test's own, which goes with it.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", "--force", &self.0]).output();
    }
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

fn root_of_postfix() -> Result<PathBuf, String> {
    let adapter = gauntlet::relay::adapter::Adapter::named("postfix").expect("it comes with the harness");
    let root = gauntlet::relay::roots::root(&adapter.expect("it can be read"))?;
    if root == Path::new("/") { Err("postfix has no prepared root".to_owned()) } else { Ok(root) }
}

/// The image, or why there is none.
fn image() -> Result<Image, String> {
    let asked = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    match asked {
        Err(error) => return Err(format!("no container engine: {error}")),
        Ok(asked) if !asked.status.success() => {
            return Err(format!("no container engine: {}", told(&asked).trim()));
        }
        Ok(_) => {}
    }
    let root = root_of_postfix()?;
    let image = Image(format!("gauntlet-inside-{}", std::process::id()));
    let mut tar =
        Command::new("tar").arg("-C").arg(&root).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
    let files = tar.stdout.take().unwrap();
    let made = Command::new("docker").args(["import", "-", &image.0]).stdin(files).output().unwrap();
    assert!(tar.wait().unwrap().success() && made.status.success(), "{}", told(&made));
    Ok(image)
}

#[test]
fn labs_are_made_inside_a_container_that_has_the_rights() {
    let image = match image() {
        Ok(image) => image,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let run = |rights: &[&str], arguments: &[&str]| {
        let mut docker = Command::new("docker");
        docker.args(["run", "--rm", "--network", "none"]).args(rights);
        docker.arg("--volume").arg(format!("{}:/gauntlet:ro", env!("CARGO_BIN_EXE_gauntlet")));
        docker.arg("--volume").arg(format!("{}:/scenarios:ro", scenarios.display()));
        docker.args([&image.0, "/gauntlet"]).args(arguments).output().unwrap()
    };
    let scenario = ["run", "--relay", "postfix", "/scenarios/seeds/ehlo-refused-421.yaml"];
    let with = run(
        &["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--security-opt", "apparmor=unconfined"],
        &scenario,
    );
    if told(&with).contains("GLIBC_") {
        eprintln!("skipped: built here against a newer C library than the container's");
        return;
    }
    assert_eq!(with.status.code(), Some(0), "{}", told(&with));
    assert!(
        told(&with).contains("retried after 30m") && told(&with).contains("1 run: 1 pass"),
        "{}",
        told(&with)
    );

    for (rights, missing) in [(&[][..], "SYS_ADMIN"), (&["--cap-add", "SYS_ADMIN"][..], "NET_ADMIN")] {
        let without = run(rights, &scenario);
        assert_eq!(without.status.code(), Some(3), "{}", told(&without));
        let help = format!("the right {missing} is missing");
        assert!(
            told(&without).contains(&help) && told(&without).contains("docker run --cap-add"),
            "{}",
            told(&without)
        );
        // The relays that are built in need no rights.
        assert_eq!(run(rights, &["run", "/scenarios/seeds/ehlo-refused-421.yaml"]).status.code(), Some(0));
    }
}
