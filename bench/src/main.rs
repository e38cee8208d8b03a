//! `bench relay`: what the gateway costs, beside a relay that reads nothing. `bench routing`: what a decision costs.
//! `bench admission`: what limits cost.

mod answer;
mod pacing;
mod http_server;
mod upstream;
mod bare_relay;

mod process;
mod target;
mod load;
mod measure;
mod routing;
mod error;
mod figures;
mod machine;
mod report;

mod admission;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures the gateway.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// CPU and memory of the gateway, next to a bare relay in the same run.
    Relay(measure::Options),
    /// CPU of choosing among many candidates, by many tasks at once.
    Routing(routing::Options),
    /// Letting requests in, with the limits of many clients and without.
    Admission(admission::Options),
    /// A part of a run: the server that answers.
    #[command(hide = true)]
    Upstream(upstream::Options),
    /// A part of a run: the relay that reads nothing.
    #[command(hide = true)]
    BareRelay(bare_relay::Options),
}

fn main() -> ExitCode {
    let run = || match Arguments::parse().command {
        Command::Relay(options) => report::publish(&measure::run(&options)?, &options),
        Command::Routing(options) => routing::run(&options),
        Command::Admission(options) => admission::run(&options),
        Command::Upstream(options) => upstream::run(&options),
        Command::BareRelay(options) => bare_relay::run(&options),
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unwritable = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}
