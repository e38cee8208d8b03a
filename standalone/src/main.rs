//! The `weir` binary.

use std::process::ExitCode;

use clap::Parser;
use weir::commands::Cli;

fn main() -> ExitCode {
    weir::commands::run(Cli::parse())
}
