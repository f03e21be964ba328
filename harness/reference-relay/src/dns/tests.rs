use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;

use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX};
use tokio::time::Instant;

use super::*;
use crate::environment::{BoxFuture, Datagrams, Listener, Stream};

/// tokio's paused time, as the relay sees it.
struct Paused {
    started: Instant,
}

impl Clock for Paused {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.started.elapsed()
    }
    fn sleep_until(&self, at: SystemTime) -> BoxFuture<'static, ()> {
        let wait = at.duration_since(self.now()).unwrap_or_default();
        Box::pin(tokio::time::sleep(wait))
    }
}

/// What a question was asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Udp,
    Tcp,
}

/// All datagrams (or the octets of the stream) that come back for a question.
type Answer = fn(&Message, By) -> Vec<Vec<u8>>;

/// A network with nothing but a DNS server, that keeps the questions.
#[derive(Clone)]
struct Scripted {
    answer: Answer,
    asked: Arc<Mutex<Vec<(u16, String, By)>>>,
}

impl Scripted {
    fn replies(&self, question: &[u8], by: By) -> Vec<Vec<u8>> {
        let question = Message::from_vec(question).expect("a question");
        let query = &question.queries[0];
        let asked = format!("{} {}", query.query_type(), query.name());
        self.asked.lock().expect("lock").push((question.metadata.id, asked, by));
        (self.answer)(&question, by)
    }
}

impl Network for Scripted {
    fn connect(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let this = self.clone();
        Box::pin(async move {
            let (ours, mut theirs) = tokio::io::duplex(70_000);
            tokio::spawn(async move {
                let mut question = vec![0; usize::from(theirs.read_u16().await.expect("length"))];
                theirs.read_exact(&mut question).await.expect("question");
                for reply in this.replies(&question, By::Tcp) {
                    theirs.write_u16(reply.len() as u16).await.expect("write");
                    theirs.write_all(&reply).await.expect("write");
                }
            });
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
    fn listen(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
    fn datagrams(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Datagrams>>> {
        let socket = Socket { network: self.clone(), waiting: Vec::new() };
        Box::pin(async { Ok(Box::new(socket) as Box<dyn Datagrams>) })
    }
}

struct Socket {
    network: Scripted,
    waiting: Vec<Vec<u8>>,
}

impl Datagrams for Socket {
    fn send<'a>(&'a mut self, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        self.waiting = self.network.replies(datagram, By::Udp);
        Box::pin(async { Ok(()) })
    }
    fn receive(&mut self) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        Box::pin(async {
            if self.waiting.is_empty() {
                std::future::pending::<()>().await;
            }
            Ok(self.waiting.remove(0))
        })
    }
}

type Asked = Arc<Mutex<Vec<(u16, String, By)>>>;

fn resolver(answer: Answer) -> (Resolver, Asked) {
    let asked = Asked::default();
    let network = Scripted { answer, asked: asked.clone() };
    let clock = Paused { started: Instant::now() };
    let server = SocketAddr::from(([198, 51, 100, 53], 53));
    (Resolver::new(server, Arc::new(clock), Arc::new(network)), asked)
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn mx(owner: &str, preference: u16, exchange: &str) -> Record {
    Record::from_rdata(name(owner), 60, RData::MX(MX::new(preference, name(exchange))))
}

fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
}

fn a(owner: &str, last: u8) -> Record {
    Record::from_rdata(name(owner), 60, RData::A(A(Ipv4Addr::new(198, 51, 100, last))))
}

fn aaaa(owner: &str, last: u16) -> Record {
    Record::from_rdata(name(owner), 60, RData::AAAA(AAAA(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))))
}

fn reply(question: &Message, code: ResponseCode, records: Vec<Record>) -> Message {
    let mut reply = Message::response(question.metadata.id, OpCode::Query);
    reply.metadata.response_code = code;
    reply.add_queries(question.queries.iter().cloned());
    reply.add_answers(records);
    reply
}

fn ok(question: &Message, records: Vec<Record>) -> Vec<Vec<u8>> {
    vec![reply(question, ResponseCode::NoError, records).to_vec().expect("encodes")]
}

fn code(question: &Message, code: ResponseCode) -> Vec<Vec<u8>> {
    vec![reply(question, code, Vec::new()).to_vec().expect("encodes")]
}

fn kind(question: &Message) -> RecordType {
    question.queries[0].query_type()
}

fn exchanger(preference: u16, host: &str) -> Exchanger {
    Exchanger { preference, host: host.into() }
}

async fn hosts(resolver: &Resolver, domain: &str) -> Result<Vec<Exchanger>, DnsError> {
    resolver.exchangers(domain).await.map(|found| found.hosts)
}

async fn addresses(resolver: &Resolver, host: &str) -> Result<Vec<IpAddr>, DnsError> {
    resolver.addresses(host).await.map(|found| found.addresses)
}

#[tokio::test(start_paused = true)]
async fn exchangers_come_by_preference_then_by_name() {
    let (resolver, _) = resolver(|q, _| {
        ok(
            q,
            vec![
                mx("a.example.", 20, "z.a.example."),
                mx("a.example.", 10, "Y.a.example."),
                mx("a.example.", 10, "x.a.example."),
            ],
        )
    });
    assert_eq!(
        hosts(&resolver, "A.Example.").await,
        Ok(vec![exchanger(10, "x.a.example"), exchanger(10, "y.a.example"), exchanger(20, "z.a.example")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_domain_without_mx_is_its_own_exchanger() {
    let (resolver, _) = resolver(|q, _| ok(q, vec![]));
    assert_eq!(hosts(&resolver, "a.example").await, Ok(vec![exchanger(0, "a.example")]));
}

#[tokio::test(start_paused = true)]
async fn a_null_mx_takes_no_mail_but_does_not_spoil_others() {
    let (alone, _) = resolver(|q, _| ok(q, vec![mx("a.example.", 0, ".")]));
    assert_eq!(hosts(&alone, "a.example").await, Err(DnsError::NoMail));
    let (beside, _) =
        resolver(|q, _| ok(q, vec![mx("a.example.", 0, "."), mx("a.example.", 5, "b.example.")]));
    assert_eq!(hosts(&beside, "a.example").await, Ok(vec![exchanger(5, "b.example")]));
}

#[tokio::test(start_paused = true)]
async fn a_missing_domain_and_a_name_dns_cannot_hold_do_not_exist() {
    let (resolver, asked) = resolver(|q, _| code(q, ResponseCode::NXDomain));
    assert_eq!(hosts(&resolver, "a.example").await, Err(DnsError::NoSuchDomain));
    assert_eq!(addresses(&resolver, "a.example").await, Err(DnsError::NoSuchDomain));
    assert_eq!(asked.lock().expect("lock").len(), 3, "MX, AAAA, A");
    for bad in ["", ".", "a..example", &"x".repeat(64), &"a.".repeat(200)] {
        assert_eq!(hosts(&resolver, bad).await, Err(DnsError::NoSuchDomain), "{bad}");
    }
    assert_eq!(asked.lock().expect("lock").len(), 3, "they were not asked for");
}

/// RFC 4074 section 4.2: servers that know nothing of AAAA and say that the name does not exist.
#[tokio::test(start_paused = true)]
async fn nxdomain_to_aaaa_does_not_hide_an_ipv4_address() {
    let (resolver, _) = resolver(|q, _| match kind(q) {
        RecordType::A => ok(q, vec![a("h.example.", 9)]),
        _ => code(q, ResponseCode::NXDomain),
    });
    assert_eq!(addresses(&resolver, "h.example").await.map(|found| found.len()), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn an_alias_is_followed_within_an_answer_and_across_answers() {
    let (resolver, asked) = resolver(|q, _| {
        if q.queries[0].name() == &name("d.example.") {
            ok(q, vec![])
        } else {
            ok(
                q,
                vec![
                    cname("B.example.", "c.example."),
                    cname("a.example.", "b.example."),
                    cname("c.example.", "d.example."),
                ],
            )
        }
    });
    assert_eq!(hosts(&resolver, "a.example").await, Ok(vec![exchanger(0, "d.example")]));
    let asked: Vec<String> = asked.lock().expect("lock").iter().map(|(_, asked, _)| asked.clone()).collect();
    assert_eq!(asked, ["MX a.example.", "MX d.example."]);
}

#[tokio::test(start_paused = true)]
async fn aliases_that_never_end_are_malformed() {
    let (circle, _) =
        resolver(|q, _| ok(q, vec![cname("a.example.", "b.example."), cname("b.example.", "a.example.")]));
    assert!(matches!(hosts(&circle, "a.example").await, Err(DnsError::Malformed(_))));
    let (endless, _) = resolver(|q, _| {
        let asked = q.queries[0].name().to_ascii();
        ok(q, vec![cname(&asked, &format!("x.{asked}"))])
    });
    assert!(matches!(hosts(&endless, "a.example").await, Err(DnsError::Malformed(_))));
}

#[tokio::test(start_paused = true)]
async fn ipv6_addresses_come_first() {
    let (resolver, _) = resolver(|q, _| match kind(q) {
        RecordType::A => ok(q, vec![a("h.example.", 9), a("h.example.", 2)]),
        _ => ok(q, vec![aaaa("h.example.", 7)]),
    });
    let expected: Vec<IpAddr> =
        ["2001:db8::7", "198.51.100.9", "198.51.100.2"].map(|a| a.parse().expect("address")).into();
    assert_eq!(addresses(&resolver, "h.example").await, Ok(expected));
}

#[tokio::test(start_paused = true)]
async fn one_kind_of_address_is_enough_when_the_other_fails() {
    let (half, _) = resolver(|q, _| match kind(q) {
        RecordType::A => ok(q, vec![a("h.example.", 9)]),
        _ => code(q, ResponseCode::ServFail),
    });
    assert_eq!(addresses(&half, "h.example").await.map(|found| found.len()), Ok(1));
    let (none, _) = resolver(|q, _| match kind(q) {
        RecordType::A => ok(q, vec![]),
        _ => code(q, ResponseCode::ServFail),
    });
    assert!(matches!(addresses(&none, "h.example").await, Err(DnsError::Temporary(_))));
    let (empty, _) = resolver(|q, _| ok(q, vec![]));
    assert_eq!(addresses(&empty, "h.example").await, Err(DnsError::NoAddress));
}

#[tokio::test(start_paused = true)]
async fn servfail_and_refused_are_temporary() {
    let (servfail, _) = resolver(|q, _| code(q, ResponseCode::ServFail));
    assert!(matches!(hosts(&servfail, "a.example").await, Err(DnsError::Temporary(_))));
    let (refused, _) = resolver(|q, _| code(q, ResponseCode::Refused));
    assert!(matches!(hosts(&refused, "a.example").await, Err(DnsError::Temporary(_))));
}

#[tokio::test(start_paused = true)]
async fn silence_is_asked_again_with_the_next_id_and_is_temporary_after_ten_seconds() {
    let started = Instant::now();
    let (resolver, asked) = resolver(|_, _| vec![]);
    assert!(matches!(hosts(&resolver, "a.example").await, Err(DnsError::Temporary(_))));
    assert_eq!(started.elapsed().as_secs(), 10);
    let ids: Vec<u16> = asked.lock().expect("lock").iter().map(|(id, _, _)| *id).collect();
    assert_eq!(ids, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn answers_to_other_questions_are_passed_over() {
    let (resolver, _) = resolver(|q, _| {
        let right = ok(q, vec![mx("a.example.", 10, "right.example.")]).remove(0);
        let wrong = ok(q, vec![mx("a.example.", 10, "wrong.example.")]).remove(0);
        let mut wrong_id = wrong.clone();
        wrong_id[1] ^= 0xff;
        let mut no_answer = wrong;
        no_answer[2] &= 0x7f;
        let mut other = q.clone();
        other.queries[0].set_query_type(RecordType::TXT);
        let mut datagrams = vec![vec![], vec![0, 1, 2], wrong_id, no_answer];
        datagrams.extend(ok(&other, vec![]));
        datagrams.push(right);
        datagrams
    });
    assert_eq!(hosts(&resolver, "a.example").await, Ok(vec![exchanger(10, "right.example")]));
}

#[tokio::test(start_paused = true)]
async fn garbage_under_the_right_id_is_malformed() {
    let (resolver, _) = resolver(|q, _| {
        let mut garbage = ok(q, vec![mx("a.example.", 10, "b.example.")]).remove(0);
        garbage.truncate(garbage.len() - 3);
        vec![garbage]
    });
    assert!(matches!(hosts(&resolver, "a.example").await, Err(DnsError::Malformed(_))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_short_is_fetched_by_tcp() {
    let (resolver, asked) = resolver(|q, by| {
        let mut whole = reply(q, ResponseCode::NoError, vec![mx("a.example.", 10, "b.example.")]);
        if by == By::Udp {
            whole.answers.clear();
            whole.metadata.truncation = true;
        }
        vec![whole.to_vec().expect("encodes")]
    });
    assert_eq!(hosts(&resolver, "a.example").await, Ok(vec![exchanger(10, "b.example")]));
    let asked: Vec<By> = asked.lock().expect("lock").iter().map(|(_, _, by)| *by).collect();
    assert_eq!(asked, [By::Udp, By::Tcp]);
}

#[tokio::test(start_paused = true)]
async fn tcp_that_closes_without_an_answer_is_temporary() {
    let (resolver, _) = resolver(|q, by| {
        let mut cut = reply(q, ResponseCode::NoError, vec![]);
        cut.metadata.truncation = true;
        if by == By::Udp { vec![cut.to_vec().expect("encodes")] } else { vec![] }
    });
    assert!(matches!(hosts(&resolver, "a.example").await, Err(DnsError::Temporary(_))));
}

#[tokio::test(start_paused = true)]
async fn a_domain_in_unicode_is_asked_for_in_its_a_labels() {
    let (resolver, asked) = resolver(|q, _| ok(q, vec![]));
    assert_eq!(hosts(&resolver, "Müller.example").await, Ok(vec![exchanger(0, "xn--mller-kva.example")]));
    assert_eq!(asked.lock().expect("lock").len(), 1);
}
