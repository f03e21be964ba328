//! The TCP sockets of one network namespace, and the datagrams that are on their way in it.
//!
//! By sock_diag(7), asked as its first version was (`TCPDIAG_GETSOCK` of `linux/inet_diag.h`): that one lists both families at
//! once. Listeners are left out, since the kernel walks the machine's whole table for them. A kernel without it is read by
//! `/proc/net/tcp`, which does just that.

use super::look;
use crate::error::{Doing, LabError};
use rustix::fd::OwnedFd;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileExt;

/// The kernel's numbers (`linux/tcp_states.h`) of a handshake that is not over on this side.
const SYN_SENT: u8 = 2;
const SYN_RECEIVED: u8 = 3;
const LISTEN: u8 = 10;

/// One connection's end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Socket {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    state: u8,
    /// Written and not yet acknowledged.
    unacknowledged: u32,
    /// Received and not yet read.
    pub(super) unread: u32,
}

impl Socket {
    /// Something of it is on its way, or ought to be.
    pub(super) fn is_in_flight(&self) -> bool {
        self.unacknowledged > 0 || [SYN_SENT, SYN_RECEIVED].contains(&self.state)
    }

    /// All that it has written is there, though it may not have been told so yet: acknowledgements are sent late where the reader
    /// takes its time.
    pub(super) fn has_arrived(&self, peer: &Socket) -> bool {
        self.unacknowledged > 0 && peer.unread >= self.unacknowledged
    }
}

/// Asks for the sockets of the namespace in which it was opened.
pub(super) struct Sockets {
    /// None where the kernel does not answer there.
    diagnosis: Option<OwnedFd>,
    /// `/proc/net/snmp` and `snmp6`; the second is not where there is no IPv6.
    counters: Vec<File>,
    of_relay: bool,
}

impl Sockets {
    pub(super) fn open(of_relay: bool) -> Self {
        let open = || {
            let flags = SocketFlags::CLOEXEC;
            let socket =
                socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG))?;
            bind(&socket, &SocketAddrNetlink::new(0, 0))?;
            Ok::<_, rustix::io::Errno>(socket)
        };
        let counters = ["snmp", "snmp6"].map(|file| File::open(format!("/proc/thread-self/net/{file}")));
        let mut sockets =
            Self { diagnosis: open().ok(), counters: counters.into_iter().flatten().collect(), of_relay };
        if sockets.diagnosis.as_ref().is_some_and(|socket| diagnose(socket).is_err()) {
            sockets.diagnosis = None;
        }
        sockets
    }

    /// Whether it can be asked from another namespace.
    pub(super) fn is_open(&self) -> bool {
        self.diagnosis.is_some()
    }

    /// All that are no listeners. Without the kernel's diagnosis, to be called in the namespace itself.
    pub(super) fn list(&self) -> Result<Vec<Socket>, LabError> {
        if let Some(socket) = &self.diagnosis {
            return diagnose(socket);
        }
        let connections = look::of_namespace(self.of_relay)?.into_iter();
        Ok(connections
            .map(|one| Socket {
                local: one.local,
                remote: one.remote,
                state: one.state,
                unacknowledged: one.unacknowledged,
                unread: one.unread,
            })
            .collect())
    }

    /// Datagrams (UDP) that were sent here, less those that were read or thrown away here.
    pub(super) fn datagrams(&self) -> i64 {
        let mut text = vec![0; 16 << 10];
        let mut sum = 0;
        for file in &self.counters {
            let length = file.read_at(&mut text, 0).unwrap_or_default();
            sum += datagrams(&String::from_utf8_lossy(&text[..length]));
        }
        sum
    }
}

/// By the forms of `/proc/net/snmp` (a line of names, a line of numbers) and of `snmp6` (a name and a number a line).
fn datagrams(counters: &str) -> i64 {
    let sign = |name: &str| match name.strip_prefix("Udp6").unwrap_or(name) {
        "OutDatagrams" => 1,
        "InDatagrams" | "InErrors" | "NoPorts" => -1,
        _ => 0,
    };
    let mut lines = counters.lines();
    let mut sum = 0;
    while let Some(line) = lines.next() {
        if let Some(names) = line.strip_prefix("Udp: ") {
            let numbers = lines.next().and_then(|line| line.strip_prefix("Udp: ")).unwrap_or_default();
            let pairs = names.split(' ').zip(numbers.split(' '));
            sum += pairs.map(|(name, number)| sign(name) * number.parse().unwrap_or(0)).sum::<i64>();
        } else if line.starts_with("Udp6")
            && let Some((name, number)) = line.split_once(char::is_whitespace)
        {
            sum += sign(name) * number.trim().parse().unwrap_or(0);
        }
    }
    sum
}

fn diagnose(socket: &OwnedFd) -> Result<Vec<Socket>, LabError> {
    const TCPDIAG_GETSOCK: u16 = 18;
    const REQUEST_DUMP: u16 = 0x301;
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    const TIME_WAIT: u8 = 6;
    let doing = || "asking for the lab's TCP sockets".to_owned();
    // `struct nlmsghdr`, `struct inet_diag_req`.
    let mut request = [0_u8; 16 + 60];
    request[..4].copy_from_slice(&76_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&TCPDIAG_GETSOCK.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    let states = !(1_u32 << LISTEN | 1 << TIME_WAIT);
    request[68..72].copy_from_slice(&states.to_ne_bytes());
    send(socket, &request, SendFlags::empty()).doing(doing)?;
    let mut found = Vec::new();
    let mut answer = vec![0; 32 << 10];
    loop {
        let (_, length) = recv(socket, answer.as_mut_slice(), RecvFlags::empty()).doing(doing)?;
        let mut rest = &answer[..length.min(answer.len())];
        while let Some(header) = rest.get(..16) {
            let whole = (u32_at(header, 0) as usize).clamp(16, rest.len());
            let (message, next) = rest.split_at(whole);
            match u16::from_ne_bytes([header[4], header[5]]) {
                DONE => return Ok(found),
                ERROR => {
                    let number = message.get(16..20).map_or(0, |at| u32_at(at, 0).cast_signed());
                    return Err(LabError::system(doing(), rustix::io::Errno::from_raw_os_error(-number)));
                }
                _ => found.extend(parsed(&message[16..])),
            }
            rest = next.get(whole.next_multiple_of(4) - whole..).unwrap_or_default();
        }
    }
}

/// `struct inet_diag_msg`.
fn parsed(message: &[u8]) -> Option<Socket> {
    const IPV4: u8 = 2;
    if message.len() < 64 {
        return None;
    }
    let address = |at: usize, port: usize| {
        let octets: [u8; 16] = message[at..at + 16].try_into().ok()?;
        let ip = match octets {
            [a, b, c, d, ..] if message[0] == IPV4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            octets => IpAddr::V6(Ipv6Addr::from(octets)),
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes([message[port], message[port + 1]])))
    };
    Some(Socket {
        local: address(8, 4)?,
        remote: address(24, 6)?,
        state: message[1],
        unread: u32_at(message, 56),
        unacknowledged: u32_at(message, 60),
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn datagrams_by_both_forms() {
        let snmp = "Ip: A B\nIp: 1 2\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\nUdp: 5 1 2 10 9\nUdpLite: InDatagrams\nUdpLite: 7\n";
        assert_eq!(datagrams(snmp), 2);
        let snmp6 = "Ip6InReceives \t3\nUdp6InDatagrams                 \t4\nUdp6NoPorts\t1\nUdp6InErrors\t0\nUdp6OutDatagrams\t6\nUdpLite6OutDatagrams\t8\n";
        assert_eq!(datagrams(snmp6), 1);
    }

    #[test]
    fn the_kernel_tells_of_both_ends_and_what_is_unread() {
        use std::io::Write as _;
        for at in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without IPv6 has the first alone.
            let Ok(listener) = TcpListener::bind(at) else { continue };
            let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, from) = listener.accept().unwrap();
            client.write_all(b"hello").unwrap();
            let sockets = Sockets::open(false);
            let all = sockets.list().unwrap();
            let there = (server.local_addr().unwrap(), from);
            let found = all.iter().find(|one| (one.local, one.remote) == there).unwrap();
            assert_eq!((found.unread, found.is_in_flight()), (5, false));
            assert!(all.iter().any(|one| (one.remote, one.local) == there));
        }
    }
}
