//! Where a run was done, and with which versions.

use std::fs;
use std::process::Command;

use serde::Serialize;

use crate::peers;
use crate::programs::{Programs, on_path};

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
    /// The other programs of a run.
    pub others: String,
    /// Load average over a minute when the run was over. The run itself is about 2.
    pub load_average: String,
}

/// What this machine is.
pub fn describe(programs: Option<&Programs>) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let models: Vec<&str> =
        cpus.lines().filter(|line| line.starts_with("model name")).filter_map(|line| line.split(": ").nth(1)).collect();
    let nginx = on_path("nginx").map(|path| said(path, &["-v"]));
    let haproxy = on_path("haproxy").map(|path| said(path, &["-v"]));
    let nats = programs.and_then(|programs| programs.nats_server.as_ref()).map(|path| said(path, &["--version"]));
    let peers = programs.and_then(|programs| programs.peers.as_deref()).map(peers::versions);
    let others: Vec<String> = [nginx, haproxy, nats, peers].into_iter().flatten().collect();
    Machine {
        processors: format!("{} x {}", models.len(), models.first().unwrap_or(&"unknown")),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        rustc: said("rustc", &["--version"]),
        commit: said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]),
        others: others.join(", "),
        load_average: read("/proc/loadavg").split_whitespace().next().unwrap_or("unknown").to_owned(),
    }
}

/// What a program says, on one line.
fn said(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    // nginx tells its version on its error output.
    let first_line = |output: std::process::Output| {
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
    };
    output.map_or("unknown".to_owned(), first_line)
}
