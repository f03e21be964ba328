//! Tells cargo to look again when a scenario file is added or removed, so that `cargo test` sees it as a test.
fn main() {
    println!("cargo::rerun-if-changed=scenarios");
    println!("cargo::rerun-if-changed=mock-servers/profiles");
}
