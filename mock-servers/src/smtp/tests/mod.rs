//! Tests of the conversations without I/O, and of the shells over real sockets.

mod auth;
mod bench;
mod client;
mod commands;
mod conditions;
mod content;
mod dialogues;
mod fuzz;
mod handshakes;
mod holds;
mod limits;
mod rewriting;
mod rules;
mod sockets;
mod timing;
