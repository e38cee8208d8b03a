//! `weir chaos`: whether nothing is lost and nothing counted twice, whatever is killed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::{Failure, logging, stop};
use crate::chaos::{self, Plan};

/// Kills, stops, wipes and fills the disk of every part under load, and compares the books at the end to the last digit.
///
/// Everything runs as processes of its own, in a temporary folder and on free ports; nothing else is touched, and nothing
/// is left. The same seed draws the same requests and the same acts at the same times.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How long the parts are tortured.
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// Decides what is done when; drawn unless it is given.
    #[arg(long)]
    seed: Option<u64>,
    /// Clients that ask at the same time.
    #[arg(long, default_value_t = 6)]
    clients: u64,
    /// Recorders that share the partitions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=2))]
    recorders: u64,
    /// Gateways that clients ask in turn.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=2))]
    gateways: u64,
    /// Put everything into this folder, logs included, and leave it there.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What has to happen before there are threads.
pub(super) fn prepare() {
    chaos::enter_own_mounts();
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    if !(arguments.minutes > 0.0 && arguments.minutes <= 24.0 * 60.0) {
        return Err(Failure::Failed("--minutes is from 0 to 1440".to_owned()));
    }
    logging::start("error");
    logging::install_tls()?;
    let plan = Plan {
        length: Duration::from_secs_f64(arguments.minutes * 60.0),
        // The low bits of a fresh UUID are random.
        seed: arguments.seed.unwrap_or_else(|| Uuid::now_v7().as_u64_pair().1 % 1_000_000_000),
        clients: arguments.clients.clamp(1, 64),
        recorders: arguments.recorders,
        gateways: arguments.gateways,
        folder: arguments.folder,
    };
    chaos::run(&plan, &stop::token()?).await.map_err(|error| Failure::Failed(error.to_string()))
}
