//! `bench compare`: what the gateway costs, beside floors that read nothing and gateways of others. `bench routing`: what
//! a decision costs. `bench admission`: what limits cost. `bench append`: the ledger beside a bare write. `bench catch-up`:
//! the recorder beside ClickHouse alone.

mod answer;
mod stamp;
mod pacing;
mod http_server;
mod upstream;
mod hyper_relay;
mod axum_relay;

mod process;
mod programs;
mod settings;
mod peers;
mod target;
mod client;
mod load;
mod profiles;
mod measure;
mod routing;
mod error;

mod hot_paths;
mod instructions;

mod figures;
mod machine;
mod report;
mod command;

mod admission;
mod append;

mod backlog;
mod catch_up;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match command::run(&command::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unwritable = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}
