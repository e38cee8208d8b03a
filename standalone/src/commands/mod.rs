//! The commands, one file each.

mod check;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::terminal;

/// Weir: an LLM gateway that relays streaming answers and never loses a token count.
#[derive(Debug, Parser)]
#[command(name = "weir", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
}

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration holds mistakes; exit code 64.
    #[error(transparent)]
    Configuration(#[from] schemas::config::Mistakes),
    /// The command could not do its work; exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => ExitCode::from(64),
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

/// Runs one command to its end.
pub fn run(cli: Cli) -> ExitCode {
    let ended = match cli.command {
        Command::Check(arguments) => check::run(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::err(&failure);
            failure.exit_code()
        }
    }
}
