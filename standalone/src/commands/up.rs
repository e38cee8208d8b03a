//! `weir up`: the whole stack on this machine with the user's own providers.

use std::path::PathBuf;

use clap::Args;
use gateway::Reload;
use schemas::config::Config;
use tokio_util::sync::CancellationToken;

use super::{Failure, logging, stop};
use crate::stack::{Engines, Error, Listeners, Services, without_credentials};
use crate::terminal;

/// Runs gateway, recorder and analytics with your configuration, and NATS and ClickHouse where none answer.
///
/// NATS and ClickHouse are what answers at `nats.url` and `clickhouse.url` (`WEIR_NATS__URL`, `WEIR_CLICKHOUSE__URL`). Where nothing
/// does and the address is on this machine, nats-server and a `clickhouse` binary, or ClickHouse's engine as a library, are started.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(long, default_value = "weir.toml")]
    config: PathBuf,
    /// Where NATS and ClickHouse keep their data when they are started here.
    #[arg(long, default_value = "data")]
    data: PathBuf,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let reload = Reload::new(&arguments.config);
    let config = Config::load(&arguments.config)?;
    config.check_secrets()?;
    logging::start("info,async_nats=warn");
    logging::install_tls()?;
    let stop = stop::token()?;
    let data = std::path::absolute(&arguments.data)
        .map_err(|error| Failure::Failed(format!("{}: {error}", arguments.data.display())))?;
    // Sockets first: a taken port is told at once, and not after everything else has been started.
    let listeners = Listeners::bind(&config).await.map_err(failed)?;
    let mut engines = Engines::new(data);
    let started = tokio::select! {
        started = engines.start(&config) => started.map(|()| true),
        () = stop.cancelled() => Ok(false),
    };
    let ran = match started {
        Ok(true) => serve(&config, reload, listeners, &mut engines, &stop).await,
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    engines.stop().await;
    ran.map_err(failed)
}

fn failed(error: Error) -> Failure {
    Failure::Failed(error.to_string())
}

async fn serve(
    config: &Config,
    reload: Reload,
    listeners: Listeners,
    engines: &mut Engines,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let mut services = Services::start(config, Some(reload), listeners);
    terminal::err(format_args!(
        "Weir is up: gateway http://{}, analytics http://{}, ClickHouse {}",
        config.gateway.listen,
        config.analytics.listen,
        without_credentials(&config.clickhouse.url)
    ));
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        failed = services.failed() => Err(failed),
        failed = engines.failed() => Err(failed),
    };
    terminal::err("stopping: running streams first ...");
    services.stop().await;
    ended
}
