//! Processes that begin, end, and misbehave.
