//! The writer: brings events from NATS into ClickHouse, each exactly once, with its cost.
//!
//! A range of a partition's stream goes through the modules in this order. The state between two ranges is one value in
//! NATS KV, [`schemas::progress::Progress`]; everything else can be lost at any moment and is read again.

mod broker;
mod consume;
mod gather;
mod decode;
mod decoding;
// Open to `bench`, which counts its instructions; no part of a contract.
#[doc(hidden)]
pub mod rows;
mod columns;
mod plan;
pub mod protocol;
mod retry;
mod write;
mod dead_letter;
mod replay;
mod bury;
mod commit;
mod stored;
mod retire;
pub mod lease;
mod hand;
mod doubt;
mod record;

mod migrate;
mod mend;
mod room;
pub mod seal;
pub mod reprice;
pub mod letters;
mod pipeline;
mod health;
mod metrics;
mod ops;
pub mod telemetry;

use std::sync::Arc;
use std::time::Duration;

use schemas::config::{Config, NoBook};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::health::Health;
use crate::mend::Suspicion;
use crate::metrics::Metrics;
use crate::record::Shared;
use crate::write::{Inserter, Writer};

/// Open connections to the ops listener may hold up a stop for this long.
const OPS_GRACE: Duration = Duration::from_secs(1);

/// Why the recorder could not start, or had to stop. A server that is away is never a reason.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of NATS is not one.
    #[error(transparent)]
    Nats(#[from] broker::Error),
    /// The password cannot be read.
    #[error("clickhouse.password: {0}")]
    Password(String),
    /// The price book is wrong.
    #[error(transparent)]
    Prices(#[from] NoBook),
    /// The metrics contradict each other.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The tables are another release's.
    #[error(transparent)]
    Migrate(#[from] migrate::Error),
    /// The ops listener failed.
    #[error("the ops listener failed: {0}")]
    Ops(std::io::Error),
}

/// Records until `shutdown`. Servers that are down are waited for, at the start and at any time after.
pub async fn run(config: Config, ops_listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
    let partitions = config.nats.partitions;
    let metrics = Metrics::new(partitions)?;
    let clickhouse = clickhouse_client(&config)?;
    let (nats, connections) = broker::connect(&config.nats, metrics.clone()).await?;
    let health = Health::new(nats.clone(), metrics.clone(), partitions);
    let inserter = Inserter::new(clickhouse.clone(), config.clickhouse.timeout.0);
    let shared = Shared {
        jetstream: async_nats::jetstream::new(nats),
        connections,
        clickhouse,
        writer: Writer::new(inserter, metrics.clone()),
        book: Arc::new(config.prices.book()?),
        metrics: metrics.clone(),
        owner: format!("recorder-{}", Uuid::now_v7()),
        writing: Arc::default(),
        suspicion: Suspicion::default(),
        config: Arc::new(config),
    };
    let ops_stop = CancellationToken::new();
    let mut ops = tokio::spawn(ops::serve(ops_listener, metrics, health.clone(), ops_stop.clone()));
    let ended = tokio::select! {
        ended = pipeline::run(shared, health, shutdown) => ended.map_err(Error::from),
        served = &mut ops => return Err(Error::Ops(served.map_or_else(std::io::Error::other, |served| {
            served.err().unwrap_or_else(|| std::io::Error::other("it ended by itself"))
        }))),
    };
    ops_stop.cancel();
    if tokio::time::timeout(OPS_GRACE, &mut ops).await.is_err() {
        ops.abort();
    }
    ended
}

fn clickhouse_client(config: &Config) -> Result<clickhouse::Client, Error> {
    let settings = &config.clickhouse;
    // A block of columns is a third of what came from NATS for it: compressing that, and undoing it on ClickHouse's side,
    // costs more than the wire between them.
    let client = clickhouse::Client::default()
        .with_compression(clickhouse::Compression::None)
        .with_url(&settings.url)
        .with_database(&settings.database)
        .with_user(&settings.user);
    match &settings.password {
        None => Ok(client),
        Some(password) => Ok(client.with_password(password.resolve().map_err(Error::Password)?.expose())),
    }
}
