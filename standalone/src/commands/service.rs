//! `weir service` (hidden): one of the services as a process of its own, for commands that need it as one.

use std::fmt::Display;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use schemas::config::Config;
use tokio::net::TcpListener;

use super::{Failure, logging, stop};

/// Which service.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Service {
    Gateway,
    Recorder,
    Analytics,
}

/// Runs one service, as its own program does.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    service: Service,
    /// The configuration file.
    #[arg(long)]
    config: PathBuf,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config)?;
    logging::start("info,async_nats=warn");
    logging::install_tls()?;
    let stop = stop::token()?;
    match arguments.service {
        Service::Gateway => {
            let clients = bind(config.gateway.listen).await?;
            let ops = bind(config.gateway.ops_listen).await?;
            gateway::run(config, gateway::Listeners { clients, ops }, stop).await.map_err(failed)
        }
        Service::Recorder => {
            let ops = bind(config.recorder.ops_listen).await?;
            recorder::run(config, ops, stop).await.map_err(failed)
        }
        Service::Analytics => {
            let listener = bind(config.analytics.listen).await?;
            analytics::run(config, listener, stop).await.map_err(failed)
        }
    }
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| Failure::Failed(format!("cannot listen on {address}: {error}")))
}

fn failed(error: impl Display) -> Failure {
    Failure::Failed(error.to_string())
}
