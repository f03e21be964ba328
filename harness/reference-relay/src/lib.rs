//! The embedded default relay of Gauntlet.
pub mod config;
pub mod environment;
