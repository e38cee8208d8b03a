//! The commands, one file each.

mod logging;
mod stop;

mod demo;
mod up;
mod check;
mod keys;
mod audit;
mod dead_letters;
mod prices;
mod reprice;
mod simulate;
mod chaos;
mod simulate_history;
mod measure;
mod supervise;
mod service;
mod tether;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{clickhouse, terminal};

/// Exit code for mistakes in the configuration or on the command line.
pub const BAD_USAGE: u8 = 64;

/// Weir: an LLM gateway that relays streaming answers and never loses a token count.
#[derive(Debug, Parser)]
#[command(name = "weir", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Up(up::Arguments),
    Check(check::Arguments),
    Keys(keys::Arguments),
    Audit(audit::Arguments),
    DeadLetters(dead_letters::Arguments),
    Prices(prices::Arguments),
    Reprice(reprice::Arguments),
    Simulate(simulate::Arguments),
    Chaos(chaos::Arguments),
    SimulateHistory(simulate_history::Arguments),
    Measure(measure::Arguments),
    #[command(hide = true)]
    Clickhouse(clickhouse::Arguments),
    #[command(hide = true)]
    Supervise(supervise::Arguments),
    #[command(hide = true)]
    Service(service::Arguments),
    #[command(hide = true)]
    Tether(tether::Arguments),
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
    /// The answer is not final yet; exit code 2.
    #[error("{0}")]
    Pending(String),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => ExitCode::from(BAD_USAGE),
            Self::Failed(_) => ExitCode::from(1),
            Self::Pending(_) => ExitCode::from(2),
        }
    }
}

/// Runs one command to its end.
pub fn run(cli: Cli) -> ExitCode {
    let ended = match cli.command {
        Command::Demo(arguments) => on_runtime(demo::run(arguments)),
        Command::Up(arguments) => on_runtime(up::run(arguments)),
        Command::Check(arguments) => check::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Audit(arguments) => on_runtime(audit::run(arguments)),
        Command::DeadLetters(arguments) => on_runtime(dead_letters::run(arguments)),
        Command::Prices(arguments) => prices::run(arguments),
        Command::Reprice(arguments) => on_runtime(reprice::run(arguments)),
        Command::Simulate(arguments) => on_runtime(simulate::run(arguments)),
        Command::Chaos(arguments) => {
            chaos::prepare();
            on_runtime(chaos::run(arguments))
        }
        Command::SimulateHistory(arguments) => on_runtime(simulate_history::run(arguments)),
        Command::Measure(arguments) => on_runtime(measure::run(arguments)),
        Command::Clickhouse(arguments) => on_runtime(async {
            clickhouse::command(arguments).await.map_err(|error| Failure::Failed(error.to_string()))
        }),
        Command::Supervise(arguments) => on_runtime(supervise::run(arguments)),
        Command::Service(arguments) => on_runtime(service::run(arguments)),
        Command::Tether(arguments) => tether::run(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::err(&failure);
            failure.exit_code()
        }
    }
}

fn on_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the asynchronous runtime: {error}")))?;
    let ended = runtime.block_on(command);
    // What still runs in the background is not waited for: whatever has to be finished, the command has finished.
    runtime.shutdown_background();
    ended
}
