//! `weir demo`: the README's first command.

use clap::Args;

use super::{Failure, logging, stop};
use crate::demo;

/// Shows the whole pipeline on this machine: a mixed load through the gateway, its bill, and whether the books agree.
///
/// Needs nothing but this binary: nats-server and ClickHouse's engine are fetched once into a cache.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// End after printing, with success only if every request is accounted for to the token.
    #[arg(long)]
    exit: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    // Half of the demo is things going wrong, so only what is wrong with the demo itself is logged.
    logging::start("error");
    logging::install_tls()?;
    demo::run(!arguments.exit, &stop::token()?).await.map_err(|error| Failure::Failed(error.to_string()))
}
