//! The gateway: relays answers as they come and writes what they used into its ledger.
//!
//! A request flows one way through [`pipeline`]; what it ends in goes into [`ledger`], whose shipper brings it to NATS.

pub mod pipeline;

pub mod formats;
pub mod upstream;
pub mod estimate;
pub mod health;
pub mod routing;
mod classify;
mod smoothing;
mod capture;
pub mod ledger;
pub mod peers;

mod app;
pub mod catalog;
pub mod clients;
pub mod limits;
mod hashed;
mod quote;
mod spending;
pub mod metrics;
mod ops;
mod reload;
mod server;
pub mod signals;
pub mod telemetry;

use std::sync::Arc;
use std::time::Duration;

use schemas::config::Config;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use app::StartError;
pub use reload::Reload;

/// Sockets that the caller has bound, so that it knows their addresses before anything runs.
#[derive(Debug)]
pub struct Listeners {
    /// Where clients connect.
    pub clients: TcpListener,
    /// `/metrics`, `/healthz`, `/readyz`.
    pub ops: TcpListener,
}

/// Serves until `shutdown` is cancelled, then lets running requests finish and ships the ledger, both within
/// `[gateway] shutdown_timeout`.
pub async fn run(config: Config, listeners: Listeners, shutdown: CancellationToken) -> Result<(), StartError> {
    run_following(config, None, listeners, shutdown).await
}

/// The same, and takes over what the file of the configuration says whenever that changes.
pub async fn run_following(
    config: Config,
    reload: Option<Reload>,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    let grace = config.gateway.shutdown_timeout.0;
    let ledger = Arc::new(app::open_ledger(&config)?);
    let app = app::App::build(&config, Arc::clone(&ledger))?;
    let (metrics, peers) = (Arc::clone(&app.metrics), Arc::clone(&app.peers));
    let current = Arc::new(reload::Current::new(app));
    let shipping = CancellationToken::new();
    let shipper = ledger::spawn_shipper(ledger::ShipperOptions {
        ledger: Arc::clone(&ledger),
        nats: config.nats.clone(),
        metrics,
        shutdown: shipping.clone(),
        grace,
    })
    .map_err(StartError::Shipper)?;
    let sharing = tokio::spawn(peers::link(peers, config.nats.clone()));
    let health = tokio::spawn(peers::share_health(Arc::clone(&current)));
    let limits = tokio::spawn(peers::share_limits(Arc::clone(&current)));
    let spending = tokio::spawn(spending::follow(Arc::clone(&current), config.clickhouse.clone()));
    let syncing = tokio::spawn(app::sync_periodically(Arc::clone(&ledger)));
    let ops = tokio::spawn(ops::serve(listeners.ops, Arc::clone(&current), shipper.connected()));
    let following = reload.map(|reload| tokio::spawn(reload::follow(reload, config, Arc::clone(&current))));

    let connections = server::serve(listeners.clients, Arc::clone(&current), shutdown).await;
    if let Some(following) = following {
        end(following).await;
    }
    current.get().finish_requests(grace).await;
    end(limits).await;
    end(spending).await;
    peers::keep_limits(&current.get(), Vec::new()).await;
    // All requests are settled; their last bytes need a moment to leave.
    connections.finish(Duration::from_secs(2)).await;
    shipping.cancel();
    shipper.finished().await;
    for task in [health, sharing, syncing, ops] {
        end(task).await;
    }
    Ok(())
}

/// Aborts a task and waits until it has let go of what it holds: whoever opens the ledger next, in this process too, must
/// find it unlocked.
async fn end<T>(task: JoinHandle<T>) {
    task.abort();
    // It ends as aborted, or had ended before; there is nothing to do about either.
    let _ended = task.await;
}
