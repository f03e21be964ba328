//! The relay as an SMTP server: who may hand mail over, and what it must look like.
//!
//! [`session`] is the protocol without I/O; [`listener`] carries its octets.

mod answer;
mod content;
mod listener;
mod reception;
mod session;

pub(crate) use answer::Answer;
pub(crate) use listener::serve;
