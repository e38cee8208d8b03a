//! `weir-gateway --config weir.toml`

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use gateway::Reload;
use schemas::config::Config;
use tokio::net::TcpListener;

/// Every request makes some two hundred small allocations, most of them freed by the thread that made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The proxy of Weir.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, default_value = "weir.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let reload = Reload::new(&arguments.config);
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(mistakes) => return fail(64, &mistakes.to_string()),
    };
    gateway::telemetry::start();
    let started = tokio::runtime::Runtime::new().map_err(|error| (1, error.to_string()));
    match started.and_then(|runtime| runtime.block_on(serve(config, reload))) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => fail(code, &message),
    }
}

async fn serve(config: Config, reload: Reload) -> Result<(), (u8, String)> {
    let bind = async |address| {
        TcpListener::bind(address).await.map_err(|error| (1, format!("cannot listen on {address}: {error}")))
    };
    let clients = bind(config.gateway.listen).await?;
    let ops = bind(config.gateway.ops_listen).await?;
    let shutdown =
        gateway::signals::listen(reload.asked()).map_err(|error| (1, format!("cannot listen to signals: {error}")))?;
    let code = |error: &gateway::StartError| if matches!(error, gateway::StartError::Config(_)) { 64 } else { 1 };
    let listeners = gateway::Listeners { clients, ops };
    gateway::run_following(config, Some(reload), listeners, shutdown).await.map_err(|e| (code(&e), e.to_string()))
}

fn fail(code: u8, message: &str) -> ExitCode {
    let _unwritable = writeln!(std::io::stderr(), "weir-gateway: {message}");
    ExitCode::from(code)
}
