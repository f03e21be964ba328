//! Ctrl-C, SIGTERM and a terminal that was closed. The one place that knows which signals an operating system has.

use std::io::Write as _;

use crate::run::Cancel;

/// Cancels the runs at the first signal; ends the process at the second.
pub(super) fn cancel_on_signals(cancel: &Cancel) {
    let cancel = cancel.clone();
    let listen = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            signal().await?;
            cancel.cancel();
            let _ = writeln!(std::io::stderr(), "interrupted: ending the runs");
            signal().await?;
            std::process::exit(super::Exit::Interrupted as i32)
        })
    };
    std::thread::spawn(move || {
        let ended: std::io::Result<()> = listen();
        if let Err(error) = ended {
            eprintln!("warning: Ctrl-C will end the command without cleaning up: {error}");
        }
    });
}

#[cfg(unix)]
async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
