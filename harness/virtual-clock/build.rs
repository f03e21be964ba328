//! Compiles the preloaded library, which the package embeds, so that nothing has to be found when it is used.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=library");
    println!("cargo::rerun-if-changed=src/page.rs");
    println!("cargo::rerun-if-changed=src/sys.rs");
    println!("cargo::rustc-check-cfg=cfg(carried)");
    let of = |name: &str| env::var(name).unwrap_or_default();
    let carried = of("CARGO_CFG_TARGET_OS") == "linux"
        && of("CARGO_CFG_TARGET_ENV") == "gnu"
        && of("CARGO_CFG_TARGET_POINTER_WIDTH") == "64"
        && ["x86_64", "aarch64"].contains(&of("CARGO_CFG_TARGET_ARCH").as_str());
    if !carried {
        return;
    }
    println!("cargo::rustc-cfg=carried");
    let output = PathBuf::from(of("OUT_DIR")).join("virtual-clock.so");
    let mut compiler = Command::new(of("RUSTC"));
    compiler
        .args(["--crate-name", "virtual_clock_library", "--crate-type", "cdylib", "--edition", "2024"])
        .args(["--target", &of("TARGET"), "-D", "warnings"])
        // One unit without unwinding, tables or the C library's start files: it is mapped into every process there is.
        .args(["-C", "opt-level=3", "-C", "panic=abort", "-C", "codegen-units=1", "-C", "lto=fat"])
        .args(["-C", "strip=symbols", "-C", "link-arg=-nostdlib", "-C", "link-arg=-nostartfiles"])
        .arg("-o")
        .arg(&output)
        .arg("library/lib.rs");
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg(format!("-Clinker={linker}"));
    }
    match compiler.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("the preloaded library did not compile ({status}): {compiler:?}"),
        Err(error) => panic!("the compiler did not start: {compiler:?}: {error}"),
    }
}
