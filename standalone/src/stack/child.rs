//! An engine as a child process that cannot be left behind.
//!
//! Between us and the engine stands `weir supervise`, which holds the other end of a pipe: when we end, however we end,
//! the pipe ends, and the supervisor stops the engine. An engine that has been ready and dies is started again.

use std::ffi::OsString;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use schemas::config::Secret;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};
use tokio::time::{sleep, timeout};

use super::Error;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than what the supervisor gives the engine to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Told to the supervisor when the engine answers; what it is does not matter.
const READY: &[u8] = b"ready\n";
const TAIL_BYTES: u64 = 2000;

/// What to start.
#[derive(Debug)]
pub struct Spec {
    /// Its name, for messages.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// A variable of its environment that others must not read.
    pub secret: Option<(&'static str, Secret)>,
    /// Where its output goes.
    pub log: PathBuf,
    /// A folder to remove when it has stopped.
    pub remove: Option<PathBuf>,
}

/// A running engine. Dropping it stops the engine as [`Child::stop`] does, without waiting for it.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    log: PathBuf,
    supervisor: tokio::process::Child,
    /// Our end of the pipe. Kept apart from the process, because waiting for a process closes its input.
    input: Option<ChildStdin>,
}

impl Child {
    /// Starts it.
    pub fn start(spec: Spec) -> Result<Self, Error> {
        let Spec { name, program, arguments, secret, log, remove } = spec;
        if let Some(folder) = log.parent() {
            create_folder(folder)?;
        }
        let spawn = |cause| Error::Spawn { name, cause };
        let mut command = Command::new(std::env::current_exe().map_err(spawn)?);
        command.arg("supervise").arg("--log").arg(&log);
        if let Some(folder) = remove {
            command.arg("--remove").arg(folder);
        }
        command.arg("--").arg(program).args(arguments);
        command.envs(secret.map(|(name, secret)| (name, secret.expose().to_owned())));
        // A process group of its own: Ctrl-C reaches us alone, and we stop the parts in their order.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut supervisor = command.spawn().map_err(spawn)?;
        let input = supervisor.stdin.take();
        Ok(Self { name, log, supervisor, input })
    }

    /// Waits until `probe` says that it answers.
    pub async fn ready(&mut self, probe: impl AsyncFn() -> bool) -> Result<(), Error> {
        let began = Instant::now();
        while !probe().await {
            if self.supervisor.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(self.ended());
            }
            if began.elapsed() > READY_TIMEOUT {
                return Err(Error::Silent { name: self.name, waited: READY_TIMEOUT, log: self.log.clone() });
            }
            sleep(Duration::from_millis(30)).await;
        }
        // From now on the supervisor starts it again whenever it dies. If the pipe is broken, it has died itself, and
        // that is noticed elsewhere.
        if let Some(input) = &mut self.input {
            let _ = input.write_all(READY).await;
        }
        Ok(())
    }

    /// Waits until it has ended for good, which it should not: its supervisor has given it up.
    pub async fn failed(&mut self) -> Error {
        let _ = self.supervisor.wait().await;
        self.ended()
    }

    fn ended(&self) -> Error {
        Error::Ended { name: self.name, tail: tail(&self.log), log: self.log.clone() }
    }

    /// Stops it and waits for its end.
    pub async fn stop(mut self) {
        drop(self.input.take());
        if timeout(STOP_TIMEOUT, self.supervisor.wait()).await.is_err() {
            tracing::warn!(name = self.name, "does not stop; it is killed");
            let _ = self.supervisor.kill().await;
        }
    }
}

/// Makes a folder and those above it.
pub(super) fn create_folder(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(|cause| Error::Folder { path: path.to_owned(), cause })
}

/// The end of a log, for a message.
pub fn tail(log: &Path) -> String {
    let read = || {
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_else(|error| format!("(cannot be read: {error})"))
}
