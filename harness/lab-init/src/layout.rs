//! What a lab is made of.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// The shape of one lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The directory that the relay sees as `/`; it is only read. `/` itself works for a relay installed on this machine.
    /// File systems mounted below it are not seen.
    pub root: PathBuf,
    /// A process of a container, as this machine numbers it: the lab is made inside. The relay then has the container's files
    /// (`root` is a path among them; what it writes stays in the lab), its network (which has to be empty: `--network none`),
    /// its host name, and no right that a program in the container cannot have; its processes are among the container's, and
    /// end with it. `None`: a lab of its own.
    pub container: Option<u32>,
    /// The relay's host name.
    pub hostname: String,
    /// The relay's own addresses. Everything else is on the Internet's side.
    pub addresses: Vec<IpAddr>,
    /// How many bytes the relay may write below its root before its disk is full; as many below each of `/tmp`, `/run` and
    /// `/dev`.
    pub upper_bytes: u64,
}

impl Default for Layout {
    /// `/` as root, no container, `relay.example`, 203.0.113.25 and 2001:db8:113::25, 512 MiB.
    fn default() -> Self {
        Layout {
            root: PathBuf::from("/"),
            container: None,
            hostname: "relay.example".to_owned(),
            addresses: vec![
                Ipv4Addr::new(203, 0, 113, 25).into(),
                Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x25).into(),
            ],
            upper_bytes: 512 << 20,
        }
    }
}

/// Who owns a file, or as whom a command runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Owner {
    /// User and group 0.
    #[default]
    Root,
    /// A name in the lab's own `/etc/passwd`, with that user's group.
    User(String),
    /// A user's and a group's name, in the lab's own `/etc/passwd` and `/etc/group`.
    UserGroup(String, String),
    /// A user's and a group's number.
    Ids(u32, u32),
}
