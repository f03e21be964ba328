//! What the kernel tells about the lab, read from the lab's own `/proc`.

use super::network::Network;
use crate::error::{Doing, LabError};
use crate::view::{Activity, Connection, Task, Underway};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Every thread of every process but this one.
pub(super) fn tasks() -> Result<Vec<Task>, LabError> {
    let mut tasks = Vec::new();
    for pid in numbers(Path::new("/proc"))? {
        if pid == 1 {
            continue;
        }
        let threads = format!("/proc/{pid}/task");
        // A process may end meanwhile: then it is not there.
        for tid in numbers(Path::new(&threads)).unwrap_or_default() {
            tasks.extend(task(pid, tid));
        }
    }
    Ok(tasks)
}

/// What happens at this moment; `last` is the mark of the look before.
pub(super) fn activity(network: &Network, last: Option<u64>) -> Result<Activity, LabError> {
    let mut hasher = DefaultHasher::new();
    let mut busy = false;
    let mut threads = Vec::new();
    for pid in numbers(Path::new("/proc"))?.into_iter().filter(|pid| *pid != 1) {
        for tid in numbers(Path::new(&format!("/proc/{pid}/task"))).unwrap_or_default() {
            let at = format!("/proc/{pid}/task/{tid}");
            let Ok(status) = fs::read(format!("{at}/status")) else { continue };
            let status = String::from_utf8_lossy(&status);
            let state =
                status.lines().find_map(|line| line.strip_prefix("State:")?.trim_start().chars().next());
            busy |= !matches!(state, Some('S' | 'I' | 'T' | 't'));
            (tid, switches(&status)).hash(&mut hasher);
            threads.push(at);
        }
    }
    let connections = connections(network)?;
    for one in &connections {
        (one.of_relay, one.local, one.remote, one.unacknowledged, one.unread).hash(&mut hasher);
    }
    let mark = hasher.finish();
    let sleeps =
        |at: &String| fs::read_to_string(format!("{at}/wchan")).is_ok_and(|w| w.contains("nanosleep"));
    Ok(Activity {
        mark,
        busy,
        naps: last == Some(mark) && threads.iter().any(sleeps),
        in_flight: connections.iter().any(|one| one.unacknowledged > 0),
    })
}

/// How often a thread has left the processor, of its own will or not, by its `status` (proc(5)).
fn switches(status: &str) -> u64 {
    let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
    lines.filter_map(|line| line.rsplit_once('\t')?.1.parse::<u64>().ok()).sum()
}

fn numbers(directory: &Path) -> Result<Vec<u32>, LabError> {
    let entries = fs::read_dir(directory).doing(|| format!("reading the lab's {}", directory.display()))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// By the forms in proc(5): `stat` is "pid (comm) state parent ...", where comm may hold anything.
fn task(pid: u32, tid: u32) -> Option<Task> {
    let at = format!("/proc/{pid}/task/{tid}");
    let stat = String::from_utf8_lossy(&fs::read(format!("{at}/stat")).ok()?).into_owned();
    let status = String::from_utf8_lossy(&fs::read(format!("{at}/status")).ok()?).into_owned();
    let (_, rest) = stat.split_once('(')?;
    let (comm, rest) = rest.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let switches = switches(&status);
    // "0" is a thread that runs, or a kernel that keeps it to itself.
    let waits_in =
        fs::read_to_string(format!("{at}/wchan")).ok().filter(|name| name != "0" && !name.is_empty());
    Some(Task {
        pid,
        tid,
        parent: fields.get(1)?.parse().ok()?,
        comm: comm.to_owned(),
        state: fields.first()?.chars().next()?,
        ticks: number(11)? + number(12)?,
        switches,
        waits_in,
    })
}

/// TCP sockets of both namespaces with bytes in a queue.
pub(super) fn connections(network: &Network) -> Result<Vec<Connection>, LabError> {
    let mut found = of_namespace(false)?;
    found.extend(network.in_relay(|| of_namespace(true))??);
    Ok(found)
}

/// What of the relay's is open towards the Internet: see [`Underway`].
pub(super) fn underway(network: &Network) -> Result<Vec<Underway>, LabError> {
    let (tcp, udp) = network.in_relay(|| (tables(TCP), tables(UDP)))?;
    let mut found: Vec<Underway> = tcp?.iter().filter_map(|line| open_connection(line)).collect();
    found.extend(udp?.iter().filter_map(|line| open_query(line)));
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Of a line as below, whom a connection is with that this side has not closed (`linux/tcp_states.h`: established, the two of the
/// handshake, and closed by the other side alone).
fn open_connection(line: &str) -> Option<Underway> {
    let (remote, state) = remote(line)?;
    let open = ["01", "02", "03", "08"].contains(&state);
    (open && !remote.ip().is_loopback()).then_some(Underway::Connection(remote.ip()))
}

/// Of a line of `/proc/net/udp`, which is like those of `tcp`, the DNS server that it is connected to.
fn open_query(line: &str) -> Option<Underway> {
    const DNS: u16 = 53;
    let (remote, _) = remote(line)?;
    (remote.port() == DNS && !remote.ip().is_loopback()).then_some(Underway::Query(remote.ip()))
}

fn remote(line: &str) -> Option<(SocketAddr, &str)> {
    let mut fields = line.split_ascii_whitespace().skip(2);
    Some((address(fields.next()?)?, fields.next()?))
}

/// Where somebody in the relay's namespace listens.
pub(super) fn listeners(network: &Network) -> Result<Vec<SocketAddr>, LabError> {
    let lines = network.in_relay(|| tables(TCP))??;
    let mut found: Vec<SocketAddr> = lines.iter().filter_map(|line| listener(line)).collect();
    found.sort();
    Ok(found)
}

/// Of a line as below, the address, if it is a listener's.
fn listener(line: &str) -> Option<SocketAddr> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = address(fields.next()?)?;
    (fields.nth(1)? == "0A").then_some(local)
}

const TCP: [&str; 2] = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
const UDP: [&str; 2] = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];

/// The lines of these tables of this thread's namespace.
fn tables(files: [&str; 2]) -> Result<Vec<String>, LabError> {
    let mut lines = Vec::new();
    for file in files {
        let table = match fs::read_to_string(file) {
            // A kernel without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            table => table.doing(|| format!("reading the lab's {file}"))?,
        };
        lines.extend(table.lines().skip(1).map(str::to_owned));
    }
    Ok(lines)
}

pub(super) fn of_namespace(of_relay: bool) -> Result<Vec<Connection>, LabError> {
    Ok(tables(TCP)?.iter().filter_map(|line| connection(line, of_relay)).collect())
}

/// A line of `/proc/net/tcp`: "number: local remote state sending:receiving ...", all hexadecimal.
fn connection(line: &str, of_relay: bool) -> Option<Connection> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote, state) = (address(fields.next()?)?, address(fields.next()?)?, fields.next()?);
    let (sending, receiving) = fields.next()?.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    let (unacknowledged, unread) = (number(sending)?, number(receiving)?);
    let state = u8::from_str_radix(state, 16).ok()?;
    (unacknowledged > 0 || unread > 0).then_some(Connection {
        of_relay,
        local,
        remote,
        state,
        unacknowledged,
        unread,
    })
}

/// An address and port, each 32 bits of the address in the machine's own order.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut octets = Vec::new();
    for start in (0..address.len()).step_by(8) {
        octets.extend(u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?.to_ne_bytes());
    }
    let ip = match *octets.as_slice() {
        [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table() {
        let line = "   1: 0A7133C6:0019 197100CB:C350 01 00000005:00000007 00:00000000 00000000 0 0 1 1 0 20 4 30 10 -1";
        let found = connection(line, true).expect("the line is well formed");
        if cfg!(target_endian = "little") {
            assert_eq!(found.local.to_string(), "198.51.113.10:25");
            assert_eq!(found.remote.to_string(), "203.0.113.25:50000");
        }
        assert_eq!(listener(line), None);
        assert_eq!((found.state, found.unacknowledged, found.unread), (1, 5, 7));
        let with = |ip: &str| ip.parse::<IpAddr>().expect("an address");
        if cfg!(target_endian = "little") {
            assert_eq!(open_connection(line), Some(Underway::Connection(with("203.0.113.25"))));
        }
        assert_eq!(open_connection(&line.replace(" 01 ", " 06 ")), None, "TIME_WAIT");
        assert_eq!(open_connection(&line.replace(" 01 ", " 04 ")), None, "FIN_WAIT1: closed on this side");
        assert_eq!(open_connection(&line.replace(" 01 ", " 0A ")), None, "a listener");
        let idle = line.replace("00000005:00000007", "00000000:00000000");
        assert_eq!(connection(&idle, true), None);
    }

    #[test]
    fn a_query_is_a_socket_that_is_connected_to_a_dns_server() {
        let line = "  12: 197100CB:9C41 036433C6:0035 01 00000000:00000000 00:00000000 00000000 0 0 7 2 0 0";
        if cfg!(target_endian = "little") {
            let server: IpAddr = "198.51.100.3".parse().expect("an address");
            assert_eq!(open_query(line), Some(Underway::Query(server)));
        }
        assert_eq!(open_query(&line.replace("036433C6:0035", "00000000:0000")), None, "not connected");
        assert_eq!(
            open_query(&line.replace("036433C6:0035", "0100007F:0035")),
            None,
            "a resolver of its own"
        );
    }
}
