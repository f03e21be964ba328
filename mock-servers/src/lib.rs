//! The Internet that a relay meets.
