//! `weir supervise` (hidden): runs a program until our own standard input ends.
//!
//! Whoever starts us holds the other end of that pipe. When it is gone, however it went, the program is stopped and what
//! was only there for it is removed.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::{Failure, stop};
use crate::terminal;

/// How long the program may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// A program that ends sooner than this cannot be helped by starting it again.
const SHORT_LIFE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);

/// Runs a program until standard input ends, and starts it again when it dies.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where the program's output is appended.
    #[arg(long)]
    log: PathBuf,
    /// A folder to remove at the end.
    #[arg(long)]
    remove: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let stop = stop::patient_token()?;
    let orphaned = stop.clone();
    // A thread, because reading standard input cannot be cancelled and must not be waited for at the end.
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while input.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        orphaned.cancel();
    });
    let ended = keep_running(&arguments, &stop).await;
    if let Some(folder) = &arguments.remove {
        // Another part may still be writing there: then that part's supervisor removes the rest after us.
        let _ = std::fs::remove_dir_all(folder);
    }
    ended
}

async fn keep_running(arguments: &Arguments, stop: &tokio_util::sync::CancellationToken) -> Result<(), Failure> {
    let name = arguments.command.first().map(PathBuf::from).unwrap_or_default();
    let name = name.file_name().unwrap_or_default().display();
    loop {
        let began = Instant::now();
        let mut child = spawn(&arguments.command, &arguments.log)?;
        // Held here, because waiting for the child would close it.
        let _input = child.stdin.take();
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = stop.cancelled() => {
                terminate(child).await;
                return Ok(());
            }
        };
        let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        if began.elapsed() < SHORT_LIFE {
            return Err(Failure::Failed(format!("{name} ended at once ({how}): see {}", arguments.log.display())));
        }
        terminal::err(format_args!("{name} ended ({how}): starting it again"));
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

fn spawn(command: &[OsString], log: &Path) -> Result<Child, Failure> {
    let failed = |error: std::io::Error| {
        Failure::Failed(format!("cannot start {}: {error}", command.join(" ".as_ref()).display()))
    };
    let output = File::options().create(true).append(true).open(log).map_err(failed)?;
    let errors = output.try_clone().map_err(failed)?;
    let (program, arguments) =
        command.split_first().ok_or_else(|| Failure::Failed("no program is named".to_owned()))?;
    // The program's input ends with us, so that one of ours notices even when we are killed.
    Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(output).stderr(errors).spawn().map_err(failed)
}

/// SIGTERM, and SIGKILL to what does not stop.
async fn terminate(mut child: Child) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(id) = id {
        let _ = kill_process(id, Signal::TERM);
    }
    if timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}
