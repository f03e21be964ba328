//! Each call that the clock carries, called by a small program that is this file's own, run again under the preload.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod calls;
mod files;
mod lab;
mod life;
mod probes;
