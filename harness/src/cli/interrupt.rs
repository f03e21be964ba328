//! Ctrl-C, SIGTERM and a terminal that was closed. The one place that knows which signals an operating system has.

use std::io::{self, Write as _};
use std::sync::mpsc;

use crate::run::Cancel;

/// Cancels the runs at the first signal, and says so in these words; ends the process at the second. The signals are caught when
/// this returns.
pub(super) fn cancel_on_signals(cancel: &Cancel, words: &'static str) {
    let cancel = cancel.clone();
    let (ready, caught) = mpsc::channel();
    std::thread::spawn(move || {
        let ended = listen(&cancel, words, &ready);
        if let Err(error) = ended {
            let _ =
                writeln!(io::stderr(), "warning: Ctrl-C will end the command without cleaning up: {error}");
        }
    });
    // An error here says that the thread has ended, and has said why.
    let _ = caught.recv();
}

fn listen(cancel: &Cancel, words: &str, ready: &mpsc::Sender<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::catch()?;
        let _ = ready.send(());
        signals.next().await?;
        // First, lest all is over before it is said.
        let _ = writeln!(io::stderr(), "{words}");
        cancel.cancel();
        signals.next().await?;
        std::process::exit(super::Exit::Interrupted as i32)
    })
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) -> io::Result<()> {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        Ok(())
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> io::Result<()> {
        tokio::signal::ctrl_c().await
    }
}
