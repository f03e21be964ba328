//! The shells that give the zone sockets. What is to be said they ask [`Zone::answer`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::{Action, DnsQuery, QueryLog, Transport, Zone};
use crate::environment::{Clock, Connection, Datagrams, Listener};

/// Answers queries by UDP until the socket fails. To stop it, drop it.
pub async fn serve_udp(
    mut socket: Box<dyn Datagrams>,
    zone: Arc<Zone>,
    clock: Arc<dyn Clock>,
    log: QueryLog,
) -> io::Result<()> {
    let server = Server { zone, clock, log };
    loop {
        let (query, from) = socket.receive().await?;
        if let Action::Reply(reply) = server.act(&query, Transport::Udp, from) {
            // that a client is gone is its own affair
            let _ = socket.send(&reply, from).await;
        }
    }
}

/// Answers queries by TCP until the listener fails. To stop it, connections included, drop it.
pub async fn serve_tcp(
    mut listener: Box<dyn Listener>,
    zone: Arc<Zone>,
    clock: Arc<dyn Clock>,
    log: QueryLog,
) -> io::Result<()> {
    let server = Arc::new(Server { zone, clock, log });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // always in this order, so that two runs are the same
            biased;
            accepted = listener.accept() => {
                let (connection, from) = accepted?;
                let server = server.clone();
                connections.spawn(async move {
                    // that a client went away in the middle is its own affair
                    let _ = server.converse(connection, from).await;
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

struct Server {
    zone: Arc<Zone>,
    clock: Arc<dyn Clock>,
    log: QueryLog,
}

impl Server {
    /// Decides about a query and writes it down.
    fn act(&self, query: &[u8], transport: Transport, from: SocketAddr) -> Action {
        let at = self.clock.now();
        let answer = self.zone.answer(query, transport, at);
        self.log.push(DnsQuery {
            at,
            name: answer.name,
            record_type: answer.record_type,
            transport,
            from,
            outcome: answer.outcome,
        });
        answer.action
    }

    /// Query after query, answered in order, until the client closes. Messages stand behind their length in two octets
    /// (RFC 1035 section 4.2.2).
    async fn converse(&self, mut connection: Box<dyn Connection>, from: SocketAddr) -> io::Result<()> {
        loop {
            let length = match connection.read_u16().await {
                Ok(length) => usize::from(length),
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(e) => return Err(e),
            };
            let mut query = vec![0; length];
            connection.read_exact(&mut query).await?;
            match self.act(&query, Transport::Tcp, from) {
                Action::Reply(reply) => {
                    // one write: some clients take a length that comes alone for the whole
                    let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
                    let framed = [&length.to_be_bytes()[..], &reply].concat();
                    connection.write_all(&framed).await?;
                    connection.flush().await?;
                }
                Action::Silence => {}
                Action::Reset => return connection.reset_on_drop(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;
    use tokio::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::dns::tests::{query, world};
    use crate::dns::{Fault, RecordType, State, Tcp};
    use crate::environment::real::RealClock;

    #[tokio::test]
    async fn it_answers_on_real_sockets_and_writes_down_who_asked() {
        let (zone, log) = (Arc::new(world()), QueryLog::default());
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let (udp_at, tcp_at) = (udp.local_addr().expect("address"), tcp.local_addr().expect("address"));
        let clock = Arc::new(RealClock::start());
        let servers = [
            tokio::spawn(serve_udp(Box::new(udp), zone.clone(), clock.clone(), log.clone())),
            tokio::spawn(serve_tcp(Box::new(tcp), zone, clock, log.clone())),
        ];
        let question = query("shop.example", RecordType::Mx).to_vec().expect("encodes");

        let client = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        client.send_to(&question, udp_at).await.expect("send");
        let mut reply = vec![0; 4096];
        let length = client.recv(&mut reply).await.expect("receive");
        assert_eq!(Message::from_vec(&reply[..length]).expect("readable").answers.len(), 2);

        let mut stream = TcpStream::connect(tcp_at).await.expect("connect");
        for _ in 0..2 {
            stream.write_u16(question.len() as u16).await.expect("write");
            stream.write_all(&question).await.expect("write");
            let mut reply = vec![0; usize::from(stream.read_u16().await.expect("length"))];
            stream.read_exact(&mut reply).await.expect("reply");
            assert_eq!(Message::from_vec(&reply).expect("readable").answers.len(), 2);
        }

        let seen: Vec<(Transport, SocketAddr)> =
            log.queries().iter().map(|q| (q.transport, q.from)).collect();
        let (by_udp, by_tcp) = (client.local_addr().expect("address"), stream.local_addr().expect("address"));
        assert_eq!(seen, [(Transport::Udp, by_udp), (Transport::Tcp, by_tcp), (Transport::Tcp, by_tcp)]);
        assert_eq!(log.queries()[0].name, "shop.example");
        for server in servers {
            server.abort();
        }
    }

    #[tokio::test]
    async fn a_refused_name_resets_the_connection_and_an_unanswered_one_leaves_it_open() {
        let mut zone = world();
        zone.get_mut("shop.example").expect("it is there").first_mut().tcp = Tcp::Refused;
        zone.insert("stuck.example", State::fault(Fault::Timeout));
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = tcp.local_addr().expect("address");
        let clock = Arc::new(RealClock::start());
        let server = tokio::spawn(serve_tcp(Box::new(tcp), Arc::new(zone), clock, QueryLog::default()));

        let mut stream = TcpStream::connect(address).await.expect("connect");
        let mut three = Vec::new();
        for name in ["stuck.example", "null.example", "shop.example"] {
            let question = query(name, RecordType::Mx).to_vec().expect("encodes");
            three.extend((question.len() as u16).to_be_bytes());
            three.extend(question);
        }
        stream.write_all(&three).await.expect("write");
        let mut got = Vec::new();
        let end = stream.read_to_end(&mut got).await.expect_err("reset");
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
        server.abort();
    }
}
