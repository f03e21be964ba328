//! What the simulation promises: order, quiet before the clock moves, and sockets that behave as TCP's do.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake};
use std::time::Duration;

use mock_servers::RunTime;
use mock_servers::transcript::Close;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::datagrams::DatagramSocket;
use super::net::{Accepting, Net, Socket};
use super::runtime::block_on;
use super::sim::{Elsewhere, Flow, Leapt, Owner, Sim};

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn here() -> IpAddr {
    at("203.0.113.1:0").ip()
}

fn seconds(n: u64) -> RunTime {
    RunTime::new(Duration::from_secs(n))
}

async fn accept(listener: &mut Accepting) -> (Socket, SocketAddr) {
    std::future::poll_fn(|cx| listener.poll_accept(cx)).await.expect("accepted")
}

/// Runs a body with a network.
fn run<F, Fut, T>(body: F) -> T
where
    F: FnOnce(Sim, Net) -> Fut,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let sim = Sim::default();
    block_on(&sim.clone(), body(sim.clone(), Net::new(sim))).expect("a runtime")
}

#[test]
fn days_pass_without_waiting_and_in_order() {
    let order = run(|sim, _| async move {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, moment, owner) in [
            ("step", 172_800, Owner::Step),
            ("relay", 172_800, Owner::Relay),
            ("mock", 172_800, Owner::Mock),
            ("early", 5, Owner::Step),
        ] {
            let (sim, order) = (sim.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                sim.sleep_until(seconds(moment), owner).await;
                order.lock().expect("unpoisoned").push((name, sim.now()));
            }));
        }
        for task in tasks {
            task.await.expect("no panic");
        }
        Arc::try_unwrap(order).expect("all done").into_inner().expect("unpoisoned")
    });
    let two_days = seconds(172_800);
    assert_eq!(order, [("early", seconds(5)), ("mock", two_days), ("relay", two_days), ("step", two_days)]);
}

#[test]
fn the_clock_stands_still_while_bytes_are_on_their_way() {
    let heard_at = run(|sim, net| async move {
        let mut listener = net.listen(at("198.51.100.10:25")).expect("free");
        let server_sim = sim.clone();
        let server = tokio::spawn(async move {
            let (mut socket, from) = accept(&mut listener).await;
            assert_eq!(from.ip(), here());
            let mut heard = vec![0; 300_000];
            socket.read_exact(&mut heard).await.expect("all of it");
            server_sim.now()
        });
        let (mut socket, _) = net.connect(here(), at("198.51.100.10:25")).await.expect("someone listens");
        // A timer that would fire at once if the clock did not wait for the bytes.
        let alarm = tokio::spawn(sim.sleep_until(seconds(1), Owner::Relay));
        socket.write_all(&vec![b'x'; 300_000]).await.expect("room in the end");
        let heard_at = server.await.expect("no panic");
        alarm.await.expect("no panic");
        heard_at
    });
    assert_eq!(heard_at, RunTime::ZERO);
}

#[test]
fn bytes_that_nobody_reads_do_not_hold_the_clock() {
    let ended = run(|sim, net| async move {
        let mut listener = net.listen(at("198.51.100.10:25")).expect("free");
        let (mut client, _) = net.connect(here(), at("198.51.100.10:25")).await.expect("someone listens");
        let (_deaf, _) = accept(&mut listener).await;
        client.write_all(b"anyone there?").await.expect("written");
        sim.sleep_until(seconds(60), Owner::Relay).await;
        sim.now()
    });
    assert_eq!(ended, seconds(60));
}

#[test]
fn a_close_is_heard_after_what_was_sent_and_a_reset_is_told_apart() {
    run(|_, net| async move {
        let mut listener = net.listen(at("198.51.100.10:25")).expect("free");
        for reset in [false, true] {
            let (mut client, _) = net.connect(here(), at("198.51.100.10:25")).await.expect("someone listens");
            let (mut server, _) = accept(&mut listener).await;
            let reader = tokio::spawn(async move {
                let mut heard = Vec::new();
                let end = client.read_to_end(&mut heard).await.map_err(|e| e.kind());
                (heard, end.is_ok())
            });
            server.write_all(b"421 bye\r\n").await.expect("written");
            std::future::poll_fn(|cx| server.poll_all_read(cx)).await;
            if reset {
                server.reset_on_drop();
            }
            drop(server);
            assert_eq!(reader.await.expect("no panic"), (b"421 bye\r\n".to_vec(), !reset));
        }
    });
}

#[test]
fn addresses_refuse_swallow_or_are_taken() {
    run(|sim, net| async move {
        let _hub = net.listen(at("198.51.100.10:25")).expect("free");
        assert_eq!(
            net.listen(at("198.51.100.10:25")).err().map(|e| e.kind()),
            Some(std::io::ErrorKind::AddrInUse),
            "two cannot listen at one address"
        );
        net.refuse(at("198.51.100.11:25"));
        net.filter(at("198.51.100.12:25"));
        let dial = async |to| net.connect(here(), at(to)).await.err().map(|e| e.kind());
        assert_eq!(dial("198.51.100.11:25").await, Some(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(dial("198.51.100.10:26").await, Some(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(dial("198.51.100.99:25").await, Some(std::io::ErrorKind::HostUnreachable));
        tokio::select! {
            biased;
            _ = dial("198.51.100.12:25") => panic!("a filtered address answered"),
            () = sim.sleep_until(seconds(30), Owner::Relay) => {}
        }
    });
}

#[test]
fn datagrams_arrive_from_the_address_that_the_scenario_gave() {
    run(|_, net| async move {
        let mut dns = DatagramSocket::open(&net, at("198.51.100.53:53")).expect("free");
        let mut relay = DatagramSocket::open(&net, at("203.0.113.25:40001")).expect("free");
        relay.send(b"who?", at("198.51.100.53:53")).expect("sent");
        let (question, from) = std::future::poll_fn(|cx| dns.poll_receive(cx)).await.expect("received");
        assert_eq!((question.as_slice(), from), (b"who?".as_slice(), at("203.0.113.25:40001")));
        dns.send(b"nobody", from).expect("sent");
        let (answer, from) = std::future::poll_fn(|cx| relay.poll_receive(cx)).await.expect("received");
        assert_eq!((answer.as_slice(), from), (b"nobody".as_slice(), at("198.51.100.53:53")));
    });
}

/// TLS says its last words only once: a record of the handshake, and the alert behind it.
#[test]
fn pieces_are_written_at_once() {
    let (written, heard) = run(|_, net| async move {
        let mut listener = net.listen(at("198.51.100.10:25")).expect("free");
        let (mut client, _) = net.connect(here(), at("198.51.100.10:25")).await.expect("someone listens");
        let (mut server, _) = accept(&mut listener).await;
        let pieces = [IoSlice::new(b"record"), IoSlice::new(b"alert")];
        let written = client.write_vectored(&pieces).await.expect("written");
        drop(client);
        let mut heard = String::new();
        server.read_to_string(&mut heard).await.expect("text");
        (written, heard)
    });
    assert_eq!((written, heard.as_str()), (11, "recordalert"));
}

#[test]
fn that_the_other_end_has_gone_is_known_without_reading_what_it_said() {
    let (how, at) = run(|sim, net| async move {
        let mut listener = net.listen(at("198.51.100.10:25")).expect("free");
        let (mut client, _) = net.connect(here(), at("198.51.100.10:25")).await.expect("someone listens");
        let (server, _) = accept(&mut listener).await;
        let sleeping = sim.clone();
        tokio::spawn(async move {
            client.write_all(b"EHLO x\r\n").await.expect("written");
            sleeping.sleep_until(seconds(300), Owner::Relay).await;
            drop(client);
        });
        let how = std::future::poll_fn(|cx| server.poll_gone(cx)).await;
        (how, sim.now())
    });
    assert_eq!((how, at), (Close::Fin, seconds(300)));
}

#[test]
fn the_observer_can_hold_the_clock() {
    let (jumps, held_at) = run(|sim, _| async move {
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        sim.observe(
            Box::new(move |quiet| match tell.take_if(|_| quiet.now >= seconds(20)) {
                Some(tell) => {
                    let _ = tell.send((quiet.now, quiet.next));
                    Flow::Hold
                }
                None => Flow::Go,
            }),
            RunTime::NEVER,
        );
        let ticking = sim.clone();
        let ticks = tokio::spawn(async move {
            for n in 1.. {
                ticking.sleep_until(seconds(10 * n), Owner::Relay).await;
            }
        });
        let held = told.await.expect("told");
        ticks.abort();
        (sim.jumps(), held)
    });
    assert_eq!(held_at, (seconds(20), Some(seconds(30))));
    assert_eq!(jumps, 2);
}

/// Writes down who was woken, and when.
type Happened = Arc<Mutex<Vec<&'static str>>>;

struct Woken(&'static str, Happened);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.1.lock().expect("unpoisoned").push(self.0);
    }
}

/// A program with a clock of its own that waits for one moment.
struct Program {
    waits_for: Option<RunTime>,
    open: Option<String>,
    happened: Happened,
}

impl Elsewhere for Program {
    fn next(&self) -> Option<RunTime> {
        self.waits_for
    }

    fn jump(&mut self, to: RunTime, on_before: Option<RunTime>) -> RunTime {
        if on_before.is_some() && self.waits_for.take_if(|moment| *moment <= to).is_some() {
            self.happened.lock().expect("unpoisoned").push("relay");
        }
        to
    }

    fn open(&mut self) -> Option<String> {
        self.open.clone()
    }
}

#[test]
fn of_one_moment_all_mocks_come_before_a_relay_elsewhere_and_the_steps_after_it() {
    let (sim, happened) = (Sim::default(), Happened::default());
    let mut program = Program { waits_for: Some(seconds(5)), open: None, happened: happened.clone() };
    let mut timers: Vec<_> = [("step", Owner::Step), ("mock", Owner::Mock), ("other mock", Owner::Mock)]
        .map(|(name, owner)| {
            let mut timer = Box::pin(sim.sleep_until(seconds(5), owner));
            let waker = Arc::new(Woken(name, happened.clone())).into();
            assert!(timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            timer
        })
        .into();
    for n in 1..=4 {
        assert!(sim.step(true, &mut program));
        assert_eq!((sim.now(), happened.lock().expect("unpoisoned").len()), (seconds(5), n));
    }
    timers.clear();
    assert_eq!(*happened.lock().expect("unpoisoned"), ["mock", "other mock", "relay", "step"]);
}

#[test]
fn what_is_due_elsewhere_goes_on_before_anybody_is_asked() {
    let (sim, happened) = (Sim::default(), Happened::default());
    let mut program = Program { waits_for: Some(RunTime::ZERO), open: None, happened: happened.clone() };
    sim.observe(Box::new(|_| Flow::Hold), RunTime::NEVER);
    assert!(sim.step(true, &mut program));
    assert_eq!(*happened.lock().expect("unpoisoned"), ["relay"]);
}

#[test]
fn a_jump_has_all_that_was_due_on_the_way_come_at_its_end_in_order() {
    let sim = Sim::default();
    let ran = block_on(&sim, {
        let sim = sim.clone();
        async move {
            let happened = Arc::new(Mutex::new(Vec::new()));
            for (name, at) in [("later", 50), ("sooner", 20), ("after it", 200)] {
                let (ticking, happened) = (sim.clone(), happened.clone());
                tokio::spawn(async move {
                    ticking.sleep_until(seconds(at), Owner::Relay).await;
                    happened.lock().expect("unpoisoned").push((name, ticking.now()));
                });
            }
            let leapt = sim.leap_to(seconds(100)).await;
            sim.sleep_until(seconds(300), Owner::Step).await;
            let happened = happened.lock().expect("unpoisoned").clone();
            (happened, leapt)
        }
    });
    let (happened, leapt) = ran.expect("it runs");
    assert_eq!(happened, [("sooner", seconds(100)), ("later", seconds(100)), ("after it", seconds(200))]);
    assert_eq!(leapt, Leapt { from: Some(RunTime::ZERO), open: None });
}

#[test]
fn a_jump_begins_when_nothing_is_open_any_more_and_says_what_was() {
    let sim = Sim::default();
    let ran = block_on(&sim, {
        let sim = sim.clone();
        async move {
            let talking = sim.clone();
            tokio::spawn(async move {
                let _session = talking.open("a connection with 198.51.100.10 was open".to_owned());
                talking.sleep_until(seconds(30), Owner::Relay).await;
            });
            tokio::task::yield_now().await;
            let first = sim.leap_to(seconds(100)).await;
            let answering = sim.clone();
            tokio::spawn(async move { answering.sleep_until(seconds(500), Owner::Mock).await });
            tokio::task::yield_now().await;
            (first, sim.leap_to(seconds(200)).await)
        }
    });
    let leapt = ran.expect("it runs");
    let open = |what: &str| Some(what.to_owned());
    assert_eq!(
        leapt.0,
        Leapt { from: Some(seconds(30)), open: open("a connection with 198.51.100.10 was open") }
    );
    assert_eq!(leapt.1, Leapt { from: None, open: open("a server had something left to do") });
}

#[test]
fn a_jump_waits_for_what_is_open_elsewhere() {
    let (sim, happened) = (Sim::default(), Happened::default());
    let open = Some("a DNS query was open".to_owned());
    let mut program = Program { waits_for: Some(seconds(5)), open, happened: happened.clone() };
    let mut jump = Box::pin(sim.leap_to(seconds(3600)));
    let waker = Arc::new(Woken("step", happened.clone())).into();
    assert!(jump.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(sim.step(true, &mut program));
    assert_eq!(sim.now(), seconds(5), "as ever");
    (program.open, program.waits_for) = (None, Some(seconds(65)));
    assert!(sim.step(true, &mut program));
    assert_eq!(sim.now(), seconds(3600), "at once");
    assert_eq!(*happened.lock().expect("unpoisoned"), ["relay", "relay"]);
}
