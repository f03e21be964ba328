use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{self, DNSClass, Name, RData};
use proptest::prelude::*;

use super::*;
use crate::time::RunTime;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7));

/// A small world: a domain with exchangers, addresses and their names, an alias.
pub(super) fn world() -> Zone {
    let mut zone = Zone::new();
    zone.mx("shop.example", 20, "mx2.shop.example")
        .mx("shop.example", 10, "mx1.shop.example")
        .mx("null.example", 0, ".")
        .address("mx1.shop.example", V4)
        .address("mx1.shop.example", V6)
        .ptr(V4, "mx1.shop.example")
        .ptr(V6, "mx1.shop.example")
        .cname("www.shop.example", "Shop.Example")
        .cname("dead.example", "gone.example");
    zone
}

pub(super) fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(
        Name::from_ascii(if name.is_empty() { ".".to_owned() } else { format!("{name}.") }).expect("a name"),
        rr::RecordType::from(kind.code()),
    ));
    message
}

fn at(seconds: u64) -> RunTime {
    RunTime::new(Duration::from_secs(seconds))
}

/// What comes back for a message by UDP at the start of the run.
fn exchange(zone: &Zone, query: &Message) -> (Outcome, Message) {
    let answer = zone.answer(&query.to_vec().expect("encodes"), Transport::Udp, RunTime::ZERO);
    let Action::Reply(octets) = answer.action else { panic!("no reply: {:?}", answer.outcome) };
    (answer.outcome, Message::from_vec(&octets).expect("readable"))
}

fn ask(zone: &Zone, name: &str, kind: RecordType) -> (Outcome, Message) {
    exchange(zone, &query(name, kind))
}

/// Answers as `owner ttl data`.
fn answers(message: &Message) -> Vec<String> {
    message.answers.iter().map(|r| format!("{} {} {}", r.name, r.ttl, r.data)).collect()
}

fn records(texts: &[&str]) -> Outcome {
    Outcome::Records(texts.iter().map(ToString::to_string).collect())
}

#[test]
fn records_come_in_the_order_in_which_they_were_added() {
    let (outcome, reply) = ask(&world(), "shop.example", RecordType::Mx);
    assert_eq!(outcome, records(&["MX 20 mx2.shop.example", "MX 10 mx1.shop.example"]));
    assert_eq!(
        answers(&reply),
        ["shop.example. 300 20 mx2.shop.example.", "shop.example. 300 10 mx1.shop.example."]
    );
    let head = reply.metadata;
    assert_eq!((head.id, head.response_code), (0x1234, ResponseCode::NoError));
    assert!(head.authoritative && head.recursion_available && head.recursion_desired && !head.truncation);
}

#[test]
fn the_octets_on_the_wire_are_those_of_rfc_1035() {
    let mut zone = Zone::new();
    zone.insert(
        "a.b",
        State { ttl: Duration::from_secs(258), ..State::records([Record::A(Ipv4Addr::new(1, 2, 3, 4))]) },
    );
    let query = [
        0xbe, 0xef, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, // id, RD, one question
        1, b'A', 1, b'b', 0, 0, 1, 0, 1,
    ];
    let answer = zone.answer(&query, Transport::Udp, RunTime::ZERO);
    let reply = [
        0xbe, 0xef, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, // QR AA RD, RA; one question, one answer
        1, b'A', 1, b'b', 0, 0, 1, 0, 1, // the question as it was
        0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 2, 0, 4, 1, 2, 3, 4, // a pointer to its name, A, IN, 258 s
    ];
    assert_eq!(answer.action, Action::Reply(reply.to_vec()));
    assert_eq!((answer.name.as_str(), answer.record_type), ("A.b", RecordType::A));
}

#[test]
fn names_are_found_in_any_case_and_the_question_keeps_its_own() {
    let (outcome, reply) = ask(&world(), "sHOP.eXAMPLE", RecordType::Mx);
    assert!(matches!(outcome, Outcome::Records(found) if found.len() == 2));
    assert_eq!(reply.queries[0].name().to_ascii(), "sHOP.eXAMPLE.");
    assert_eq!(reply.answers[0].name.to_ascii(), "sHOP.eXAMPLE.");
}

#[test]
fn an_unknown_name_does_not_exist_and_the_soa_says_for_how_long() {
    let (outcome, reply) = ask(&world(), "nobody.example", RecordType::Mx);
    assert_eq!(outcome, Outcome::NxDomain);
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    assert!(reply.answers.is_empty() && reply.metadata.authoritative);
    let RData::SOA(soa) = &reply.authorities[0].data else { panic!("no SOA") };
    assert_eq!((reply.authorities[0].ttl, soa.minimum), (300, 300));
}

#[test]
fn a_name_without_that_type_and_one_above_others_have_no_data() {
    for (name, kind) in [("shop.example", RecordType::A), ("example", RecordType::Mx), ("", RecordType::Mx)] {
        let (outcome, reply) = ask(&world(), name, kind);
        assert_eq!(outcome, Outcome::NoData(vec![]), "{name}");
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
        assert_eq!(reply.authorities.len(), 1);
    }
    // "op.example" ends a name's text, but no label
    assert_eq!(ask(&world(), "op.example", RecordType::Mx).0, Outcome::NxDomain);
}

#[test]
fn a_name_that_was_said_not_to_exist_lends_no_existence_to_those_above() {
    let mut zone = Zone::new();
    zone.insert("gone.example", State::fault(Fault::NxDomain));
    assert_eq!(ask(&zone, "gone.example", RecordType::Mx).0, Outcome::NxDomain);
    assert_eq!(ask(&zone, "example", RecordType::Mx).0, Outcome::NxDomain);
}

#[test]
fn aliases_stand_in_the_answer_before_what_they_lead_to() {
    let (outcome, reply) = ask(&world(), "www.shop.example", RecordType::Mx);
    assert_eq!(outcome, records(&["CNAME Shop.Example", "MX 20 mx2.shop.example", "MX 10 mx1.shop.example"]));
    assert_eq!(answers(&reply)[0], "www.shop.example. 300 Shop.Example.");
    assert_eq!(answers(&reply)[1], "Shop.Example. 300 20 mx2.shop.example.");
}

#[test]
fn an_alias_of_nothing_does_not_exist_and_still_shows() {
    let (outcome, reply) = ask(&world(), "dead.example", RecordType::A);
    assert_eq!(outcome, Outcome::NxDomain);
    assert_eq!(answers(&reply), ["dead.example. 300 gone.example."]);
    assert_eq!(reply.authorities.len(), 1);
}

#[test]
fn an_alias_asked_for_as_such_is_not_followed() {
    let (outcome, _) = ask(&world(), "www.shop.example", RecordType::Cname);
    assert_eq!(outcome, records(&["CNAME Shop.Example"]));
}

#[test]
fn a_circle_of_aliases_ends() {
    let mut zone = Zone::new();
    zone.cname("a.example", "b.example").cname("b.example", "a.example");
    let (outcome, reply) = ask(&zone, "a.example", RecordType::Mx);
    assert!(matches!(outcome, Outcome::Records(told) if told.len() == reply.answers.len()));
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
}

#[test]
fn a_null_mx_names_the_root() {
    let (_, reply) = ask(&world(), "null.example", RecordType::Mx);
    let RData::MX(mx) = &reply.answers[0].data else { panic!("no MX") };
    assert!(mx.preference == 0 && mx.exchange.is_root());
}

#[test]
fn addresses_have_names() {
    assert_eq!(reverse_name(V4), "7.100.51.198.in-addr.arpa");
    assert_eq!(reverse_name(V6), "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    for address in [V4, V6] {
        let (outcome, _) = ask(&world(), &reverse_name(address), RecordType::Ptr);
        assert_eq!(outcome, records(&["PTR mx1.shop.example"]));
    }
}

#[test]
fn other_records_are_sent_as_they_are() {
    let mut zone = Zone::new();
    zone.add("x.example", Record::Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0xab, 1] })
        .add("x.example", Record::text(vec![b'x'; 300]))
        .add("x.example", Record::Txt(vec![]))
        .add("x.example", Record::Ns("ns.example".into()))
        .add("x.example", Record::Srv { priority: 1, weight: 2, port: 25, target: "mx.example".into() });
    let (outcome, reply) = ask(&zone, "x.example", RecordType::Tlsa);
    assert_eq!(outcome, records(&["TLSA 3 1 1 ab01"]));
    let RData::TLSA(tlsa) = &reply.answers[0].data else { panic!("no TLSA") };
    assert_eq!((u8::from(tlsa.cert_usage), tlsa.cert_data.as_slice()), (3, &[0xab, 1][..]));
    let (_, reply) = ask(&zone, "x.example", RecordType::Txt);
    let RData::TXT(txt) = &reply.answers[0].data else { panic!("no TXT") };
    assert_eq!(txt.txt_data.iter().map(|text| text.len()).collect::<Vec<_>>(), [255, 45]);
    assert_eq!(ask(&zone, "x.example", RecordType::Srv).0, records(&["SRV 1 2 25 mx.example"]));
    let (outcome, _) = ask(&zone, "x.example", RecordType::Any);
    assert!(matches!(outcome, Outcome::Records(all) if all.len() == 5));
    assert_eq!(ask(&zone, "x.example", RecordType::Other(65)).0, Outcome::NoData(vec![]));
}

#[test]
fn a_whole_name_can_fail() {
    for (fault, code) in [
        (Fault::NxDomain, ResponseCode::NXDomain),
        (Fault::Servfail, ResponseCode::ServFail),
        (Fault::Refused, ResponseCode::Refused),
        (Fault::NotImplemented, ResponseCode::NotImp),
    ] {
        let mut zone = Zone::new();
        zone.insert("bad.example", State::fault(fault)).mx("bad.example", 10, "hub.example");
        let (_, reply) = ask(&zone, "BAD.example", RecordType::Mx);
        assert_eq!(reply.metadata.response_code, code);
        assert!(reply.answers.is_empty());
    }
}

#[test]
fn one_type_can_fail_beside_others() {
    let mut zone = world();
    let state = zone.get_mut("mx1.shop.example").expect("it is there").first_mut();
    state.set(RecordType::Aaaa, RecordSet::Fault(Fault::Servfail));
    assert_eq!(ask(&zone, "mx1.shop.example", RecordType::Aaaa).0, Outcome::Servfail);
    assert_eq!(ask(&zone, "mx1.shop.example", RecordType::A).0, records(&["A 198.51.100.7"]));
}

#[test]
fn silence_garbage_and_wrong_ids_are_what_they_say() {
    let silent = |fault| {
        let mut zone = Zone::new();
        zone.insert("bad.example", State::fault(fault));
        let query = query("bad.example", RecordType::Mx).to_vec().expect("encodes");
        zone.answer(&query, Transport::Udp, RunTime::ZERO).action
    };
    assert_eq!(silent(Fault::Timeout), Action::Silence);
    let Action::Reply(garbage) = silent(Fault::Garbage) else { panic!("no reply") };
    assert_eq!(garbage[..2], [0x12, 0x34]);
    assert!(Message::from_vec(&garbage).is_err());
    let Action::Reply(wrong) = silent(Fault::WrongId) else { panic!("no reply") };
    assert_eq!(Message::from_vec(&wrong).expect("readable").metadata.id, !0x1234);
}

#[test]
fn a_name_changes_with_the_runs_time() {
    let mut zone = Zone::new();
    let later = State::records([Record::Mx { preference: 10, exchange: "hub.example".into() }]);
    let node =
        Node::from(State::fault(Fault::Servfail)).then(at(1200), later).then(at(3600), State::default());
    zone.insert("slow.example", node);
    let query = query("slow.example", RecordType::Mx).to_vec().expect("encodes");
    let outcome = |seconds| zone.answer(&query, Transport::Udp, at(seconds)).outcome;
    assert_eq!(outcome(0), Outcome::Servfail);
    assert_eq!(outcome(1199), Outcome::Servfail);
    assert_eq!(outcome(1200), records(&["MX 10 hub.example"]));
    assert_eq!(outcome(3600), Outcome::NoData(vec![]));
}

#[test]
fn an_answer_can_be_cut_short_by_udp_and_reset_by_tcp() {
    let mut zone = world();
    let state = zone.get_mut("shop.example").expect("it is there").first_mut();
    state.truncated = true;
    let (outcome, reply) = ask(&zone, "shop.example", RecordType::Mx);
    assert_eq!(outcome, Outcome::Truncated);
    assert!(reply.metadata.truncation && reply.answers.is_empty() && reply.queries.len() == 1);
    let query = query("shop.example", RecordType::Mx).to_vec().expect("encodes");
    let by_tcp = zone.answer(&query, Transport::Tcp, RunTime::ZERO);
    assert!(matches!(by_tcp.outcome, Outcome::Records(_)));
    zone.get_mut("shop.example").expect("it is there").first_mut().tcp = Tcp::Refused;
    assert_eq!(zone.answer(&query, Transport::Tcp, RunTime::ZERO).action, Action::Reset);
}

#[test]
fn what_does_not_fit_into_a_datagram_is_cut_short() {
    let mut zone = Zone::new();
    for n in 0..40 {
        zone.mx("big.example", n, &format!("exchanger-number-{n}.of.a.long.name.example"));
    }
    let mut query = query("big.example", RecordType::Mx);
    assert_eq!(exchange(&zone, &query).0, Outcome::Truncated);
    let octets = query.to_vec().expect("encodes");
    let Action::Reply(whole) = zone.answer(&octets, Transport::Tcp, RunTime::ZERO).action else {
        panic!("no reply")
    };
    assert!(whole.len() > 512);
    assert_eq!(Message::from_vec(&whole).expect("readable").answers.len(), 40);
    // a client with EDNS may say that it takes more (RFC 6891 section 6.2.3)
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    query.set_edns(edns);
    assert!(matches!(exchange(&zone, &query).0, Outcome::Records(_)));
}

#[test]
fn edns_is_answered_with_edns_and_only_then() {
    let mut query = query("shop.example", RecordType::Mx);
    assert!(exchange(&world(), &query).1.edns.is_none());
    let mut edns = Edns::new();
    edns.set_dnssec_ok(true).set_max_payload(4096);
    query.set_edns(edns.clone());
    let ours = exchange(&world(), &query).1.edns.expect("an OPT record");
    assert!(ours.flags().dnssec_ok && ours.version() == 0);
    edns.set_version(1);
    query.set_edns(edns);
    let (outcome, reply) = exchange(&world(), &query);
    // 16 has two names, and the codec reads it as the other one
    assert_eq!((outcome, u16::from(reply.metadata.response_code)), (Outcome::BadVersion, 16));
}

#[test]
fn secure_names_and_all_below_count_as_validated_for_those_who_ask() {
    let mut zone = world();
    let secure = |zone: &Zone, name, kind| {
        let mut query = query(name, kind);
        query.metadata.authentic_data = true;
        exchange(zone, &query).1.metadata.authentic_data
    };
    assert!(!secure(&zone, "shop.example", RecordType::Mx));
    zone.get_mut("shop.example").expect("it is there").first_mut().secure = Some(true);
    assert!(secure(&zone, "shop.example", RecordType::Mx));
    assert!(secure(&zone, "_25._tcp.mx1.shop.example", RecordType::Tlsa), "that it does not exist, too");
    assert!(secure(&zone, "www.shop.example", RecordType::Mx));
    assert!(!ask(&zone, "shop.example", RecordType::Mx).1.metadata.authentic_data, "AD was not asked for");
    // the alias is only as good as its worst link
    zone.cname("in.shop.example", "null.example");
    assert!(!secure(&zone, "in.shop.example", RecordType::Mx));
    zone.get_mut("mx1.shop.example").expect("it is there").first_mut().secure = Some(false);
    assert!(!secure(&zone, "mx1.shop.example", RecordType::A));
}

#[test]
fn what_is_no_ordinary_question_is_refused_in_the_right_words() {
    let zone = world();
    let octets = query("shop.example", RecordType::Mx).to_vec().expect("encodes");
    let outcome = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut octets = octets.clone();
        change(&mut octets);
        zone.answer(&octets, Transport::Udp, RunTime::ZERO).outcome
    };
    assert_eq!(outcome(&|q| q.truncate(11)), Outcome::Silence);
    assert_eq!(outcome(&|q| q[2] |= 0x80), Outcome::Silence, "an answer");
    assert_eq!(outcome(&|q| q[2] |= 0x28), Outcome::NotImplemented, "an update");
    assert_eq!(outcome(&|q| q.truncate(14)), Outcome::FormatError);
    assert_eq!(outcome(&|q| q.truncate(12)), Outcome::FormatError);
    assert_eq!(outcome(&|q| q[5] = 0), Outcome::FormatError, "no question");
    let mut two = query("shop.example", RecordType::Mx);
    two.add_query(two.queries[0].clone());
    assert_eq!(exchange(&zone, &two).0, Outcome::FormatError);
    let mut chaos = query("version.bind", RecordType::Txt);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(exchange(&zone, &chaos).0, Outcome::Refused);
    assert_eq!(ask(&zone, "shop.example", RecordType::Other(252)).0, Outcome::Refused, "a zone transfer");
}

#[test]
fn what_is_no_name_is_told_and_fails_without_harm() {
    assert_eq!(canonical_name("Shop.Example."), Ok("shop.example".into()));
    assert_eq!(canonical_name("Müller.example"), Ok("xn--mller-kva.example".into()));
    assert_eq!(canonical_name("_25._tcp.mx.example"), Ok("_25._tcp.mx.example".into()));
    for bad in ["a..example", "a b.example", &"x".repeat(64), &"abc.".repeat(80)] {
        let error = canonical_name(bad).expect_err("no name");
        assert!(error.to_string().contains(bad));
    }
    let mut zone = Zone::new();
    zone.mx("a..example", 10, "hub.example").mx("b.example", 10, "a..example");
    assert_eq!(ask(&zone, "b.example", RecordType::Mx).0, Outcome::Servfail);
}

#[test]
fn types_are_written_as_people_write_them() {
    for (word, kind) in
        [("mx", RecordType::Mx), ("TYPE15", RecordType::Mx), ("type65", RecordType::Other(65))]
    {
        assert_eq!(word.parse(), Ok(kind));
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert!("MXX".parse::<RecordType>().is_err());
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(query in prop::collection::vec(any::<u8>(), 0..200), tcp in any::<bool>()) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let answer = world().answer(&query, transport, RunTime::ZERO);
        if let Action::Reply(reply) = answer.action {
            prop_assert_eq!(&reply[..2], &query[..2]);
            prop_assert!(reply[2] & 0x80 != 0);
        }
    }

    #[test]
    fn no_damage_to_a_query_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        extra in prop::collection::vec(any::<u8>(), 0..40),
        kind in any::<u16>(),
    ) {
        let mut message = query("www.shop.example", RecordType::from_code(kind));
        message.set_edns(Edns::new());
        let mut octets = message.to_vec().expect("encodes");
        for (index, value) in changes {
            let at = index.index(octets.len());
            octets[at] = value;
        }
        octets.extend(extra);
        let answer = world().answer(&octets, Transport::Udp, RunTime::ZERO);
        if let Action::Reply(reply) = answer.action {
            prop_assert!(Message::from_vec(&reply).is_ok());
        }
    }
}

#[test]
fn servers_that_stand_elsewhere_have_their_names_and_addresses_there() {
    let mut zone = world();
    zone.readdress(|address| (address == V4).then(|| IpAddr::from([127, 51, 100, 7])));
    let told = |name: &str, kind| ask(&zone, name, kind).0;
    assert_eq!(told("mx1.shop.example", RecordType::A), records(&["A 127.51.100.7"]));
    assert_eq!(told("mx1.shop.example", RecordType::Aaaa), Outcome::NoData(Vec::new()));
    assert_eq!(told("7.100.51.127.in-addr.arpa", RecordType::Ptr), records(&["PTR mx1.shop.example"]));
    for address in [V4, V6] {
        assert!(zone.get(&reverse_name(address)).is_none(), "{address} leads away from here");
    }
}
