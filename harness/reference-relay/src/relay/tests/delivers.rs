//! Mail that arrives.

use super::*;

#[tokio::test(start_paused = true)]
async fn mail_goes_to_the_exchanger_and_leaves_the_queue() {
    let world = world(plain());
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    let [mail] = &*world.delivered() else { panic!("{}", log(&relay)) };
    assert_eq!((&*mail.sender, &*mail.recipients), ("a@origin.example", &["bob@x.example".to_owned()][..]));
    let trace = "Received: from client.example ([198.51.100.9])\r\n\tby relay.example with ESMTP id Q1\r\n";
    assert!(mail.content.starts_with(trace), "{}", mail.content);
    assert!(mail.content.ends_with("\r\nSubject: hi\r\n\r\nHello\r\n"), "{}", mail.content);
    assert_eq!(relay.queue(), []);
    let size = mail.content.len();
    assert_eq!(
        log(&relay),
        format!(
            "Q1: from=<a@origin.example>, size={size}, nrcpt=1 (queued)\n\
             Q1: to=<bob@x.example>, relay=mx.x.example[198.51.100.7], attempt=1, status=sent (250 2.0.0 Taken)\n\
             Q1: removed\n"
        )
    );
    assert_eq!(
        world.heard("mx.x.example"),
        [
            "> 220 mx.x.example ESMTP",
            "EHLO relay.example",
            "> 250-mx.x.example greets you\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n250 DSN",
            &*format!("MAIL FROM:<a@origin.example> SIZE={size}"),
            "> 250 2.0.0 OK",
            "RCPT TO:<bob@x.example>",
            "> 250 2.0.0 OK",
            "DATA",
            "> 354 Go on",
            "> 250 2.0.0 Taken",
            "QUIT",
            "> 221 2.0.0 Bye",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn without_extensions_nothing_is_pipelined_and_no_parameter_is_sent() {
    let world = world(plain().offering(&[]));
    let relay = world.relay().await;
    let recipient = "bob@x.example> NOTIFY=FAILURE ORCPT=rfc822;bob@x.example";
    world.submit_as("a@origin.example", " RET=HDRS ENVID=e1 SIZE=30", &[recipient], "\r\nHi\r\n").await;
    world.settle().await;
    assert_eq!(
        commands(&world, "mx.x.example"),
        ["EHLO relay.example", "MAIL FROM:<a@origin.example>", "RCPT TO:<bob@x.example>", "DATA", "QUIT"]
    );
    assert_eq!(relay.queue(), []);
}

#[tokio::test(start_paused = true)]
async fn dsn_parameters_go_on_as_they_came() {
    let world = world(plain().offering(&["DSN"]));
    let _relay = world.relay().await;
    let recipient = "bob@x.example> NOTIFY=Success,FAILURE ORCPT=rfc822;Bob+2Bbox@x.example";
    world
        .submit_as("a@origin.example", " RET=HDRS ENVID=e+2B1", &[recipient, "joe@x.example"], "\r\nHi\r\n")
        .await;
    world.settle().await;
    assert_eq!(
        commands(&world, "mx.x.example")[1..4],
        [
            "MAIL FROM:<a@origin.example> RET=HDRS ENVID=e+2B1",
            "RCPT TO:<bob@x.example> NOTIFY=Success,FAILURE ORCPT=rfc822;Bob+2Bbox@x.example",
            "RCPT TO:<joe@x.example>"
        ]
    );
    assert_eq!(world.notifications(), [], "the next hop has taken that duty over");
}

#[rstest]
#[case("500 What?")]
#[case("501 Invalid Address")]
#[case("502 Not implemented")]
#[case("504 No such parameter")]
#[case("550 I do not like that")]
#[tokio::test(start_paused = true)]
async fn helo_follows_where_ehlo_is_not_understood(#[case] line: &'static str) {
    let world = world(plain().saying("EHLO", line));
    let _relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(
        commands(&world, "mx.x.example"),
        [
            "EHLO relay.example",
            "HELO relay.example",
            "MAIL FROM:<a@origin.example>",
            "RCPT TO:<bob@x.example>",
            "DATA",
            "QUIT"
        ]
    );
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[rstest]
#[case::short_name("220 exch ESMTP")]
#[case::no_text("220 ")]
#[case::bare("220")]
#[case::many_lines("220-mail.your-domain.com Microsoft SMTP MAIL ready\r\n220 ESMTP spoken here")]
#[tokio::test(start_paused = true)]
async fn any_text_is_a_greeting(#[case] greeting: &'static str) {
    let world = world(plain().offering(&["X-EXPS"]).saying("", greeting));
    let _relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn eight_bit_mail_goes_as_it_is_where_it_may() {
    let world = world(plain());
    let _relay = world.relay().await;
    world.submit_as("a@origin.example", " BODY=8BITMIME", &["bob@x.example"], "\r\ncaf\u{e9}\r\n").await;
    world.settle().await;
    assert!(commands(&world, "mx.x.example")[1].ends_with(" BODY=8BITMIME"));
    assert!(world.delivered()[0].content.ends_with("\r\ncaf\u{e9}\r\n"));
}

#[tokio::test(start_paused = true)]
async fn eight_bit_mail_is_converted_where_it_may_not() {
    let world = world(plain().offering(&["SIZE"]));
    let _relay = world.relay().await;
    let content = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
                   Content-Transfer-Encoding: 8bit\r\n\r\ncaf\u{e9}\r\n";
    world.submit_as("a@origin.example", " BODY=8BITMIME", &["bob@x.example"], content).await;
    world.settle().await;
    let [mail] = &*world.delivered() else { panic!("not delivered") };
    assert!(mail.content.ends_with("\r\n\r\ncaf=E9\r\n"), "{}", mail.content);
    assert_eq!(
        commands(&world, "mx.x.example")[1],
        format!("MAIL FROM:<a@origin.example> SIZE={}", mail.content.len())
    );
}

#[tokio::test(start_paused = true)]
async fn dots_arrive_as_they_were_sent() {
    let world = world(plain());
    let _relay = world.relay().await;
    world.submit_as("a@origin.example", "", &["bob@x.example"], "\r\n..\r\n..a\r\n").await;
    world.settle().await;
    // The host keeps them as they come over the wire.
    assert!(world.delivered()[0].content.ends_with("\r\n\r\n..\r\n..a\r\n"));
}

#[tokio::test(start_paused = true)]
async fn recipients_of_one_domain_share_a_transaction_and_of_two_do_not() {
    let world = world(plain());
    world.names(|zone| {
        zone.mx("y.example", 10, "mx.y.example");
        zone.a("mx.y.example", MX2);
    });
    world.put(MX2, Host::new("mx.y.example"));
    let _relay = world.relay().await;
    world.submit(&["bob@x.example", "joe@y.example", "sue@X.Example"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "sue@X.Example"]);
    assert_eq!(recipients(&world, "mx.y.example"), ["joe@y.example"]);
    assert_eq!(world.delivered().len(), 2);
}

/// Each is what a first exchanger does to send the mail to the second one.
#[rstest]
#[case::greets_with_554("", "554 No SMTP service here")]
#[case::greets_with_421("", "421 Not now")]
#[case::greets_with_nonsense("", "Hello")]
#[case::ehlo_421("EHLO", "421 Not now")]
#[case::ehlo_451("EHLO", "451 Not now")]
#[case::ehlo_554("EHLO", "554 Go away")]
#[case::mail_451("MAIL", "451 4.3.0 Not now")]
#[case::rcpt_450("RCPT", "450 4.2.0 Not now")]
#[case::data_451("DATA", "451 Not now")]
#[case::content_451(".", "451 4.3.0 Not now")]
#[case::mail_nonsense("MAIL", "OK")]
#[tokio::test(start_paused = true)]
async fn the_next_exchanger_is_tried_in_the_same_attempt(
    #[case] at: &'static str,
    #[case] line: &'static str,
) {
    let world = with_second(world(plain().saying(at, line)), second());
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx2.x.example"), ["bob@x.example"], "{}", log(&relay));
    assert_eq!(world.delivered().len(), 1);
    assert_eq!(relay.queue(), []);
    let quits = commands(&world, "mx.x.example").iter().filter(|command| *command == "QUIT").count();
    // After nonsense in reply to MAIL, a DATA that was pipelined behind it has been answered with 354: QUIT would be
    // content.
    let may_quit = !(line.starts_with("421") || at == "MAIL" && line == "OK");
    assert_eq!(quits, usize::from(may_quit), "QUIT, unless the host has gone or awaits content");
}

#[tokio::test(start_paused = true)]
async fn an_exchanger_that_is_down_is_passed_over() {
    let world = with_second(world(plain()), second());
    world.clear(MX);
    let _relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx2.x.example"), ["bob@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn a_recipient_that_is_put_off_is_offered_to_the_next_exchanger_alone() {
    let world = with_second(world(plain().saying("RCPT TO:<joe", "450 4.2.0 Not now")), second());
    let _relay = world.relay().await;
    world.submit(&["bob@x.example", "joe@x.example"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example"]);
    assert_eq!(recipients(&world, "mx2.x.example"), ["joe@x.example"]);
}

/// A host that takes two recipients in a transaction.
fn takes_two(refusal: &'static str) -> Host {
    let taken = AtomicUsize::new(0);
    plain().scripted(move |heard| {
        if heard.starts_with("MAIL") {
            taken.store(0, Ordering::Relaxed);
        }
        if heard.starts_with("RCPT") && taken.fetch_add(1, Ordering::Relaxed) >= 2 {
            refusal.into()
        } else {
            Say::Usual
        }
    })
}

#[rstest]
#[case("452 4.5.3 Too many recipients")]
#[case("452 Too many recipients")]
#[case("552 Too many recipients")]
#[tokio::test(start_paused = true)]
async fn recipients_left_over_follow_at_once_in_the_same_session(#[case] refusal: &'static str) {
    let world = world(takes_two(refusal));
    let relay = world.relay().await;
    let all = ["r1@x.example", "r2@x.example", "r3@x.example", "r4@x.example", "r5@x.example"];
    world.submit(&all).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), all, "{}", log(&relay));
    assert_eq!(world.delivered().len(), 3);
    assert_eq!(world.when("mx.x.example", "EHLO").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_session_carries_what_waits_for_the_same_host() {
    for (reuse, sessions) in [(true, 1), (false, 2)] {
        let world = world(plain());
        let relay = world.relay_with(|config| config.reuse = reuse).await;
        world.clear(MX);
        world.submit(&["bob@x.example"]).await;
        world.submit(&["joe@x.example"]).await;
        world.put(MX, plain());
        world.settle().await;
        relay.run_queue();
        world.settle().await;
        assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"]);
        assert_eq!(world.when("mx.x.example", "EHLO").len(), sessions);
        assert_eq!(world.when("mx.x.example", "QUIT").len(), sessions);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_does_not_spoil_the_session_for_the_next() {
    let world = world(plain());
    world.clear(MX);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.submit(&["joe@x.example"]).await;
    world.settle().await;
    world.put(MX, plain().offering(&[]).saying("RCPT TO:<bob", "550 5.1.1 No such user"));
    relay.run_queue();
    world.settle().await;
    let heard = commands(&world, "mx.x.example");
    assert_eq!(heard.iter().filter(|c| c.starts_with("EHLO")).count(), 1);
    assert!(heard.contains(&"RSET".to_owned()), "{heard:?}");
    assert_eq!(recipients(&world, "mx.x.example"), ["joe@x.example"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ended_meanwhile_is_opened_again() {
    let closes = first(1);
    let world = world(plain());
    world.clear(MX);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.submit(&["joe@x.example"]).await;
    world.settle().await;
    world.put(
        MX,
        plain().scripted(move |heard| {
            let is_second = heard.starts_with("RCPT TO:<joe");
            if is_second && closes() { Say::Close } else { Say::Usual }
        }),
    );
    relay.run_queue();
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"], "{}", log(&relay));
    assert_eq!(world.when("mx.x.example", "EHLO").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_route_and_a_smart_host_are_asked_without_mx() {
    let world = World::new();
    world.names(|zone| {
        zone.a("smart.example", MX);
        zone.mx("smart.example", 1, "wrong.example");
    });
    world.put(MX, Host::new("smart"));
    world.put(MX2, Host::new("inside"));
    let _relay = world
        .relay_with(|config| {
            config.smarthost = Some(NextHop::Name("smart.example".into()));
            let via = NextHop::Address((MX2, 25).into());
            config.routes = vec![Route { domain: "inside.example".into(), via }];
        })
        .await;
    world.submit(&["bob@anywhere.example", "joe@Inside.example", "sue@[203.0.113.5]"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "smart"), ["bob@anywhere.example", "sue@[203.0.113.5]"]);
    assert_eq!(recipients(&world, "inside"), ["joe@Inside.example"]);
}

#[tokio::test(start_paused = true)]
async fn an_address_literal_names_its_host() {
    let world = world(plain());
    let _relay = world.relay().await;
    world.submit(&["bob@[198.51.100.7]"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@[198.51.100.7]"]);
}

#[tokio::test(start_paused = true)]
async fn a_domain_without_mx_is_its_own_exchanger() {
    let world = World::new();
    world.names(|zone| zone.a("plain.example", MX));
    world.put(MX, Host::new("plain"));
    let _relay = world.relay().await;
    world.submit(&["bob@plain.example"]).await;
    world.settle().await;
    assert_eq!(recipients(&world, "plain"), ["bob@plain.example"]);
}

#[tokio::test(start_paused = true)]
async fn many_recipients_are_pipelined_in_groups() {
    let world = world(plain());
    let _relay = world.relay().await;
    let all: Vec<_> = (0..400).map(|n| format!("recipient{n}@x.example")).collect();
    world.submit(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), all);
    assert_eq!(world.delivered().len(), 1);
}

#[rstest]
#[case::pipelined(&["PIPELINING"], &["DATA", "QUIT"])]
#[case::in_lock_step(&[], &["QUIT"])]
#[tokio::test(start_paused = true)]
async fn content_for_nobody_is_not_sent(#[case] offers: &[&str], #[case] end: &[&str]) {
    // A host that wants content all the same (RFC 2920 section 3.1).
    let world = world(plain().offering(offers).saying("RCPT", "550 5.1.1 No such user"));
    let _relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    let heard = commands(&world, "mx.x.example");
    assert_eq!(heard[3..], *end);
    assert_eq!(recipients(&world, "mx.x.example"), [""; 0]);
    notification(&world);
}

/// RFC 5321 section 4.1.1.10: the connection is not closed before QUIT is sent.
#[rstest]
#[case::bare_lf("EHLO", "250 hello\nthere", &["PIPELINING"])]
#[case::odd_code("RCPT", "671 What", &[])]
#[case::mixed_codes("MAIL", "250-a\r\n550 b", &[])]
#[case::odd_code_for_data("DATA", "671 What", &[])]
#[case::after_content(".", "671 What", &["PIPELINING"])]
#[tokio::test(start_paused = true)]
async fn a_reply_that_is_none_is_followed_by_quit(
    #[case] at: &'static str,
    #[case] line: &'static str,
    #[case] offers: &[&str],
) {
    let world = world(plain().offering(offers).saying(at, line));
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.settle().await;
    assert_eq!(commands(&world, "mx.x.example").last().map(String::as_str), Some("QUIT"), "{}", log(&relay));
    assert!(reason(&relay).contains("did not speak SMTP"), "{}", reason(&relay));
}

/// Where a DATA is on its way, what its answer is decides whether QUIT would be content.
#[rstest]
#[case::refused("554 No", true)]
#[case::awaited("354 Go on", false)]
#[tokio::test(start_paused = true)]
async fn quit_is_not_sent_as_content(#[case] data: &'static str, #[case] quits: bool) {
    let world = world(plain().scripted(move |heard| match heard {
        heard if heard.starts_with("MAIL") => "671 What".into(),
        "DATA" => data.into(),
        _ => Say::Usual,
    }));
    let _relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.pass(1).await;
    assert_eq!(commands(&world, "mx.x.example").contains(&"QUIT".to_owned()), quits);
}

/// RFC 5321 section 4.5.1.
#[rstest]
#[case::of_the_route(None, true, "postmaster@inside.example")]
#[case::configured(Some("root@inside.example"), true, "root@inside.example")]
#[case::nowhere_else(None, false, "")]
#[tokio::test(start_paused = true)]
async fn mail_to_the_postmaster_arrives(
    #[case] postmaster: Option<&str>,
    #[case] routed: bool,
    #[case] arrives: &str,
) {
    for recipient in ["Postmaster", "PostMaster@Relay.Example"] {
        let world = World::new();
        world.put(MX, Host::new("inside"));
        let relay = world
            .relay_with(|config| {
                config.postmaster = postmaster.map(str::to_owned);
                let via = NextHop::Address((MX, 25).into());
                config.routes = vec![Route { domain: "inside.example".into(), via }];
                if !routed {
                    config.routes.clear();
                }
            })
            .await;
        world.submit(&[recipient]).await;
        world.settle().await;
        assert_eq!(relay.queue(), [], "{}", log(&relay));
        assert_eq!(world.notifications(), []);
        if routed {
            assert_eq!(recipients(&world, "inside"), [arrives]);
        } else {
            let kept = std::fs::read_to_string(world.spool().join("postmaster/Q1.content"));
            assert!(kept.expect("it is kept").ends_with("\r\nHello\r\n"));
        }
    }
}

/// A host that takes one MAIL in a session.
fn takes_one_mail(offers: &[&str], usual: impl Fn(&str) -> Say + Send + Sync + 'static) -> Host {
    let mails = AtomicUsize::new(0);
    plain().offering(offers).scripted(move |heard| {
        if heard.is_empty() {
            mails.store(0, Ordering::Relaxed);
        }
        if heard.starts_with("MAIL") {
            mails.fetch_add(1, Ordering::Relaxed);
        }
        let again = mails.load(Ordering::Relaxed) > 1;
        match heard.split([' ', ':']).next() {
            Some("MAIL" | "RCPT" | "DATA") if again => "503 5.5.1 Sender already specified".into(),
            _ => usual(heard),
        }
    })
}

#[rstest]
#[case(&["PIPELINING"])]
#[case(&[])]
#[tokio::test(start_paused = true)]
async fn a_session_that_takes_no_second_mail_is_opened_again(#[case] offers: &[&str]) {
    let world = world(plain());
    world.clear(MX);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.submit(&["joe@x.example"]).await;
    world.settle().await;
    world.put(MX, takes_one_mail(offers, |_| Say::Usual));
    relay.run_queue();
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"], "{}", log(&relay));
    assert_eq!(world.notifications(), []);
    assert_eq!(world.when("mx.x.example", "EHLO").len(), 2);
    assert_eq!(world.when("mx.x.example", "QUIT").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn recipients_left_over_follow_in_another_session_where_one_takes_one_mail() {
    let taken = AtomicUsize::new(0);
    let world = world(takes_one_mail(&[], move |heard| {
        if heard.starts_with("MAIL") {
            taken.store(0, Ordering::Relaxed);
        }
        let full = heard.starts_with("RCPT") && taken.fetch_add(1, Ordering::Relaxed) >= 2;
        if full { "452 4.5.3 Too many".into() } else { Say::Usual }
    }));
    let relay = world.relay().await;
    let all = ["r1@x.example", "r2@x.example", "r3@x.example", "r4@x.example", "r5@x.example"];
    world.submit(&all).await;
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), all, "{}", log(&relay));
    assert_eq!(world.when("mx.x.example", "EHLO").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_rset_is_held_against_the_session_and_not_against_the_next_mail() {
    let world = world(plain());
    world.clear(MX);
    let relay = world.relay().await;
    world.submit(&["bob@x.example"]).await;
    world.submit(&["never@x.example"]).await;
    world.submit(&["joe@x.example"]).await;
    world.settle().await;
    // Without PIPELINING nothing follows the refused RCPT, and the transaction stays open until RSET.
    let host = plain().offering(&[]).scripted(|heard| match heard {
        heard if heard.starts_with("RCPT TO:<never") => "550 5.1.1 No such user".into(),
        "RSET" => "500 What?".into(),
        _ => Say::Usual,
    });
    world.put(MX, host);
    relay.run_queue();
    world.settle().await;
    assert_eq!(recipients(&world, "mx.x.example"), ["bob@x.example", "joe@x.example"], "{}", log(&relay));
    assert_eq!(world.notifications().len(), 1, "{}", log(&relay));
}

/// What is strange and legal, or nobody's business but the reader's, goes on octet for octet, dots and all.
#[rstest]
#[case::bom("\u{ef}\u{bb}\u{bf}Subject: hi\r\n\r\nHello\r\n")]
#[case::mbox_from_line("From a@b Mon Jun 11 12:00:00 2001\r\nSubject: hi\r\n\r\nHello\r\n")]
#[case::no_header("\r\njust this\r\n")]
#[case::no_header_and_no_empty_line("just this\r\nand that\r\n")]
#[case::nothing("")]
#[case::empty_lines("\r\n\r\n\r\n")]
#[case::dots(".\r\n..\r\n.a\r\n")]
#[case::trailing_white_space("Subject: hi \t\r\n\r\n \t\r\n")]
#[case::controls("Subject: hi\r\n\r\n\u{1}\u{8}\u{c}\u{1b}[2J\u{7f}\r\n")]
#[case::unlabelled_8bit("Subject: hi\r\n\r\nGr\u{fc}\u{df}e\r\n")]
#[tokio::test(start_paused = true)]
async fn content_goes_on_as_it_came(#[case] content: &str) {
    let world = world(plain());
    let _relay = world.relay().await;
    let stuffed: String = content
        .split_inclusive("\r\n")
        .map(|l| if l.starts_with('.') { format!(".{l}") } else { l.to_owned() })
        .collect();
    world.submit_as("a@origin.example", "", &["bob@x.example"], &stuffed).await;
    world.settle().await;
    let [mail] = &*world.delivered() else { panic!("not delivered") };
    let (received, rest) = mail.content.split_once(" +0000\r\n").expect("a Received field");
    assert!(received.starts_with("Received: from "), "{received}");
    // The host of these tests does not undo the dots.
    assert_eq!(rest, stuffed);
}

/// NUL may come by DATA; no host is given it as it is without having offered BINARYMIME, and none is given CR or LF alone.
#[tokio::test(start_paused = true)]
async fn nul_goes_on_in_an_encoding_or_back() {
    for (content, goes) in [("Subject: hi\r\n\r\na\0b\r\n", true), ("Subject: \0\r\n\r\nHello\r\n", false)] {
        let world = world(plain());
        let relay = world.relay().await;
        world.submit_as("a@origin.example", "", &["bob@x.example"], content).await;
        world.settle().await;
        assert_eq!(relay.queue(), [], "{}", log(&relay));
        if goes {
            let mail = world.delivered().remove(0);
            assert!(
                mail.content.contains("\r\nContent-Transfer-Encoding: ") && !mail.content.contains('\0'),
                "{mail:?}"
            );
        } else {
            assert_fields(&notification(&world).content, &["Action: failed", "Status: 5.6.3"]);
        }
    }
}
