//! Runs with relays that do what no relay should, and the promises that hold for every run.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mock_servers::transcript::{Part, Side, What};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::execute::run_with;
use super::{Cancel, RunError, RunOptions, run};
use crate::lab::{Factory, Kind};
use crate::record::turns::acknowledged;
use crate::record::{Accepted, Ending, LogLine, QueueEntry, Record, Role, dkim, mail};
use crate::relay::{BoxFuture, Clock, Driver, Fault, Network, Settings, StartError, Unsupported};
use crate::scenario::{self, Scenario};

const ONE_NOTE: &str = "
title: One note
servers:
  hub: { serves: [hub.example] }
messages:
  note: { from: a@origin.example, to: b@hub.example }
expect:
  - delivered: { message: note, by: hub }
";

fn scenario(yaml: &str) -> Scenario {
    scenario::parse(yaml, Path::new("test.yaml"), "test")
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
        .remove(0)
}

fn reference(yaml: &str) -> Record {
    run(&scenario(yaml), "reference", &RunOptions::default()).expect("it runs")
}

/// What a relay of these tests does once it listens.
#[derive(Clone, Copy)]
enum Habit {
    /// Ends in the middle of the first session.
    DiesInMidSession,
    /// Never lets the clock rest.
    NeverRests,
    /// Says nothing to anyone.
    Silent,
    /// Offers nothing.
    Plain,
}

struct Odd {
    habit: Habit,
    settings: Settings,
    clock: Arc<dyn Clock>,
    network: Arc<dyn Network>,
    died: Arc<Mutex<Option<String>>>,
}

impl Odd {
    fn boxed(
        habit: Habit,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        network: Arc<dyn Network>,
    ) -> Arc<dyn Driver> {
        Arc::new(Self { habit, settings: settings.clone(), clock, network, died: Arc::default() })
    }
}

const PLAIN: Factory = |_, s, c, n, _| Ok(Odd::boxed(Habit::Plain, s, c, n));

/// Runs one note against a relay of this habit.
fn odd(habit: Habit, options: &RunOptions) -> Record {
    let factory: Factory = match habit {
        Habit::DiesInMidSession => |_, s, c, n, _| Ok(Odd::boxed(Habit::DiesInMidSession, s, c, n)),
        Habit::NeverRests => |_, s, c, n, _| Ok(Odd::boxed(Habit::NeverRests, s, c, n)),
        Habit::Silent => |_, s, c, n, _| Ok(Odd::boxed(Habit::Silent, s, c, n)),
        Habit::Plain => PLAIN,
    };
    run_with(&scenario(ONE_NOTE), "odd", Kind::Embedded(factory), options).expect("there is a record")
}

#[test]
fn parameters_that_the_relay_does_not_offer_are_left_out_and_remembered() {
    let asks =
        ONE_NOTE.replace("to: b@hub.example", "to: b@hub.example, envelope: { ret: hdrs, body: 8bitmime }");
    let record = run_with(&scenario(&asks), "odd", Kind::Embedded(PLAIN), &RunOptions::default())
        .expect("there is a record");
    assert_eq!(record.submissions[0].left_out, ["BODY=8BITMIME", "RET=HDRS"]);
}

impl Driver for Odd {
    fn start(&self) -> BoxFuture<'_, Result<(), StartError>> {
        let (habit, clock, died) = (self.habit, self.clock.clone(), self.died.clone());
        Box::pin(async move {
            let mut listener =
                self.network.listen(self.settings.listen).await.expect("nobody else listens there");
            tokio::spawn(async move {
                while let Habit::NeverRests = habit {
                    clock.sleep_until(clock.now() + Duration::from_nanos(1)).await;
                }
                let (mut stream, _) = listener.accept().await.expect("a client");
                if let Habit::Plain = habit {
                    for reply in ["220 relay\r\n", "250 relay\r\n", "221 relay\r\n"] {
                        stream.write_all(reply.as_bytes()).await.expect("the client reads");
                        // EHLO, QUIT, and the end
                        let _ = stream.read(&mut [0; 512]).await;
                    }
                    return;
                }
                if let Habit::DiesInMidSession = habit {
                    stream.write_all(b"220 relay\r\n").await.expect("the client reads");
                    let mut command = [0; 64];
                    let _ = stream.read(&mut command).await;
                    *died.lock().expect("unpoisoned") = Some("signal 11".to_owned());
                    return;
                }
                std::future::pending::<()>().await;
            });
            Ok(())
        })
    }
    fn kill(&self) {}
    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    fn queue(&self) -> Vec<QueueEntry> {
        Vec::new()
    }
    fn log(&self) -> Vec<LogLine> {
        Vec::new()
    }
    fn force_queue_run(&self) -> Result<(), Unsupported> {
        Ok(())
    }
    fn due_queue_run(&self) -> Result<(), Unsupported> {
        Ok(())
    }
    fn died(&self) -> Option<String> {
        self.died.lock().expect("unpoisoned").clone()
    }
    fn version(&self) -> String {
        "0".to_owned()
    }
    fn fault(&self, _: Option<Fault>) -> Result<(), Unsupported> {
        Err(Unsupported("it has no disk".to_owned()))
    }
    fn role(&self) -> Role {
        Role::Relay
    }
}

#[test]
fn a_relay_that_dies_in_mid_session_ends_the_run_with_its_last_words() {
    let record = odd(Habit::DiesInMidSession, &RunOptions::default());
    assert_eq!(record.end.how, Ending::RelayDied { why: "signal 11".to_owned() });
    assert!(
        matches!(record.submissions[0].recipients[0].fate, Accepted::No { .. }),
        "{:?}",
        record.submissions
    );
    assert!(!record.sessions.is_empty(), "what was said before is kept");
}

#[test]
fn a_relay_that_never_rests_is_given_up_by_the_guard() {
    let options = RunOptions { guard: Duration::from_millis(50), ..RunOptions::default() };
    let record = odd(Habit::NeverRests, &options);
    assert!(matches!(record.end.how, Ending::Guard { .. }), "{:?}", record.end);
}

#[test]
fn a_relay_that_says_nothing_costs_the_client_its_patience_and_no_real_time() {
    let record = odd(Habit::Silent, &RunOptions::default());
    assert!(record.end.at.since_start() >= Duration::from_mins(5), "{:?}", record.end);
    assert!(
        matches!(record.submissions[0].recipients[0].fate, Accepted::No { .. }),
        "{:?}",
        record.submissions
    );
}

#[test]
fn a_cancelled_run_gives_no_record() {
    let cancel = Cancel::default();
    cancel.cancel();
    let options = RunOptions { cancel, ..RunOptions::default() };
    assert!(matches!(run(&scenario(ONE_NOTE), "reference", &options), Err(RunError::Cancelled)));
}

#[test]
fn the_same_scenario_gives_the_same_record() {
    let two_days = "
title: A host that is away for a day
servers:
  hub: { serves: [hub.example], addresses: [{ v6: filtered }, { v4: refused }] }
  spare: { serves: [{ domain: hub.example, preference: 20 }], on: { MAIL: { when: { session: ..5 }, reply: \"451 4.3.0 Not now\" } } }
relay:
  queue: { retry: { first: 15m, at most: 4h }, warn: 4h, lifetime: 2d }
messages:
  note: { from: a@origin.example, to: \"u{1..3}@hub.example\", copies: 2 }
expect:
  - delivered: { message: note, by: spare }
";
    assert_eq!(reference(two_days), reference(two_days));
}

#[test]
fn mail_survives_a_kill_in_mid_delivery_and_a_restart() {
    let record = reference(
        "
title: Killed while the next hop thinks
servers:
  hub: { serves: [hub.example], on: { end-of-data: { when: { session: 1 }, wait: 9m, reply: \"250 2.0.0 OK\" } } }
messages:
  note: { from: a@origin.example, to: b@hub.example }
steps:
  - send: note
  - wait: 1m
  - kill: relay
  - wait: 1h
  - restart: relay
  - settle
expect:
  - delivered: { message: note, by: hub, times: 1..2 }
",
    );
    assert_eq!(record.end.how, Ending::Finished);
    assert!(record.deliveries.iter().any(|delivery| delivery.acknowledged), "{:?}", record.deliveries);
    assert!(record.queue.last().is_some_and(|state| state.entries.is_empty()), "{:?}", record.queue);
}

#[test]
fn a_server_that_was_stopped_refuses_until_it_is_started_again() {
    let record = reference(
        "
title: A host that is down for an hour
servers:
  hub: { serves: [hub.example] }
relay:
  queue: { retry: { first: 15m, at most: 15m } }
messages:
  note: { from: a@origin.example, to: b@hub.example }
steps:
  - stop: hub
  - send: note
  - wait: 1h
  - start: hub
  - settle
expect:
  - delivered: { message: note, by: hub }
",
    );
    let delivery = record.deliveries.first().expect("delivered in the end");
    assert_eq!(delivery.at.since_start(), Duration::from_mins(75), "{:?}", record.log);
}

#[test]
fn a_server_can_be_stopped_and_started_at_the_same_moment() {
    let record = reference(&format!(
        "{ONE_NOTE}steps: [send: note, settle, stop: hub, start: hub, send: note, settle]\n"
    ));
    assert_eq!((record.end.how, record.deliveries.len()), (Ending::Finished, 2));
}

#[test]
fn where_tls_is_required_notifications_still_come_back() {
    for (certificate, delivered, returned) in [("good", 1, 0), ("self-signed", 0, 1)] {
        let record = reference(&format!(
            "
title: TLS or nothing
servers:
  hub: {{ serves: [hub.example], offers: {{ add: [STARTTLS] }}, certificate: {certificate} }}
relay:
  tls: required
  queue: {{ lifetime: 3h }}
messages:
  note: {{ from: a@origin.example, to: b@hub.example }}
expect:
  - any of: [{{ delivered: {{ message: note }} }}, {{ returned: {{ message: note }} }}]
"
        ));
        assert_eq!(
            (record.deliveries.len(), record.notifications.len()),
            (delivered, returned),
            "{certificate}: {:?}",
            record.log
        );
    }
}

#[test]
fn a_server_that_still_thinks_when_the_relay_is_dead_may_yet_take_the_mail() {
    let record = reference(
        "
title: Killed before the answer, which still comes
servers:
  hub: { serves: [hub.example], on: { end-of-data: { when: { session: 1 }, wait: 60s } } }
messages:
  note: { from: a@origin.example, to: b@hub.example }
steps: [send: note, wait: 30s, kill: relay, restart: relay, settle]
expect:
  - delivered: { message: note, by: hub, times: 1..2 }
",
    );
    assert_eq!(record.deliveries.len(), 2, "{:?}", record.deliveries);
    assert!(record.end.at.since_start() >= Duration::from_mins(1), "{:?}", record.end);
}

#[test]
fn a_host_that_hangs_and_the_next_one_are_one_attempt() {
    for on in ["connect: { stall: true }", "EHLO: { wait: 8m, reply: \"250 late.example\" }"] {
        let record = reference(&format!(
            "
title: The first host hangs
servers:
  hub: {{ serves: [hub.example], on: {{ {on} }} }}
  two: {{ serves: [{{ domain: hub.example, preference: 20 }}] }}
messages:
  note: {{ from: a@origin.example, to: b@hub.example }}
expect:
  - delivered: {{ message: note, by: two, attempt: 1 }}
"
        ));
        let attempts: Vec<u32> = record.deliveries.iter().map(|delivery| delivery.attempt).collect();
        assert_eq!(attempts, [1], "{on}: {:?}", record.log);
    }
}

/// What the submitting client said of content, and what a server got, for `content:` like this.
fn sent_and_got(content: &str) -> (Vec<u8>, Vec<u8>) {
    let record = reference(&format!(
        "
title: One content
servers:
  hub: {{ serves: [hub.example] }}
messages:
  note: {{ from: a@origin.example, to: b@hub.example, envelope: {{ body: 8bitmime }}, content: {content} }}
expect:
  - delivered: {{}}
"
    ));
    let delivery = record.deliveries.first().unwrap_or_else(|| panic!("{:?}", record.submissions));
    let got = &record.sessions[delivery.place.session].transactions[delivery.place.transaction].content;
    (record.submissions[0].content.clone(), got.clone())
}

#[test]
fn dots_wide_lines_and_octets_of_all_kinds_go_end_to_end() {
    let (sent, got) = sent_and_got(r#"{ text: ".\n..x\nsm\u00f6rg", newline at end: false }"#);
    assert!(sent.ends_with(".\r\n..x\r\nsmörg".as_bytes()), "{}", sent.escape_ascii());
    assert!(got.ends_with(".\r\n..x\r\nsmörg\r\n".as_bytes()), "{}", got.escape_ascii());
    let (_, got) = sent_and_got("{ text: '.', width: 998, lines: 2 }");
    assert_eq!(got.split(|b| *b == b'\n').filter(|line| line.len() == 999).count(), 2);
    let (sent, _) = sent_and_got(r#"{ text: "a\0b" }"#);
    assert!(sent.ends_with(b"a\0b\r\n"), "{}", sent.escape_ascii());
}

#[test]
fn a_signed_message_is_delivered_intact() {
    let yaml = "
title: Signed
servers:
  hub: { serves: [hub.example] }
messages:
  note: { from: a@origin.example, to: b@hub.example, content: { dkim: true, parts: [{ text: Hello }, { raw: \"\\xFF\", encoding: base64 }] } }
expect:
  - delivered: { dkim: intact }
";
    let record = reference(yaml);
    let place = record.deliveries[0].place;
    let mut content = record.sessions[place.session].transactions[place.transaction].content.clone();
    assert_eq!(dkim::verify(&content, "origin.example"), Ok(()));
    let at = content.windows(5).position(|w| w == b"Hello").expect("the body");
    content[at] = b'J';
    assert!(dkim::verify(&content, "origin.example").is_err());
}

#[test]
fn what_the_relay_does_not_offer_and_cannot_be_left_out_is_unsupported() {
    for (envelope, text, keyword) in [
        ("smtputf8: true", "Gruss", "SMTPUTF8"),
        ("body: binarymime", "Gruss", "BINARYMIME"),
        ("body: 8bitmime", "Grüße", "8BITMIME"),
    ] {
        let more = format!("b@hub.example, envelope: {{ {envelope} }}, content: {{ text: {text} }} }}");
        let yaml = ONE_NOTE.replace("b@hub.example }", &more);
        let outcome = run_with(&scenario(&yaml), "odd", Kind::Embedded(PLAIN), &RunOptions::default());
        let Err(RunError::Unsupported(why)) = outcome else { panic!("it ran") };
        assert_eq!(why.0, format!("the relay does not offer {keyword}, which `note` needs"));
    }
    // all of it is ASCII, whatever it is called
    let yaml = ONE_NOTE.replace("b@hub.example }", "b@hub.example, envelope: { body: 8bitmime } }");
    assert!(run_with(&scenario(&yaml), "odd", Kind::Embedded(PLAIN), &RunOptions::default()).is_ok());
}

#[test]
fn the_relay_offers_tls_to_clients_where_it_is_told_to() {
    let offers = |relay: &str| {
        let record = reference(&format!("{ONE_NOTE}{relay}"));
        assert_eq!(record.deliveries.len(), 1);
        let client = record.sessions.iter().find(|s| s.mock_is == Side::Client).expect("a submission");
        client.offers[0].keywords.iter().any(|keyword| keyword == "STARTTLS")
    };
    assert!(!offers(""), "it needs a key, which costs more than a run");
    assert!(!offers("relay: { offers tls: false }\n"));
    assert!(offers("relay: { offers tls: true }\n"));
}

#[test]
fn chunks_binary_mail_and_utf8_addresses_go_to_a_relay_that_offers_them() {
    let yaml = r#"
title: All that is beyond plain SMTP
servers:
  hub: { serves: [hub.example], offers: { add: [SMTPUTF8] } }
  old: { serves: [old.example], offers: { drop: [8BITMIME] } }
messages:
  utf8:
    from: "jürgen@origin.example"
    to: "b@hub.example"
    envelope: { smtputf8: true, body: 8bitmime, by: { bdat: 100B }, orcpt: "utf-8;jürgen@x.example", auth: "a+b@origin.example" }
    headers: { Subject: "Grüße" }
    content: { parts: [{ text: "Grüße" }, { parts: [{ text: ".", width: 700, lines: 3 }] }] }
  binary:
    from: a@origin.example
    to: b@old.example
    envelope: { body: binarymime, by: { bdat: 64B } }
    content: { parts: [{ text: "Grüße" }, { raw: "\0\n\xFF\r\n.\r\n.", type: image/png }, { parts: [{ text: x, width: 1500 }] }] }
  lost:
    from: "jürgen@origin.example"
    to: "nobody@nowhere.example"
    envelope: { smtputf8: true }
expect:
  - delivered: { message: utf8, by: hub }
"#;
    let record = reference(yaml);
    let passed = |name: &str| {
        let index = record.submissions.iter().position(|s| s.message == name).expect("it was submitted");
        let of = &record.submissions[index];
        let place = of.place.expect("it came to MAIL");
        let copy = record.deliveries.iter().find(|d| d.submission == index);
        let copy = copy.unwrap_or_else(|| panic!("nobody has {name}: {:?}", record.log)).place;
        let said = &record.sessions[place.session].transactions[place.transaction];
        assert_eq!(said.content, of.content, "chunks are put together");
        assert!(
            said.data_reply.is_none() && said.final_reply.as_ref().is_some_and(|reply| reply.code == 250)
        );
        (said, &record.sessions[copy.session].transactions[copy.transaction])
    };
    let (said, got) = passed("utf8");
    assert_eq!(
        (said.from.as_str(), &said.parameters[..2]),
        ("jürgen@origin.example", &["BODY=8BITMIME".to_owned(), "SMTPUTF8".to_owned()][..])
    );
    assert_eq!(said.recipients[0].parameters, [r"ORCPT=utf-8;j\x{FC}rgen@x.example"]);
    assert!(got.content.ends_with(&said.content), "the relay added its trace and nothing else");
    let (said, got) = passed("binary");
    assert!(got.content.is_ascii());
    assert_eq!(mail::leaves(&said.content), mail::leaves(&got.content));
    assert_eq!(record.notifications.len(), 1, "what is beyond ASCII comes back to who is: {:?}", record.log);
}

const MIB: &str =
    "content: { text: \"0123456789012345678901234567890123456789012345678901234567890\", lines: 16644 }";

#[test]
fn a_server_that_reads_slowly_stops_the_relays_writes() {
    let yaml = format!(
        "
title: A window that hardly opens
servers:
  hub: {{ serves: [hub.example], read: 1KiB per 2m }}
  spare: {{ serves: [{{ domain: hub.example, preference: 20 }}] }}
messages:
  large: {{ from: a@origin.example, to: b@hub.example, {MIB} }}
expect:
  - delivered: {{ message: large, by: spare }}
"
    );
    let record = reference(&yaml);
    assert_eq!(record.end.how, Ending::Finished, "{:?}", record.log);
    let hub = record.sessions.iter().find(|session| session.mock == "hub").expect("a session");
    let reads: Vec<(u64, usize)> = hub
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::Bytes { from: Side::Client, bytes, part: Part::Content, .. } => {
                Some((event.at.since_start().as_secs(), bytes.len()))
            }
            _ => None,
        })
        .collect();
    // A piece in every two minutes, until the relay has had enough of it.
    let slow: Vec<_> = reads.iter().take_while(|(_, size)| *size <= 1024).collect();
    assert!(slow.len() > 1 && slow.windows(2).skip(1).all(|w| w[1].0 - w[0].0 == 120), "{reads:?}");
    // RFC 5321 section 4.5.3.2.5: three minutes for a block.
    let closed = hub.events.iter().find(|event| matches!(event.what, What::Closed { by: Side::Client, .. }));
    assert!(closed.is_some_and(|event| event.at.since_start() >= Duration::from_mins(3)), "{closed:?}");
    assert!(hub.transactions.iter().all(|transaction| !transaction.taken));
    assert_eq!(record.deliveries.len(), 1);
    assert_eq!(record.deliveries[0].server, "spare");
    assert_eq!(record, reference(&yaml), "the same every time");
}

#[test]
fn a_window_that_opens_again_is_only_late() {
    let record = reference(&format!(
        "
title: Closed for two minutes
servers:
  hub:
    serves: [hub.example]
    on: {{ data: [read: 0, wait: 2m, read: freely] }}
messages:
  large: {{ from: a@origin.example, to: b@hub.example, {MIB} }}
expect:
  - delivered: {{ message: large, by: hub }}
"
    ));
    assert_eq!((record.end.how, record.deliveries.len()), (Ending::Finished, 1));
    assert_eq!(record.deliveries[0].at.since_start(), Duration::from_mins(2), "{:?}", record.log);
    assert!(record.deliveries[0].acknowledged);
}

#[test]
fn what_a_relay_leaves_unread_does_not_hold_the_run() {
    // The message fits into the window: all of it is on its way when the relay gives up, and the mail is taken in the end.
    let small =
        "content: { text: \"0123456789012345678901234567890123456789012345678901234567890\", lines: 400 }";
    for (read, taken) in [("0", false), ("1B per 4m", true)] {
        let record = reference(&format!(
            "
title: Unread
servers:
  hub: {{ serves: [hub.example], on: {{ data: {{ when: {{ octets: 1.. }}, read: {read} }} }} }}
  spare: {{ serves: [{{ domain: hub.example, preference: 20 }}] }}
messages:
  note: {{ from: a@origin.example, to: b@hub.example, {small} }}
expect:
  - delivered: {{ message: note, by: spare }}
"
        ));
        assert_eq!(record.end.how, Ending::Finished, "{read}: {:?}", record.log);
        let hub = record.sessions.iter().position(|session| session.mock == "hub").expect("a session");
        assert_eq!(record.sessions[hub].transactions[0].taken, taken, "{read}: {:?}", record.log);
        // Nothing that the server said then reached the relay.
        assert!(!acknowledged(&record.sessions[hub], 0), "{read}");
        let end = record.sessions[hub].events.last().map(|event| event.at.since_start());
        assert!(end < Some(Duration::from_mins(20)), "{read}: {end:?}");
    }
}
