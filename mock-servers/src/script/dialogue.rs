//! Dialogues: exact bytes in exact order, on either side.

use std::time::Duration;

use super::TlsAction;
use crate::transcript::Side;

/// A conversation, line by line. The mock says its own side's lines and matches the other's.
#[derive(Debug, Clone, PartialEq)]
pub struct Dialogue {
    /// Which side the mock speaks.
    pub mock_is: Side,
    /// The lines in order.
    pub lines: Vec<Line>,
}

/// One step of a dialogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// How long the other side may take for what this step waits for, in the run's time. `None`: as long as the run goes on.
    pub within: Option<Duration>,
    /// What happens.
    pub what: Speech,
}

/// What a step of a dialogue does.
#[derive(Debug, Clone, PartialEq)]
pub enum Speech {
    /// The mock sends this, as one segment; a line's CRLF is already there.
    Say(Vec<u8>),
    /// The other side sends a line that fits (a whole reply, where the other side is the server).
    Hear(Pattern),
    /// The other side sends content up to and with the final dot.
    HearContent,
    /// The first alternative whose first line fits is followed to its end; then the dialogue goes on.
    OneOf(Vec<Choice>),
    /// Lets this much of the run's time pass.
    Wait(Duration),
    /// The mock closes in order.
    CloseFin,
    /// The mock resets the connection.
    CloseReset,
    /// The other side closes.
    HearClose,
    /// TLS begins, the mock being the side of it that it is of SMTP. A client's versions and bytes in the clear count; all
    /// else of the action is a server's.
    Tls(TlsAction),
}

/// One of several ways that a dialogue can go.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice(pub Vec<Line>);

/// A line in which `*` stands for any text. For a reply, the code must be equal and the text of its last line must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub String);
