//! Takes away the containers of a harness that is gone, however it went.
//!
//! A lab ends with its harness because the kernel ends it. A container belongs to its engine, and outlives a harness that is
//! killed. So a process that outlives the harness too, in a session of its own, holds the end of a pipe: end of file there
//! means that the harness is gone. It then asks the engine, on its Unix socket, for containers with the harness's label, and
//! has them removed.

use crate::error::{Doing, LabError};
use crate::protocol::REAPER;
use serde::Deserialize;
use std::io::{PipeReader, PipeWriter, Read, Write, stdin, stdout};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long the engine may take for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A container that was asked for in the harness's last moment may come after it: so long it is looked for.
const LATE: Duration = Duration::from_secs(5);
/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(100);

/// What the harness tells it: a container will be asked for; one is gone.
const ONE_MORE: u8 = b'+';
const ONE_LESS: u8 = b'-';

/// The harness's hold on the process that takes its containers away. It has nothing to do once every one that was
/// [expected](Reaper::expect) is [gone](Reaper::gone), and ends with this.
#[derive(Debug)]
pub struct Reaper {
    tell: Mutex<PipeWriter>,
    _answers: PipeReader,
}

impl Reaper {
    /// Starts it. `engine` is the path of the engine's socket, `label` what all containers of this harness have
    /// (`org.example.session=1234`).
    pub fn start(engine: &Path, label: &str) -> Result<Self, LabError> {
        let doing = || "starting the process that takes containers away".to_owned();
        let (told, tell) = std::io::pipe().doing(doing)?;
        let (mut answers, ready) = std::io::pipe().doing(doing)?;
        let engine =
            engine.to_str().ok_or_else(|| LabError::told(doing(), "the engine's path is not UTF-8"))?;
        let mut child = Command::new("/proc/self/exe")
            .arg0(REAPER)
            .args([engine, label])
            .env_clear()
            .stdin(Stdio::from(told))
            .stdout(Stdio::from(ready))
            .stderr(Stdio::null())
            .spawn()
            .doing(doing)?;
        // It is in its own session then: what ends the harness's does not reach it.
        answers.read_exact(&mut [0]).doing(doing)?;
        // It ends after the harness, or, with nothing left to do, at a drop.
        std::thread::spawn(move || child.wait());
        Ok(Self { tell: Mutex::new(tell), _answers: answers })
    }

    /// A container with the label is about to be asked for. To be told before.
    pub fn expect(&self) -> Result<(), LabError> {
        self.say(ONE_MORE)
    }

    /// One that was expected is gone, or never came.
    pub fn gone(&self) {
        // Where it is gone itself there is nobody to be told.
        let _ = self.say(ONE_LESS);
    }

    fn say(&self, word: u8) -> Result<(), LabError> {
        let mut tell = self.tell.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tell.write_all(&[word]).doing(|| "telling the process that takes containers away".to_owned())
    }
}

/// The process itself.
pub(crate) fn reap() -> Result<(), LabError> {
    let doing = || "taking containers away".to_owned();
    rustix::process::setsid().doing(doing)?;
    let mut arguments = std::env::args().skip(1);
    let (Some(engine), Some(label)) = (arguments.next(), arguments.next()) else {
        return Err(LabError::told(doing(), "an argument is missing"));
    };
    stdout().write_all(b"!").and_then(|()| stdout().flush()).doing(doing)?;
    let mut left = 0_u64;
    let mut chunk = [0; 4096];
    // An error ends it like the end of file: the harness is not there any more.
    while let Ok(length @ 1..) = stdin().read(&mut chunk) {
        for word in &chunk[..length] {
            left = if *word == ONE_MORE { left + 1 } else { left.saturating_sub(1) };
        }
    }
    if left == 0 {
        return Ok(());
    }
    let mut until = Instant::now() + LATE;
    loop {
        // The engine may be busy, or starting again.
        let removed = remove_all(Path::new(&engine), &label).unwrap_or_default();
        left = left.saturating_sub(removed);
        if removed > 0 {
            until = Instant::now() + LATE;
        }
        if left == 0 || Instant::now() > until {
            return Ok(());
        }
        std::thread::sleep(BETWEEN);
    }
}

/// One of the engine's list.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
}

/// Removes every container with this label; how many there were.
fn remove_all(engine: &Path, label: &str) -> Result<u64, LabError> {
    let doing = || "asking the engine for containers".to_owned();
    let filters = escaped(&format!(r#"{{"label":["{label}"]}}"#));
    let list = ask(engine, "GET", &format!("/containers/json?all=1&filters={filters}"))?;
    let listed: Vec<Listed> =
        serde_json::from_slice(&list).map_err(|error| LabError::told(doing(), error.to_string()))?;
    let mut removed = 0;
    for one in listed {
        if ask(engine, "DELETE", &format!("/containers/{}?force=1&v=1", one.id)).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

/// One request by HTTP/1.0, whose answer ends with the connection; an error unless it succeeds.
fn ask(engine: &Path, method: &str, path: &str) -> Result<Vec<u8>, LabError> {
    let doing = || format!("asking the engine at {}", engine.display());
    let mut stream = UnixStream::connect(engine).doing(doing)?;
    stream.set_read_timeout(Some(PATIENCE)).doing(doing)?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: engine\r\n\r\n").doing(doing)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).doing(doing)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| LabError::told(doing(), text(&answer)))?;
    let body = answer.split_off(end + 4);
    let status = text(&answer).split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0_u16);
    if (200..300).contains(&status) { Ok(body) } else { Err(LabError::told(doing(), text(&body))) }
}

/// Percent-encoded, whatever is no letter or digit (RFC 3986 section 2.1).
fn escaped(text: &str) -> String {
    let octet = |octet: u8| {
        if octet.is_ascii_alphanumeric() { (octet as char).to_string() } else { format!("%{octet:02X}") }
    };
    text.bytes().map(octet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    /// An engine that has one container, and says what it was asked.
    fn engine(listener: &UnixListener, requests: usize) -> Vec<String> {
        let mut asked = Vec::new();
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            asked.push(lines.next().unwrap());
            let _ = lines.find(String::is_empty);
            let answer = if asked.last().unwrap().starts_with("GET") {
                "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[{\"Id\":\"abc\",\"Names\":[]}]"
            } else {
                "HTTP/1.0 204 No Content\r\n\r\n"
            };
            stream.write_all(answer.as_bytes()).unwrap();
        }
        asked
    }

    #[test]
    fn a_harness_that_goes_has_its_containers_removed() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let reaper = Reaper::start(&socket, "session=1a").unwrap();
        reaper.expect().unwrap();
        reaper.expect().unwrap();
        reaper.gone();
        drop(reaper);
        let asked = engine(&listener, 2);
        assert_eq!(
            asked,
            [
                "GET /containers/json?all=1&filters=%7B%22label%22%3A%5B%22session%3D1a%22%5D%7D HTTP/1.0",
                "DELETE /containers/abc?force=1&v=1 HTTP/1.0"
            ]
        );
    }

    #[test]
    fn with_nothing_left_the_engine_is_not_asked() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let reaper = Reaper::start(&socket, "session=1a").unwrap();
        reaper.expect().unwrap();
        reaper.gone();
        let Reaper { tell, _answers: mut answers } = reaper;
        drop(tell);
        // Its end.
        assert_eq!(answers.read(&mut [0]).unwrap(), 0);
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err());
    }
}
