//! `weir tether` (hidden): becomes a program that is killed as soon as whoever started it dies, however that dies.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::Failure;

/// Becomes a program that does not outlive the thread that started this one.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The process that started this one.
    #[arg(long)]
    parent: i32,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Failure::Failed(format!("cannot be tied to the parent: {error}")))?;
    // A parent that had died before that sends no signal any more.
    if getppid().map(Pid::as_raw_nonzero).is_none_or(|parent| parent.get() != arguments.parent) {
        return Err(Failure::Failed("whoever started this has died".to_owned()));
    }
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Failure::Failed("no program is named".to_owned()));
    };
    // The signal stays set over this, and the process id with it: what is killed or stopped by that id is the program.
    let error = Command::new(program).args(rest).exec();
    Err(Failure::Failed(format!("cannot start {}: {error}", program.display())))
}
