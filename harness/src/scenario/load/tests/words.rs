//! Words of the language that a scenario rarely has: each is read as it is written.

use std::time::Duration;

use mock_servers::script::{Action, On, Reading, TlsAction, TlsVersion, Verb};

use super::*;
use crate::scenario::model::{
    Bdat, Body, Canonicalization, Check, DnsEntry, DnsFault, DnsRecords, DnsTlsa, Inside, Message, Text,
    TransferEncoding,
};

#[test]
fn envelopes_and_parts_are_read_as_written() {
    let scenario = read(
        r#"
title: Parts
servers: { hub: { serves: [hub.example] } }
messages:
  parts:
    from: "jürgen@origin.example"
    to: b@hub.example
    envelope: { smtputf8: true, body: binarymime, by: { bdat: 1KiB }, orcpt: "rfc822; x+y@z.example", auth: "<>" }
    content:
      multipart: alternative
      dkim: simple
      parts:
        - { text: "Gr\u00fc\u00dfe", charset: iso-8859-1, encoding: quoted-printable }
        - { raw: "\0\xFF", type: image/png, name: "a b.png", headers: { Content-ID: "<1@x>" } }
        - parts: [{ text: x, width: 1200, lines: 3 }]
expect:
  - delivered: { dkim: intact }
"#,
    );
    let Message { from, envelope, content, .. } = &scenario.messages[0];
    assert_eq!(from, "jürgen@origin.example");
    assert!(envelope.smtputf8);
    assert_eq!((envelope.body, envelope.bdat), (Some(Body::BinaryMime), Some(Bdat::Chunks(1024))));
    assert_eq!(envelope.orcpt, Some(("rfc822".to_owned(), "x+y@z.example".to_owned())));
    assert_eq!(envelope.auth.as_deref(), Some("<>"));
    assert_eq!(
        (content.dkim, content.body.kind.as_deref()),
        (Some(Canonicalization::Simple), Some("multipart/alternative"))
    );
    let Inside::Parts(parts) = &content.body.inside else { panic!() };
    assert_eq!(parts[0].encoding, Some(TransferEncoding::QuotedPrintable));
    assert_eq!(parts[1].inside, Inside::Octets(vec![0, 0xff]));
    assert_eq!((parts[1].name.as_deref(), parts[1].headers.len()), (Some("a b.png"), 1));
    let Inside::Parts(inner) = &parts[2].inside else { panic!() };
    assert_eq!(
        inner[0].inside,
        Inside::Text(Text { text: Some("x".to_owned()), lines: 3, width: Some(1200) })
    );
    let Check::Delivered(delivered) = &scenario.expect[0].check else { panic!() };
    assert!(delivered.dkim_intact);
}

#[test]
fn a_file_is_read_beside_the_scenario_and_its_lines_get_crlf() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lf.eml"), "Subject: a\n\nb\n").unwrap();
    std::fs::write(folder.path().join("mixed.eml"), "Subject: a\r\n\nb\n").unwrap();
    let scenario = folder.path().join("case.yaml");
    let yaml = "title: Files
servers: { hub: { serves: [hub.example] } }
messages:
  lf: { from: a@origin.example, to: b@hub.example, content: { file: lf.eml } }
  mixed: { from: a@origin.example, to: b@hub.example, content: { file: mixed.eml } }
  part: { from: a@origin.example, to: b@hub.example, content: { parts: [{ file: lf.eml }] } }
expect: [untouched: hub]
";
    std::fs::write(&scenario, yaml).unwrap();
    let messages = load(&scenario, folder.path()).unwrap_or_else(|bad| panic!("{bad}")).remove(0).messages;
    assert_eq!(messages[0].content.file.as_deref(), Some(&b"Subject: a\r\n\r\nb\r\n"[..]));
    assert_eq!(messages[1].content.file.as_deref(), Some(&b"Subject: a\r\n\nb\n"[..]));
    let Inside::Parts(parts) = &messages[2].content.body.inside else { panic!() };
    assert_eq!(parts[0].inside, Inside::Octets(b"Subject: a\n\nb\n".to_vec()));
}

#[test]
fn dns_words_are_read_as_written() {
    let scenario = read(
        r#"
title: DNS
servers: { hub: { serves: [hub.example] } }
messages: { note: { from: a@origin.example, to: b@hub.example } }
dns:
  hub.example: { ttl: 1m, secure: true, truncated: true, tcp: refused }
  mx1.shop.example: { A: hub, AAAA: not-implemented, MX: garbage, TXT: wrong-id }
  _25._tcp.mx1.shop.example: { TLSA: [good, "2 1 2 00 fF"] }
  _25._tcp.MX.hub.example: { TLSA: wrong }
  198.51.100.10: { PTR: other.example }
expect: [delivered: {}]
"#,
    );
    let records: Vec<&DnsRecords> = scenario
        .dns
        .iter()
        .map(|entry| if let DnsEntry::Records(records) = entry { &**records } else { panic!() })
        .collect();
    assert!(records[0].is_settings_alone() && records[0].truncated && records[0].tcp_refused);
    assert_eq!((records[0].ttl, records[0].secure), (Some(Duration::from_mins(1)), Some(true)));
    let faults = [DnsFault::Garbage, DnsFault::NotImplemented, DnsFault::WrongId];
    assert_eq!(records[1].faults.iter().map(|(_, fault)| *fault).collect::<Vec<_>>(), faults);
    let given = DnsTlsa::Given { usage: 2, selector: 1, matching: 2, data: vec![0, 0xff] };
    assert_eq!(records[2].tlsa, Some(vec![DnsTlsa::Good { server: "hub".to_owned() }, given]));
    assert_eq!(records[3].tlsa, Some(vec![DnsTlsa::Wrong]));
    assert_eq!(records[4].ptr, Some(vec!["other.example".to_owned()]));
}

#[test]
fn reading_and_tls_are_read_as_they_are_written() {
    let scenario = hub(
        "    read: 1KiB per 2m\n    offers: { add: [STARTTLS] }\n    on:\n      data: [read: 0, wait: 20m, read: freely]\n      \
         STARTTLS: { tls: { versions: [1.2, \"1.3\"], clear after: \"x\\r\\n\", resume: refuse } }\n      \
         QUIT: { reply: \"221 bye\", close: fin without close_notify }",
    );
    let every = Duration::from_mins(2);
    assert_eq!(scenario.servers[0].script.read, Reading::Slowly { octets: 1024, every });
    assert_eq!(
        rules(&scenario, &On::Data)[0].actions,
        [
            Action::Read(Reading::Nothing),
            Action::Wait(Duration::from_mins(20)),
            Action::Read(Reading::Freely)
        ]
    );
    let tls = TlsAction {
        versions: [TlsVersion::V1_2, TlsVersion::V1_3].into(),
        clear_after: b"x\r\n".to_vec(),
        refuse_resumption: true,
        ..TlsAction::default()
    };
    assert_eq!(rules(&scenario, &On::Command(Verb::StartTls))[0].actions, [Action::Tls(tls)]);
    assert_eq!(
        rules(&scenario, &On::Command(Verb::Quit))[0].actions,
        [reply(221, "bye"), Action::CloseWithoutNotify]
    );
}
