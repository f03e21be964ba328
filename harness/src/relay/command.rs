//! Commands of an adapter that are run on this machine itself, as who runs the harness.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Between two looks at a command that runs.
const BETWEEN: Duration = Duration::from_millis(2);

/// Runs a script to its end; what it printed. The task that waits for it can be dropped meanwhile, which ends the script.
///
/// # Errors
/// When it does not start, does not end in time, or ends with another status than 0: in words that name it.
pub(super) async fn ask(script: &str, patience: Duration) -> Result<String, String> {
    let mut asked = Asked::begin(script)?;
    let deadline = Instant::now() + patience;
    let ended = loop {
        match asked.ended(deadline, patience) {
            Some(ended) => break ended,
            None => tokio::time::sleep(BETWEEN).await,
        }
    };
    asked.answer(ended, deadline)
}

/// The same where there is nobody else to go on meanwhile.
pub(super) fn ask_now(script: &str, patience: Duration) -> Result<String, String> {
    let mut asked = Asked::begin(script)?;
    let deadline = Instant::now() + patience;
    let ended = loop {
        match asked.ended(deadline, patience) {
            Some(ended) => break ended,
            None => std::thread::sleep(BETWEEN),
        }
    };
    asked.answer(ended, deadline)
}

/// A script that runs. Dropped, it and what it has started are gone.
struct Asked {
    child: Child,
    /// What comes of its standard output, and of its standard error.
    reading: [mpsc::Receiver<Vec<u8>>; 2],
    first_line: String,
}

impl Asked {
    fn begin(script: &str) -> Result<Self, String> {
        let first_line = script.trim().lines().next().unwrap_or_default().to_owned();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: it is ended as a whole, and Ctrl-C at the terminal is for the harness alone.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| format!("`{first_line}`: {error}"))?;
        let reading = [reading(child.stdout.take()), reading(child.stderr.take())];
        Ok(Self { child, reading, first_line })
    }

    /// How it has ended, or that it is not waited for any longer.
    fn ended(&mut self, deadline: Instant, patience: Duration) -> Option<Result<ExitStatus, String>> {
        match self.child.try_wait() {
            Ok(Some(status)) => Some(Ok(status)),
            Ok(None) if Instant::now() < deadline => None,
            Ok(None) => Some(Err(format!("it still runs after {patience:?}"))),
            Err(error) => Some(Err(error.to_string())),
        }
    }

    fn answer(self, ended: Result<ExitStatus, String>, deadline: Instant) -> Result<String, String> {
        let status = ended.map_err(|why| format!("`{}`: {why}", self.first_line))?;
        // Something that it has left behind may hold the other end for as long as it likes.
        let [out, complaints] = self.reading.each_ref().map(|told| {
            let left = deadline.saturating_duration_since(Instant::now());
            String::from_utf8_lossy(&told.recv_timeout(left).unwrap_or_default()).into_owned()
        });
        if status.success() {
            return Ok(out);
        }
        let said: Vec<String> =
            out.lines().chain(complaints.lines()).map(|line| format!("  {line}")).collect();
        Err(format!("`{}` ended with {status}\n{}", self.first_line, said.join("\n")).trim_end().to_owned())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        #[cfg(target_os = "linux")]
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // It may have ended in between; then there is nothing to do.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reading(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is what there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = tell.send(bytes);
    });
    told
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn what_a_script_prints_is_its_answer_and_what_it_says_when_it_fails_is_told() {
        assert_eq!(ask_now("echo one; echo two", PATIENCE).as_deref(), Ok("one\ntwo\n"));
        let why = ask_now("echo out; echo oops >&2; exit 3", PATIENCE).unwrap_err();
        assert_eq!(why, "`echo out; echo oops >&2; exit 3` ended with exit status: 3\n  out\n  oops");
    }

    #[test]
    fn what_does_not_end_is_ended_with_all_that_it_has_started() {
        let place = tempfile::tempdir().unwrap();
        let pid = place.path().join("pid");
        let script = format!("sleep 600 & echo $! >{}; wait", pid.display());
        let why = ask_now(&script, Duration::from_millis(300)).unwrap_err();
        assert!(why.ends_with("it still runs after 300ms"), "{why}");
        let pid = std::fs::read_to_string(&pid).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        let deadline = Instant::now() + PATIENCE;
        // It is there until its new parent comes to it.
        let is_gone = || state().is_empty() || state().contains(") Z");
        while !is_gone() {
            assert!(Instant::now() < deadline, "it lives on: {}", state());
            std::thread::yield_now();
        }
    }
}
