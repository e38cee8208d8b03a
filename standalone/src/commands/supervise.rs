//! `weir supervise` (hidden): runs a program until our own standard input ends.
//!
//! Whoever starts us holds the other end of that pipe. When it is gone, however it went, the program is stopped and what
//! was only there for it is removed. A first line on the pipe says that the program is ready: from then on it is started
//! again whenever it dies. That the line was heard is answered on standard output.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Failure, stop};
use crate::terminal;

/// How long the program may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Between a death and the next start; doubled when the life in between was short.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);
const SHORT_LIFE: Duration = Duration::from_secs(5);

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
    let was_ready = Arc::new(AtomicBool::new(false));
    let told_ready = Arc::clone(&was_ready);
    // A thread, because reading standard input cannot be cancelled and must not be waited for at the end.
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while input.read(&mut [0; 64]).is_ok_and(|count| count > 0) {
            told_ready.store(true, Ordering::Relaxed);
            terminal::out("heard");
        }
        orphaned.cancel();
    });
    let ended = keep_running(&arguments, &was_ready, &stop).await;
    if let Some(folder) = &arguments.remove {
        // Another part may still be writing there: then that part's supervisor removes the rest after us.
        let _ = std::fs::remove_dir_all(folder);
    }
    ended
}

async fn keep_running(arguments: &Arguments, was_ready: &AtomicBool, stop: &CancellationToken) -> Result<(), Failure> {
    let name = arguments.command.first().map(PathBuf::from).unwrap_or_default();
    let name = name.file_name().unwrap_or_default().display();
    let mut pause = PAUSE;
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
        // What has never been ready has a reason that starting it again does not remove.
        if !was_ready.load(Ordering::Relaxed) {
            return Err(Failure::Failed(format!(
                "{name} ended before it was ready ({how}): see {}",
                arguments.log.display()
            )));
        }
        terminal::err(format_args!("{name} ended ({how}): starting it again"));
        pause = if began.elapsed() < SHORT_LIFE { (pause * 2).min(PAUSE_MAX) } else { PAUSE };
        tokio::select! {
            () = sleep(pause) => {}
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
