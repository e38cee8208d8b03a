//! Where a run was done, and with which versions.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// Where a run was done.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model and number of processors.
    pub processors: String,
    /// Kernel.
    pub kernel: String,
    /// Compiler.
    pub rustc: String,
    /// The gateway's commit, with a mark if files differ from it.
    pub commit: String,
    /// nats-server, if there is one.
    pub nats_server: String,
    /// Load average over a minute when the run was over; more than about 2 is not ours.
    pub load_average: String,
}

/// What this machine is.
pub fn describe(nats_server: Option<&Path>) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let models: Vec<&str> =
        cpus.lines().filter(|line| line.starts_with("model name")).filter_map(|line| line.split(": ").nth(1)).collect();
    let first_word = read("/proc/loadavg").split_whitespace().next().unwrap_or("unknown").to_owned();
    Machine {
        processors: format!("{} x {}", models.len(), models.first().unwrap_or(&"unknown")),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        rustc: said("rustc", &["--version"]),
        commit: said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]),
        nats_server: nats_server.map_or("none".to_owned(), |path| said(path, &["--version"])),
        load_average: first_word,
    }
}

/// What a program says, on one line.
fn said(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or("unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
