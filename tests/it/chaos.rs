//! Nothing is lost and nothing counted twice, whatever is killed: `weir chaos`, which compares the books itself.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::process::Process;
use tests::{binaries, eventually};

use crate::full_sizes;

/// Its acts: NATS is wiped, the disk under the gateway's ledger is full, every part is killed or stopped.
const SEED: &str = "275";

async fn chaos(folder: &Path, minutes: &str) -> Process {
    let binary = tokio::task::spawn_blocking(|| binaries::path("weir")).await.unwrap();
    let mut command = Command::new(binary);
    command.args(["chaos", "--seed", SEED, "--minutes", minutes]).env("TMPDIR", folder);
    Process::spawn(&mut command, folder, folder.join("chaos.log"))
}

/// Processes that were started with something of a run's own folder, which `weir chaos` makes in this one.
fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.join("weir-chaos-").display().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&folder)).collect()
}

fn left_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name != "chaos.log").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_adds_up_after_a_while_of_kills_stops_a_wipe_and_a_full_disk_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let minutes = if full_sizes() { "3" } else { "0.4" };
    let mut process = chaos(folder.path(), minutes).await;
    let status = process.wait(Duration::from_secs(600)).await;
    assert_eq!(status.code(), Some(0), "{}", process.output());
    println!("{}", process.output());
    assert_eq!((left_in(folder.path()), processes_in(folder.path())), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_interrupted_or_killed_leaves_no_process() {
    for kill in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut process = chaos(folder.path(), "3").await;
        eventually("the load has begun", Duration::from_secs(120), || async {
            let output = process.output();
            if output.contains(" killed, ") || output.contains(" stopped, ") { Ok(()) } else { Err(output) }
        })
        .await;
        if kill {
            process.kill();
        } else {
            process.terminate();
            assert_eq!(process.wait(Duration::from_secs(60)).await.code(), Some(1), "{}", process.output());
            assert_eq!(left_in(folder.path()), Vec::<String>::new());
        }
        eventually("every part has ended", Duration::from_secs(20), || async {
            let processes = processes_in(folder.path());
            if processes.is_empty() { Ok(()) } else { Err(processes.join("\n")) }
        })
        .await;
    }
}
