//! Gauntlet.
