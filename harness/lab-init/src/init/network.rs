//! The two network namespaces of a lab, and sockets in them.

use super::container::Container;
use super::netlink::{self, LOOPBACK, Netlink};
use crate::early::unshare;
use crate::error::{Doing, LabError};
use crate::layout::Layout;
use rustix::net::sockopt::{set_ip_freebind, set_ipv6_freebind, set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::collections::BTreeSet;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

/// Has network namespaces that are made from this one keep their TCP sockets in a small table of their own (ip-sysctl,
/// `tcp_child_ehash_entries`, Linux 6.1). Otherwise they share the machine's, and to read it for a lab's few sockets takes
/// milliseconds. Best effort: an older kernel is slower.
pub(super) fn small_tables() {
    let _ = std::fs::write("/proc/sys/net/ipv4/tcp_child_ehash_entries", "256");
}

/// Keeps the kernel from fitting a connection to how fast things go in the machine's time: how much a peer that does not read takes
/// before a writer has to wait is then the same each time. Best effort. tcp(7), ip-sysctl.
fn steady_connections() {
    for (name, value) in [
        ("tcp_wmem", "65536 65536 65536"),
        ("tcp_rmem", "131072 131072 131072"),
        ("tcp_moderate_rcvbuf", "0"),
        ("tcp_slow_start_after_idle", "0"),
        ("tcp_no_metrics_save", "1"),
        ("tcp_autocorking", "0"),
    ] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value);
    }
}

/// The Internet's end of the wire, and the relay's.
const INTERNET_END: u32 = 2;
const RELAY_END: u32 = 3;
const BOTH_FAMILIES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
/// Connections that may wait to be accepted. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Both namespaces. This process stays in the Internet's, save inside [`Network::in_relay`].
pub(super) struct Network {
    internet: File,
    relay: File,
    netlink: Netlink,
    /// The addresses that exist on the Internet.
    addresses: BTreeSet<IpAddr>,
}

impl Network {
    /// Makes the relay's namespace, if it is not a container's, and the wire. The process is in the Internet's new and empty one.
    pub(super) fn make(layout: &Layout, container: Option<&Container>) -> Result<Self, LabError> {
        let wiring = "wiring the lab's network";
        let current = || {
            File::open("/proc/self/ns/net")
                .doing(|| "opening /proc/self/ns/net".to_owned())
                .map_err(|e| e.with_help("the file system proc must be mounted at /proc"))
        };
        small_tables();
        steady_connections();
        let internet = current()?;
        let netlink = Netlink::open()?;
        match container {
            Some(container) => container.enter_network()?,
            None => {
                unshare(UnshareFlags::NEWNET).doing(|| "making the relay's network namespace".to_owned())?;
            }
        }
        steady_connections();
        let relay = current()?;
        let in_relay = Netlink::open()?;
        let news = Netlink::of_links()?;
        let pair = netlink::pair("relay", INTERNET_END, "eth0", RELAY_END, relay.as_fd());
        netlink.request("joining the lab's two networks (veth)", [pair]).map_err(|e| match e.raw() {
            Some(95) => e.with_help("the kernel needs the module veth: modprobe veth"),
            _ => e.if_forbidden("the right NET_ADMIN is missing: docker run --cap-add NET_ADMIN"),
        })?;
        let quiet_and_up = |end| [netlink::up(LOOPBACK), netlink::no_link_local(end), netlink::up(end)];
        in_relay.request(wiring, quiet_and_up(RELAY_END))?;
        netlink.request(wiring, quiet_and_up(INTERNET_END))?;
        for address in layout.addresses.iter().copied() {
            in_relay.request("giving the relay its address", [netlink::address(RELAY_END, address)])?;
            if address.is_ipv6() {
                // The kernel makes this entry as well, but later.
                in_relay.request(wiring, [netlink::local(address, RELAY_END)])?;
            }
            netlink.request(wiring, [netlink::route(address, INTERNET_END)])?;
        }
        in_relay.request(wiring, BOTH_FAMILIES.map(|any| netlink::default_route(any, RELAY_END)))?;
        netlink.request(wiring, BOTH_FAMILIES.map(netlink::black_hole))?;
        // The end that came up first takes packets only when the kernel has noticed the other one.
        news.until_carrying(RELAY_END)?;
        let network = Network { internet, relay, netlink, addresses: BTreeSet::new() };
        network.enter(&network.internet)?;
        Ok(network)
    }

    /// Does something in the relay's namespace.
    pub(super) fn in_relay<T>(&self, act: impl FnOnce() -> T) -> Result<T, LabError> {
        self.enter(&self.relay)?;
        let done = act();
        self.enter(&self.internet)?;
        Ok(done)
    }

    #[expect(clippy::unused_self, reason = "the namespaces are this network's")]
    fn enter(&self, namespace: &File) -> Result<(), LabError> {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .doing(|| "changing the network namespace".to_owned())
    }

    pub(super) fn add(&mut self, addresses: &[IpAddr]) -> Result<(), LabError> {
        for address in addresses {
            let doing = format!("adding {address} to the Internet");
            self.netlink.request(&doing, [netlink::local(*address, LOOPBACK)])?;
            self.addresses.insert(*address);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, addresses: &[IpAddr]) -> Result<(), LabError> {
        for address in addresses {
            let doing = format!("taking {address} from the Internet");
            self.netlink.request(&doing, [netlink::not_local(*address, LOOPBACK)])?;
            self.addresses.remove(address);
        }
        Ok(())
    }

    /// A listening TCP socket.
    pub(super) fn listener(&self, at: SocketAddr) -> Result<OwnedFd, LabError> {
        let doing = || format!("listening on TCP {at} on the Internet");
        let socket = self.bound(SocketType::STREAM, at).map_err(|error| error.into_doing(doing))?;
        listen(&socket, BACKLOG).doing(doing)?;
        Ok(socket)
    }

    /// A UDP socket.
    pub(super) fn datagrams(&self, at: SocketAddr) -> Result<OwnedFd, LabError> {
        self.bound(SocketType::DGRAM, at)
            .map_err(|error| error.into_doing(|| format!("binding UDP {at} on the Internet")))
    }

    /// A TCP socket that is to be connected.
    pub(super) fn client(&self, from: IpAddr) -> Result<OwnedFd, LabError> {
        self.bound(SocketType::STREAM, SocketAddr::new(from, 0))
            .map_err(|error| error.into_doing(|| format!("binding a client to {from} on the Internet")))
    }

    fn bound(&self, kind: SocketType, at: SocketAddr) -> Result<OwnedFd, Unbound> {
        // The kernel would bind an address that does not exist: see the option below.
        if !self.addresses.contains(&at.ip()) && !at.ip().is_unspecified() && !at.ip().is_loopback() {
            return Err(Unbound::NoSuchAddress);
        }
        let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, kind, flags, None)?;
        if kind == SocketType::STREAM {
            set_socket_reuseaddr(&socket, true)?;
        }
        // For IPv6, an address that is no device's counts as foreign.
        if at.is_ipv4() {
            set_ip_freebind(&socket, true)?;
        } else {
            set_ipv6_freebind(&socket, true)?;
            set_ipv6_v6only(&socket, true)?;
        }
        bind(&socket, &at)?;
        Ok(socket)
    }
}

/// Why a socket has no address.
enum Unbound {
    NoSuchAddress,
    System(rustix::io::Errno),
}

impl From<rustix::io::Errno> for Unbound {
    fn from(error: rustix::io::Errno) -> Self {
        Unbound::System(error)
    }
}

impl Unbound {
    fn into_doing(self, doing: impl FnOnce() -> String) -> LabError {
        match self {
            Unbound::NoSuchAddress => {
                LabError::told(doing(), "the address does not exist there: add it first")
            }
            Unbound::System(error) => LabError::system(doing(), error),
        }
    }
}
