//! The few messages of rtnetlink(7) that wire a lab, written out.
//!
//! Numbers are those of `linux/if_link.h`, `linux/rtnetlink.h` and `linux/veth.h`.

use crate::error::{Doing, LabError};
use crate::protocol::readable_within;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The loopback device of every network namespace.
pub(super) const LOOPBACK: u32 = 1;

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const ERROR: u16 = 2;

const FLAG_UP: u32 = 1;
const FLAG_NO_ARP: u32 = 0x80;
const GROUP_LINK: u32 = 1;
const OPERATION_STATE: u16 = 16;
const OPERATION_UP: u8 = 6;

/// One message, being written.
pub(super) struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 16];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST | ACKNOWLEDGE).to_ne_bytes());
        Message(bytes)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).expect("an attribute here has some tens of bytes");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// `quickack` (ip-route(8)): a lab's peers work in milliseconds, and the 40 of a delayed acknowledgement are nobody's. And
    /// `rto_min`, locked: nothing is lost on a wire in memory, and a peer that does not read is not asked each 200 ms of the machine's time
    /// whether it has room again (RFC 9293 section 3.8.6.1), for its answer would come in the middle of the lab's own time.
    fn without_the_kernels_timers(self) -> Self {
        const METRICS: u16 = 8;
        const LOCK: u16 = 1;
        const LEAST_TIMEOUT: u16 = 13;
        const QUICK_ACK: u16 = 15;
        const MILLISECONDS: u32 = 60_000;
        self.nest(METRICS, |metrics| {
            metrics
                .attribute(LOCK, &(1_u32 << LEAST_TIMEOUT).to_ne_bytes())
                .attribute(LEAST_TIMEOUT, &MILLISECONDS.to_ne_bytes())
                .attribute(QUICK_ACK, &1_u32.to_ne_bytes())
        })
    }

    fn nest(self, kind: u16, inside: impl FnOnce(Message) -> Message) -> Self {
        let inner = inside(Message(Vec::new())).0;
        self.attribute(kind, &inner)
    }

    /// `struct ifinfomsg`.
    fn link(self, index: u32, flags: u32) -> Self {
        self.bytes(&[0; 4])
            .bytes(&index.to_ne_bytes())
            .bytes(&flags.to_ne_bytes())
            .bytes(&flags.to_ne_bytes())
    }

    /// A device's name and hardware address. Both ends of a pair have the same one: see [`pair`].
    fn named(self, name: &str) -> Self {
        self.attribute(3, &[name.as_bytes(), &[0]].concat()).attribute(1, &[2, 0, 0, 0, 0, 1])
    }

    /// `struct rtmsg` for one address, or for all of a family, with the device.
    fn route(self, to: IpAddr, prefix: u8, table: u8, scope: u8, kind: u8, device: Option<u32>) -> Self {
        const BY_ADMINISTRATOR: u8 = 4;
        let message =
            self.bytes(&[family(to), prefix, 0, 0, table, BY_ADMINISTRATOR, scope, kind]).bytes(&[0; 4]);
        let message = if prefix == 0 { message } else { message.attribute(1, &octets(to)) };
        match device {
            Some(index) => message.attribute(4, &index.to_ne_bytes()),
            None => message,
        }
    }
}

/// A pair of virtual Ethernet devices: `name` here, the other in the namespace `there`.
///
/// Neither resolves addresses (NOARP): what is sent has the device's own hardware address as destination, so both ends
/// have the same one. Nothing has to be asked for or waited for then, and all traffic on the wire is the relay's own.
pub(super) fn pair(name: &str, index: u32, other: &str, other_index: u32, there: BorrowedFd) -> Message {
    Message::new(NEW_LINK, CREATE | EXCLUSIVE).link(index, FLAG_NO_ARP).named(name).nest(18, |info| {
        info.attribute(1, b"veth").nest(2, |data| {
            data.nest(1, |peer| {
                peer.link(other_index, FLAG_NO_ARP)
                    .named(other)
                    .attribute(28, &there.as_raw_fd().cast_unsigned().to_ne_bytes())
            })
        })
    })
}

/// Keeps a device from giving itself a link-local IPv6 address, and so from speaking unasked.
pub(super) fn no_link_local(index: u32) -> Message {
    Message::new(NEW_LINK, 0)
        .link(index, 0)
        .nest(26, |families| families.nest(10, |v6| v6.attribute(8, &[1])))
}

/// Takes a device into use.
pub(super) fn up(index: u32) -> Message {
    Message::new(NEW_LINK, 0).link(index, FLAG_UP)
}

/// Gives a device an address of its own, usable at once (no detection of duplicates).
pub(super) fn address(index: u32, address: IpAddr) -> Message {
    const NO_DUPLICATE_DETECTION: u8 = 2;
    Message::new(NEW_ADDRESS, CREATE | EXCLUSIVE)
        .bytes(&[family(address), whole(address), NO_DUPLICATE_DETECTION, 0])
        .bytes(&index.to_ne_bytes())
        .attribute(2, &octets(address))
        .attribute(1, &octets(address))
}

const MAIN: u8 = 254;
const LOCAL: u8 = 255;
const SCOPE_ALL: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;

/// What goes to `to` leaves by a device.
pub(super) fn route(to: IpAddr, device: u32) -> Message {
    Message::new(NEW_ROUTE, CREATE)
        .route(to, whole(to), MAIN, SCOPE_LINK, 1, Some(device))
        .without_the_kernels_timers()
}

/// What goes elsewhere leaves by a device. Only the family of `any` counts.
pub(super) fn default_route(any: IpAddr, device: u32) -> Message {
    Message::new(NEW_ROUTE, CREATE)
        .route(any, 0, MAIN, SCOPE_LINK, 1, Some(device))
        .without_the_kernels_timers()
}

/// What goes elsewhere vanishes without a word. Only the family of `any` counts.
pub(super) fn black_hole(any: IpAddr) -> Message {
    Message::new(NEW_ROUTE, CREATE).route(any, 0, MAIN, SCOPE_ALL, 6, None)
}

/// `to` is an address of this namespace, without being a device's: it exists from the acknowledgement on, where an IPv6
/// address given to a device exists some time later.
pub(super) fn local(to: IpAddr, device: u32) -> Message {
    Message::new(NEW_ROUTE, CREATE).route(to, whole(to), LOCAL, SCOPE_HOST, 2, Some(device))
}

/// Takes back [`local`].
pub(super) fn not_local(to: IpAddr, device: u32) -> Message {
    Message::new(DELETE_ROUTE, 0).route(to, whole(to), LOCAL, SCOPE_HOST, 2, Some(device))
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 2 } else { 10 }
}

fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// A socket to the kernel (of the family's protocol 0, routing), for the network namespace in which it was opened.
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    /// For requests.
    pub(super) fn open() -> Result<Self, LabError> {
        Self::with_groups(0)
    }

    /// For news of devices.
    pub(super) fn of_links() -> Result<Self, LabError> {
        Self::with_groups(GROUP_LINK)
    }

    fn with_groups(groups: u32) -> Result<Self, LabError> {
        let doing = || "opening a netlink socket".to_owned();
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None).doing(doing)?;
        bind(&socket, &SocketAddrNetlink::new(0, groups)).doing(doing)?;
        Ok(Netlink(socket))
    }

    /// Does all that `messages` ask for, in order; the error is the first one's that fails, with `doing`.
    pub(super) fn request(
        &self,
        doing: &str,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<(), LabError> {
        for Message(mut bytes) in messages {
            let length = u32::try_from(bytes.len()).expect("a message here has some hundred bytes");
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            send(&self.0, &bytes, SendFlags::empty()).doing(|| doing.to_owned())?;
            let mut answer = [0; 4096];
            let (_, length) = recv(&self.0, &mut answer, RecvFlags::empty()).doing(|| doing.to_owned())?;
            // An acknowledgement is an error of number 0.
            if length < 20 || u16_at(&answer, 4) != ERROR {
                return Err(LabError::told(doing, "the kernel's answer is no acknowledgement"));
            }
            let number = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
            if number != 0 {
                return Err(LabError::system(doing, rustix::io::Errno::from_raw_os_error(-number)));
            }
        }
        Ok(())
    }

    /// Reads the news until the device carries packets.
    pub(super) fn until_carrying(&self, index: u32) -> Result<(), LabError> {
        let doing = || "waiting for the network device between relay and Internet".to_owned();
        let mut news = [0; 8192];
        loop {
            if !readable_within(self.0.as_fd(), Duration::from_secs(10)).doing(doing)? {
                return Err(LabError::told(doing(), "it did not come up in 10 s"));
            }
            let (_, length) = recv(&self.0, &mut news, RecvFlags::empty()).doing(doing)?;
            let mut rest = &news[..length.min(news.len())];
            while rest.len() >= 32 {
                let whole =
                    (u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize).clamp(32, rest.len());
                let (message, next) = rest.split_at(whole);
                let of = u32::from_ne_bytes([message[20], message[21], message[22], message[23]]);
                if u16_at(message, 4) == NEW_LINK
                    && of == index
                    && operation_state(&message[32..]) == OPERATION_UP
                {
                    return Ok(());
                }
                rest = next.get(whole.next_multiple_of(4) - whole..).unwrap_or_default();
            }
        }
    }
}

/// The state among a link's attributes; 0 (unknown) if it is not there.
fn operation_state(mut attributes: &[u8]) -> u8 {
    while attributes.len() >= 4 {
        let length = usize::from(u16_at(attributes, 0)).clamp(4, attributes.len());
        if u16_at(attributes, 2) == OPERATION_STATE && length > 4 {
            return attributes[4];
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    0
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}
