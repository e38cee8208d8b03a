//! The built binaries: `weir`, `weir-gateway`, `weir-recorder`, `weir-analytics`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The path of a binary of this workspace, built from the present source with the profile of the tests.
pub fn path(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let binary = FOLDER.get_or_init(build).join(name);
    assert!(binary.is_file(), "there is no {}", binary.display());
    binary
}

/// Has cargo bring the binaries up to date: it knows what is stale, and has next to nothing to do when nothing is.
fn build() -> PathBuf {
    let tests = std::env::current_exe().expect("the path of the test binary");
    // target/<profile>/deps/it-<hash>
    let folder = tests.parent().and_then(|deps| deps.parent()).expect("the profile's folder under target").to_owned();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    cargo.args(["build", "--quiet", "--bins", "-p", "weir", "-p", "gateway", "-p", "recorder", "-p", "analytics"]);
    // Set by the cargo that runs the tests, for the tests: build scripts that look at them would run anew each time.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo.arg("--target-dir").arg(folder.parent().expect("the target folder"));
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo");
    assert!(status.success(), "cargo could not build the binaries that the tests need");
    folder
}
