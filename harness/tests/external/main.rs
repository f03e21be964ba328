//! Relays that run elsewhere: `gauntlet serve` as its users meet it, and scenarios on a relay that the harness did not start.
//! Everything is on loopback, of which Linux has more than one address; elsewhere the tests say so and are skipped.

mod running;
mod serving;
mod standing;

use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

/// Ports for a scenario's servers and for its DNS that were free a moment ago.
struct Ports {
    mail: u16,
    dns: u16,
}

impl Ports {
    /// `None`: this system has one loopback address.
    fn free() -> Option<Self> {
        let Ok(mail) = TcpListener::bind("127.51.100.10:0") else {
            eprintln!("skipped: this system has one loopback address, 127.0.0.1");
            return None;
        };
        let dns = UdpSocket::bind("127.51.100.3:0").expect("the same for datagrams");
        let port = mail.local_addr().expect("it is bound").port();
        Some(Self { mail: port, dns: dns.local_addr().expect("it is bound").port() })
    }

    fn server(&self) -> std::net::SocketAddr {
        ([127, 51, 100, 10], self.mail).into()
    }

    fn dns(&self) -> std::net::SocketAddr {
        ([127, 51, 100, 3], self.dns).into()
    }
}

fn gauntlet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gauntlet"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("GAUNTLET_RELAY");
    command
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited 30 s until {what}");
        std::thread::yield_now();
    }
}
