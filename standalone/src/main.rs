//! The `weir` binary.

use std::process::ExitCode;

use clap::Parser;
use weir::commands::{BAD_USAGE, Cli};

/// As in `weir-gateway` and `weir-recorder`, which run in this process with `weir up`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => weir::commands::run(cli),
        Err(told) => {
            // Help and version are answers; everything else is a mistake of the caller.
            let _ = told.print();
            if told.use_stderr() { ExitCode::from(BAD_USAGE) } else { ExitCode::SUCCESS }
        }
    }
}
