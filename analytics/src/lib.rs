//! The reader: usage, cost and requests over HTTP, and Prometheus metrics.
//!
//! A request flows one way: `params` (text to closed types) -> `queries` (types to SQL and typed rows) -> `endpoints`
//! (rows to a reply). Nothing that a caller sends reaches ClickHouse as SQL text, and nothing here writes.

mod telemetry;
mod error;

mod params;
mod clickhouse;
mod queries;
mod audit;
mod tellings;
mod live;
mod rollups;
mod endpoints;
mod exposition;
mod dashboard;
mod server;

pub use telemetry::start as start_telemetry;

use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use schemas::config::Config;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clickhouse::ClickHouse;
use crate::exposition::Exposition;
use crate::rollups::Backfill;
use crate::server::{App, Token};
use crate::tellings::Teller;

/// How long answers that are being computed may still take after the service was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long a terminal event may take to its row before its request counts as overdue.
const ARRIVAL: Duration = Duration::from_secs(60);

/// Why the service could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A secret of the configuration cannot be had.
    #[error("{key}: {reason}")]
    Secret {
        /// Path of the key.
        key: &'static str,
        /// Which variable or file is missing.
        reason: String,
    },
    /// Everybody on the network could read what everybody spends.
    #[error("analytics.token: is required because {0} is not a loopback address")]
    Unguarded(std::net::SocketAddr),
    /// Two metrics have one name, or a name is not valid.
    #[error("cannot register the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The listener failed.
    #[error("cannot serve: {0}")]
    Serve(#[from] std::io::Error),
}

/// Serves until `shutdown` is cancelled. ClickHouse may be down, or its tables not created yet: requests are then
/// answered with 503 and the reason, and served as soon as it is there.
pub async fn run(config: Config, listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
    let address = listener.local_addr()?;
    let token = match &config.analytics.token {
        Some(secret) => {
            let secret = secret.resolve().map_err(|reason| Error::Secret { key: "analytics.token", reason })?;
            Some(Token::new(secret.expose()))
        }
        None if address.ip().is_loopback() => None,
        None => return Err(Error::Unguarded(address)),
    };
    let clickhouse =
        ClickHouse::new(&config.clickhouse).map_err(|reason| Error::Secret { key: "clickhouse.password", reason })?;
    let (exposition, refresher) = Exposition::new(&config, clickhouse.clone())?;
    let teller = Teller::new(config.nats.clone());
    let (listeners, follower) = live::new(config.nats.clone(), &config.prices);
    let gateway = &config.gateway;
    // Beside the answer itself: what is read on after a client has left, and the way of the last event.
    let request_time_max = gateway.timeouts.total.0 + gateway.drain.time.0 + ARRIVAL;
    let backfill = Backfill::new(config.analytics.rollups);
    let app = Arc::new(App { clickhouse, exposition, token, teller, listeners, backfill, request_time_max });

    tracing::info!(%address, authenticated = app.token.is_some(), "analytics is listening");
    let stopping = shutdown.clone();
    // Answers are small and final: waiting for more of them would only delay their ends.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let serve = axum::serve(listener, server::routes(app)).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let overdue = async move {
        stopping.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serve => served?,
        () = refresher.run() => {}
        () = follower.run(shutdown) => {}
        () = overdue => tracing::warn!(drain_ms = DRAIN.as_millis(), "gave up waiting for answers in progress"),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
