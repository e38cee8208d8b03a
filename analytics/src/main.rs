//! The `weir-analytics` binary: arguments, configuration, telemetry, socket, run, exit code.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use schemas::config::Config;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Serves usage, cost and requests as read from ClickHouse.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file that all services share.
    #[arg(long, default_value = "weir.toml")]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let config = match Config::load(&Arguments::parse().config) {
        Ok(config) => config,
        Err(mistakes) => return fail(64, &mistakes),
    };
    analytics::start_telemetry();
    match start(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

async fn start(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    // Only an earlier installation makes this fail, and then there is a provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = config.analytics.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("analytics.listen: cannot bind {address}: {error}"))?;
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = shutdown.clone();
    let signals = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! { result = analytics::run(config, listener, shutdown) => Ok(result?), () = signals => Ok(()) }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "weir-analytics: {error}");
    ExitCode::from(code)
}
