//! What a conversation without I/O takes and gives; `shell` puts a socket under it.

use super::gate::Hold;
use crate::script::{Reading, TlsAction};
use crate::time::RunTime;
use crate::transcript::{Close, What};

/// Something that happened to a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// The connection is open.
    Connected,
    /// The peer sent these bytes.
    Bytes(&'a [u8]),
    /// The handshake that [`Output::BeginTls`] asked for succeeded.
    TlsEstablished {
        /// `TLSv1.3`.
        version: String,
        /// The name that the client asked for.
        server_name: Option<String>,
    },
    /// The handshake failed.
    TlsFailed {
        /// The library's words, or the fault of the script.
        why: String,
        /// Whether the server stays silent from now on in place of closing.
        stall: bool,
        /// Whether that is what the script wanted.
        scripted: bool,
    },
    /// The moment that [`Conversation::deadline`] named has come, or what held the conversation let it go. An early call
    /// does no harm.
    Timer,
    /// The peer closed its direction, or the connection broke.
    PeerClosed(Close),
}

/// Something to be done, in the order given.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Write these bytes in one segment.
    Send(Vec<u8>),
    /// Write this down, in its place between what is sent.
    Record(What),
    /// Make the TLS handshake, and tell how it went. No more is read in the clear.
    BeginTls(TlsAction),
    /// From now on read this much.
    Read(Reading),
    /// Close in order. The last output.
    CloseFin,
    /// The same, but without TLS's close_notify. The last output.
    CloseWithoutNotify,
    /// Reset. The last output.
    CloseReset {
        /// Without waiting until what was sent is acknowledged.
        at_once: bool,
    },
    /// Read nothing and say nothing any more, with the connection open. The last output.
    Stall,
}

/// A conversation that does no I/O: what happened and when goes in, what to do comes out.
pub trait Conversation: Send {
    /// Takes what happened.
    fn handle(&mut self, input: Input<'_>, now: RunTime) -> Vec<Output>;
    /// A segment was written; the conversation writes it down.
    fn sent(&mut self, bytes: &[u8], now: RunTime);
    /// All outputs up to the last were carried out: nothing more will be sent or come.
    fn closed(&mut self, _now: RunTime) {}
    /// The peer said this after the conversation had closed. Whether the conversation has written it down; else it is lines.
    fn overheard(&mut self, _bytes: &[u8], _now: RunTime) -> bool {
        false
    }
    /// Whether it has so much before it that more cannot be taken; then nothing is read for a while.
    fn is_full(&self) -> bool {
        false
    }
    /// When the conversation wants a [`Input::Timer`], if it does.
    fn deadline(&self) -> Option<RunTime>;
    /// What holds the conversation, where something does: once it is over, a [`Input::Timer`] is wanted.
    fn hold(&mut self) -> Option<&mut Hold> {
        None
    }
}
