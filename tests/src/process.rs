//! Child processes that never outlive the test process, however it ends.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::eventually;

/// A running child with its output in a file. Dropping it kills it.
pub struct Process {
    child: Child,
    /// A shell that waits for the end of its input: if that comes without the word, this process has died, and the shell
    /// kills the child and removes its folder.
    watcher: Child,
    log: PathBuf,
}

/// Physical memory of a process.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Held now.
    pub resident_bytes: u64,
    /// The most that was held at any time.
    pub peak_bytes: u64,
}

const WATCH: &str = r#"read -r word || { kill -9 "$1"; rm -rf "$2"; }"#;

impl Process {
    /// Starts `command`, with standard output and error appended to `log`. `folder` is what to remove if nobody is left.
    pub fn spawn(command: &mut Command, folder: &Path, log: PathBuf) -> Self {
        let output = File::options().create(true).append(true).open(&log).expect("the log file");
        let errors = output.try_clone().expect("a second handle of the log file");
        // A group of its own: Ctrl-C reaches the tests first, and they end their children.
        command.process_group(0).stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let watcher = Command::new("sh")
            .args(["-c", WATCH, "sh", &child.id().to_string()])
            .arg(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        Self { child, watcher, log }
    }

    /// SIGKILL, and the end of the process awaited.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("the end of a killed process");
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.signal("HUP");
    }

    /// SIGSTOP: it stands still, wherever it is.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -\"$1\" \"$2\"", "sh", name, &id]).status().expect("sh");
        assert!(status.success(), "kill -{name} {id}");
    }

    /// Memory that it holds now, and the most that it has held.
    pub fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running process");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.trim().strip_suffix(" kB").and_then(|kib| kib.parse::<u64>().ok()).expect(line) * 1024
        };
        Memory { resident_bytes: bytes("VmRSS:"), peak_bytes: bytes("VmHWM:") }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// Waits for it to end by itself.
    pub async fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let log = self.log.clone();
        eventually("the process ends", deadline, || {
            let ended = self.ended();
            let log = &log;
            async move { ended.ok_or_else(|| format!("still running; {}", tail(log))) }
        })
        .await
    }

    /// Everything it has written so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First the child, then the word: in between the watcher still holds the child's id for the right process.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mut input) = self.watcher.stdin.take() {
            let _ = std::io::Write::write_all(&mut input, b"ended\n");
        }
        let _ = self.watcher.wait();
    }
}

/// The end of a log, for messages.
fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    format!("its last words:\n{}", lines.join("\n"))
}
