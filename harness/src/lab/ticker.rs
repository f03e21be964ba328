//! Short waits in real time, to some microseconds: the runtime's own timers count milliseconds.

use std::time::Duration;

#[cfg(target_os = "linux")]
pub(super) use linux::Ticker;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;

    use super::Duration;

    /// One timer of the kernel's. It reads like a pipe: eight octets, when the time has come.
    pub(in super::super) struct Ticker {
        timer: File,
        reader: Receiver,
    }

    impl Ticker {
        /// Makes it, on a thread with a runtime.
        pub(in super::super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = File::from(timerfd_create(TimerfdClockId::Monotonic, flags)?);
            let reader = Receiver::from_file_unchecked(timer.try_clone()?)?;
            Ok(Self { timer, reader })
        }

        /// Waits so long; all else that can go on at this moment goes on first, and the thread parks.
        pub(in super::super) async fn wait(&self, time: Duration) -> io::Result<()> {
            let none = Timespec { tv_sec: 0, tv_nsec: 0 };
            // Zero would stop it.
            let time = time.max(Duration::from_nanos(1));
            let it_value = Timespec::try_from(time).map_err(io::Error::other)?;
            let when = Itimerspec { it_interval: none, it_value };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &when)?;
            loop {
                self.reader.readable().await?;
                match self.reader.try_read(&mut [0; 8]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => {
                        // The runtime forgets that there was something: the next wait is one even if its time is none, and the
                        // thread parks once for each.
                        let _ = self.reader.try_read(&mut [0; 8]);
                        return read.map(drop);
                    }
                }
            }
        }
    }
}

/// Elsewhere there are no labs, and nothing waits.
#[cfg(not(target_os = "linux"))]
pub(super) struct Ticker;

#[cfg(not(target_os = "linux"))]
impl Ticker {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn wait(&self, time: Duration) -> std::io::Result<()> {
        tokio::time::sleep(time).await;
        Ok(())
    }
}
