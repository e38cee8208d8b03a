//! Everything that requests share, built once, in order.

use std::sync::Arc;
use std::time::Duration;

use schemas::config::{Client, Config, Drain, LedgerFsync, Mistakes, NoBook, Smoothing, Timeouts};
use schemas::price::Book;
use schemas::time::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::capture::{Capture, Output};
use crate::catalog::Catalog;
use crate::clients::Clients;
use crate::health::Health;
use crate::ledger::{Ledger, Options, RecoveryError};
use crate::limits::{self, Limits};
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::pipeline::Flood;
use crate::routing::Affinity;
use crate::upstream::client;

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A secret is missing, or two clients share a key.
    #[error("{0}")]
    Config(#[from] Mistakes),
    /// The price book cannot be used.
    #[error("{0}")]
    Prices(#[from] NoBook),
    /// The ledger cannot be used.
    #[error("{0}")]
    Ledger(#[from] RecoveryError),
    /// No TLS, no proxy settings, ...
    #[error("the HTTP client for providers cannot be built: {0}")]
    Client(#[from] client::BuildError),
    /// A metric cannot be registered.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// No thread for the shipper.
    #[error("the shipper cannot be started: {0}")]
    Shipper(std::io::Error),
}

/// The shared parts, under one configuration.
pub(crate) struct App {
    pub(crate) clients: Clients,
    /// What clients may use, and do.
    pub(crate) limits: Limits,
    /// What tokens cost.
    pub(crate) book: Arc<Book>,
    pub(crate) catalog: Catalog,
    pub(crate) health: Health,
    /// Where conversations are cached.
    pub(crate) affinity: Arc<Affinity>,
    /// What the other gateways know.
    pub(crate) peers: Arc<Peers>,
    pub(crate) http: client::Client,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) timeouts: Timeouts,
    pub(crate) drain: Drain,
    pub(crate) smoothing: Smoothing,
    pub(crate) capture: Capture,
    pub(crate) request_body_max: u64,
    /// Bounds the rejected events of requests that were never let in.
    pub(crate) flood: Arc<Flood>,
    /// One task per request that was sent upstream; they outlive their client's connection while they drain.
    pub(crate) requests: TaskTracker,
    /// Cancelled when running requests must end now.
    pub(crate) abort: CancellationToken,
}

impl App {
    pub(crate) fn build(config: &Config, ledger: Arc<Ledger>) -> Result<Self, StartError> {
        // Another part of the process may have installed one already; any will do.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let book = Arc::new(config.prices.book()?);
        let catalog = Catalog::build(config, Arc::clone(&book))?;
        let metrics = Arc::new(Metrics::new(config.models.iter().map(|model| model.name.clone()).collect())?);
        let requests = TaskTracker::new();
        let output = Output { ledger: Arc::clone(&ledger), metrics: Arc::clone(&metrics), tasks: requests.clone() };
        Ok(Self {
            clients: Clients::build(&config.clients)?,
            limits: recalled(&config.clients, &ledger),
            book,
            capture: Capture::new(config.gateway.capture, catalog.secrets(), output),
            health: Health::new(catalog.health_specs()),
            affinity: Arc::default(),
            peers: Arc::new(Peers::new(ledger.epoch())),
            catalog,
            http: client::Client::build(&config.gateway.timeouts)?,
            ledger,
            metrics,
            timeouts: config.gateway.timeouts,
            drain: config.gateway.drain,
            smoothing: config.gateway.smoothing,
            request_body_max: config.gateway.request_body_max.0,
            flood: Arc::default(),
            requests,
            abort: CancellationToken::new(),
        })
    }

    /// The same for another configuration. What outlives a configuration is shared with this one; it is touched only
    /// when nothing can fail any more.
    pub(crate) fn reconfigured(&self, config: &Config) -> Result<Self, StartError> {
        let book = Arc::new(config.prices.book()?);
        let catalog = Catalog::build(config, Arc::clone(&book))?;
        let clients = Clients::build(&config.clients)?;
        // Open connections to providers stay open, unless others are wanted.
        let connects_alike = self.timeouts.connect == config.gateway.timeouts.connect;
        let http = if connects_alike { self.http.clone() } else { client::Client::build(&config.gateway.timeouts)? };
        self.metrics.config_models(config.models.iter().map(|model| model.name.clone()));
        Ok(Self {
            clients,
            limits: self.limits.reconfigured(&config.clients),
            book,
            capture: self.capture.reconfigured(config.gateway.capture, catalog.secrets()),
            health: self.health.reconfigured(catalog.health_specs()),
            affinity: Arc::clone(&self.affinity),
            peers: Arc::clone(&self.peers),
            catalog,
            http,
            ledger: Arc::clone(&self.ledger),
            metrics: Arc::clone(&self.metrics),
            timeouts: config.gateway.timeouts,
            drain: config.gateway.drain,
            smoothing: config.gateway.smoothing,
            request_body_max: config.gateway.request_body_max.0,
            flood: Arc::clone(&self.flood),
            requests: self.requests.clone(),
            abort: self.abort.clone(),
        })
    }

    /// Waits for running requests; those that take longer than `grace` are interrupted and settled.
    pub(crate) async fn finish_requests(&self, grace: Duration) {
        self.requests.close();
        if tokio::time::timeout(grace, self.requests.wait()).await.is_err() {
            tracing::warn!(running = self.requests.len(), "interrupting the requests that are still running");
            self.abort.cancel();
            // Settling is a write to a local file; a second is a thousand times what it takes.
            let settled = tokio::time::timeout(Duration::from_secs(1), self.requests.wait()).await;
            if settled.is_err() {
                tracing::error!("some requests did not settle; the next start settles them from the ledger");
            }
        }
    }
}

/// The limits of all clients, with what this gateway had spent before it was stopped.
fn recalled(clients: &[Client], ledger: &Ledger) -> Limits {
    let limits = Limits::new(clients);
    match limits::read_kept(ledger.dir()) {
        Ok(kept) => limits.recall(&kept, Timestamp::now()),
        Err(error) => tracing::error!(%error, "what was spent of budgets cannot be read; ClickHouse will tell"),
    }
    limits
}

/// Opens the ledger and says what was found in it.
pub(crate) fn open_ledger(config: &Config) -> Result<Ledger, StartError> {
    let (ledger, recovered) = Ledger::open(Options {
        dir: config.gateway.ledger_dir.clone(),
        max_bytes: config.gateway.ledger_max_bytes.0,
        fsync: config.gateway.ledger_fsync,
        on_full: config.gateway.on_ledger_full,
        partitions: config.nats.partitions,
        gateway: config.gateway.name.clone().unwrap_or_else(host_name),
    })?;
    tracing::info!(
        epoch = %ledger.epoch(),
        events = recovered.events,
        torn_bytes = recovered.torn_bytes,
        settled = recovered.settled,
        "ledger open"
    );
    Ok(ledger)
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "gateway".to_owned() } else { name.to_owned() }
}

/// `ledger_fsync = "interval"`: once a second, away from the threads that serve requests.
pub(crate) async fn sync_periodically(ledger: Arc<Ledger>) {
    if ledger.fsync() != LedgerFsync::Interval {
        return;
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let ledger = Arc::clone(&ledger);
        match tokio::task::spawn_blocking(move || ledger.sync()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the ledger cannot be synced to disk"),
            Err(_) => return,
        }
    }
}
