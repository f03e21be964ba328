//! What is done, in order.

use std::time::Duration;

use mock_servers::script::On;

use super::Expectation;

/// A scenario's step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Submits messages, in order; done at the final reply.
    Send(Vec<String>),
    /// Runs a dialogue client to its end.
    Client(String),
    /// Goes on until all is quiet and nothing live is in the queue.
    Settle,
    /// Lets this much of the run's time pass.
    Wait(Duration),
    /// Goes so far on at once, as soon as nothing is open: what was due on the way comes due there.
    Jump(Duration),
    /// Kills the relay as by SIGKILL.
    KillRelay,
    /// Stops it if it runs, and starts it again on the same queue.
    RestartRelay,
    /// Takes a server's listener away; connections are refused.
    Stop(String),
    /// Brings it back.
    Start(String),
    /// Has the relay try everything in its queue now.
    QueueRunForce,
    /// Has the relay try what is due in its queue, and nothing else.
    QueueRunDue,
    /// Goes on until a session at this server comes to this event, and holds it there until the next `settle`.
    At {
        /// The server.
        server: String,
        /// The event; neither `any` nor `idle`.
        on: On,
    },
    /// Makes something about the relay's machine fail from now on; `None`: nothing fails any more.
    Fault(Option<RelayFault>),
    /// What must hold at this moment.
    Check(Vec<Expectation>),
}

/// What can fail about the machine that the relay runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayFault {
    /// The disk of its queue is full.
    DiskFull,
}
