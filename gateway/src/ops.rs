//! `/metrics`, `/healthz`, `/readyz`, on a listener of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use schemas::time::Timestamp;
use tokio::net::TcpListener;

use crate::app::App;
use crate::reload::Current;

pub(crate) async fn serve(listener: TcpListener, current: Arc<Current>, nats: Arc<AtomicBool>) {
    let metrics = {
        let current = Arc::clone(&current);
        move || {
            let app = current.get();
            app.metrics.health(&app.health.snapshot(Instant::now()));
            app.metrics.peers(app.peers.alive(Instant::now()), app.peers.unreadable());
            app.metrics.budgets(&app.limits.budgets_left(Timestamp::now()));
            let text = app.metrics.exposition();
            std::future::ready(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
        }
    };
    let ready = move || std::future::ready(readiness(&current.get(), nats.load(Ordering::Relaxed)));
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| std::future::ready("ok\n")))
        .route("/readyz", get(ready));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the operations listener failed");
    }
}

/// Ready while requests can be accounted for: the ledger has room. NATS away is told, but is no reason to turn clients away.
fn readiness(app: &App, nats: bool) -> impl IntoResponse + use<> {
    let nats = if nats { "connected" } else { "away, events wait in the ledger" };
    let (status, ledger) = match app.ledger.admits() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "full"),
    };
    (status, format!("ledger: {ledger}\nnats: {nats}\n"))
}
