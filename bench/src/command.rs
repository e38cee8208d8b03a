//! What `bench` can do.

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::{
    admission, append, axum_relay, catch_up, hot_paths, hyper_relay, instructions, measure, report, routing, upstream,
};

/// Measures the gateway.
#[derive(Parser)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// CPU, times and memory of the gateway, next to floors and peers in the same run.
    Compare(Box<measure::Options>),
    /// CPU of choosing among many candidates, by many tasks at once.
    Routing(routing::Options),
    /// Letting requests in, with the limits of many clients and without.
    Admission(admission::Options),
    /// What an append to the ledger costs, next to a bare write of the same bytes.
    Append(append::Options),
    /// How fast a recorder catches up, next to ClickHouse taking the same rows from files.
    CatchUp(catch_up::Options),
    /// Counts the instructions of the hot paths under callgrind, and fails where they have risen.
    Instructions(instructions::Options),
    /// A part of a count: one path.
    #[command(hide = true)]
    HotPath(hot_paths::Which),
    /// A part of a run: the server that answers.
    #[command(hide = true)]
    Upstream(upstream::Options),
    /// A part of a run: the relay of hyper alone.
    #[command(hide = true)]
    HyperRelay(hyper_relay::Options),
    /// A part of a run: the relay of axum and reqwest.
    #[command(hide = true)]
    AxumRelay(hyper_relay::Options),
}

/// Does what was asked for.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Compare(options) => report::publish(&measure::run(options)?, options),
        Command::Routing(options) => routing::run(options),
        Command::Admission(options) => admission::run(options),
        Command::Append(options) => append::run(options),
        Command::CatchUp(options) => catch_up::run(options),
        Command::Instructions(options) => instructions::run(options),
        Command::HotPath(which) => hot_paths::run(which),
        Command::Upstream(options) => upstream::run(options),
        Command::HyperRelay(options) => hyper_relay::run(options),
        Command::AxumRelay(options) => axum_relay::run(options),
    }
}
