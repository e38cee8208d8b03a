//! Prometheus text: totals of the whole fleet as read from ClickHouse, cached, with their age; and this process's own
//! metrics. No labels without a bound: outcomes, verdicts and reasons are closed, names are those of the configuration.

mod days;
mod families;
mod process;
mod ratchet;
mod series;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;
use schemas::config::Config;
use tokio::sync::{Notify, watch};

use self::days::Days;
use self::process::Process;
use self::ratchet::Ratchet;
use crate::clickhouse::{ClickHouse, Error};
use crate::queries::{self, Names};

/// How long totals are taken for fresh.
const FRESH: Duration = Duration::from_secs(2);
/// Reading the totals may take this share of the time at most: one part in ten.
const REST_FACTOR: u32 = 9;
/// But the totals rest no longer than this: the first reading of a long history takes long, and the next does not.
const REST_MAX: Duration = Duration::from_secs(30);
/// How long a scrape waits for new totals before it is answered with those at hand.
const SCRAPE_WAIT: Duration = Duration::from_secs(3);

/// What the last reading of the totals has brought.
struct Snapshot {
    families: Arc<Vec<MetricFamily>>,
    /// When the totals were read; `None` before the first time.
    read_at: Option<Instant>,
    fresh_until: Instant,
    up: bool,
}

/// The metrics, for the server.
pub struct Exposition {
    process: Process,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    wanted: Arc<Notify>,
}

/// Reads the totals whenever a scrape wants them; the one place that does.
pub struct Refresher {
    totals: Totals,
    process: Process,
    snapshots: watch::Sender<Arc<Snapshot>>,
    wanted: Arc<Notify>,
}

impl Exposition {
    /// Registers the metrics of this process. Nothing is read yet.
    pub fn new(config: &Config, clickhouse: ClickHouse) -> Result<(Self, Refresher), prometheus::Error> {
        let process = Process::new()?;
        let empty = Snapshot { families: Arc::default(), read_at: None, fresh_until: Instant::now(), up: false };
        let (sender, receiver) = watch::channel(Arc::new(empty));
        let wanted = Arc::new(Notify::new());
        let names = Names {
            clients: config.clients.iter().map(|client| client.name.clone()).collect(),
            providers: config.providers.iter().map(|provider| provider.name.clone()).collect(),
            models: config.models.iter().map(|model| model.name.clone()).collect(),
        };
        let totals = Totals { clickhouse, names, days: Days::default(), ratchet: Ratchet::default() };
        let refresher = Refresher { totals, process: process.clone(), snapshots: sender, wanted: wanted.clone() };
        Ok((Self { process, snapshots: receiver, wanted }, refresher))
    }

    /// Counts an answer of the API. `endpoint` is a route, never a path that somebody made up.
    pub fn answered(&self, endpoint: &str, status: StatusCode, took: Duration) {
        self.process.answered(endpoint, status, took);
    }

    /// All metrics as text. Answers within seconds whatever ClickHouse does.
    pub async fn render(&self) -> Result<String, prometheus::Error> {
        let mut snapshots = self.snapshots.clone();
        if Instant::now() >= snapshots.borrow_and_update().fresh_until {
            self.wanted.notify_one();
            // In vain if ClickHouse is slow or the refresher has ended: then the totals at hand have to do.
            let _ = tokio::time::timeout(SCRAPE_WAIT, snapshots.changed()).await;
        }
        let snapshot = snapshots.borrow().clone();
        self.process.totals_at_hand(snapshot.up, snapshot.read_at.map(|at| at.elapsed()));
        let mut families = self.process.gather();
        families.extend(snapshot.families.iter().cloned());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&families)
    }
}

impl Refresher {
    /// Waits for scrapes, for ever.
    pub async fn run(mut self) -> ! {
        loop {
            self.wanted.notified().await;
            let before = self.snapshots.borrow().clone();
            if Instant::now() < before.fresh_until {
                continue;
            }
            let snapshot = self.refresh(&before).await;
            self.snapshots.send_replace(Arc::new(snapshot));
        }
    }

    async fn refresh(&mut self, before: &Snapshot) -> Snapshot {
        let started = Instant::now();
        let totals = self.totals.read().await;
        let took = started.elapsed();
        let fresh_until = Instant::now() + (took * REST_FACTOR).clamp(FRESH, REST_MAX);
        self.process.refreshed(totals.is_ok(), took);
        match totals {
            Ok(families) => {
                if !before.up {
                    tracing::info!(took_ms = took.as_millis(), "the totals have been read from ClickHouse");
                }
                Snapshot { families: Arc::new(families), read_at: Some(Instant::now()), fresh_until, up: true }
            }
            Err(error) => {
                if before.up || before.read_at.is_none() {
                    error.warn("cannot read the totals");
                }
                let (families, read_at) = (before.families.clone(), before.read_at);
                Snapshot { families, read_at, fresh_until, up: !error.is_down() }
            }
        }
    }
}

/// Everything that is read from ClickHouse for the metrics.
struct Totals {
    clickhouse: ClickHouse,
    names: Names,
    days: Days,
    ratchet: Ratchet,
}

impl Totals {
    async fn read(&mut self) -> Result<Vec<MetricFamily>, Error> {
        self.days.update(&self.clickhouse, &self.names).await?;
        let open_requests = or_unknown(queries::open_requests(&self.clickhouse).await)?;
        let dead_letters = or_unknown(queries::dead_letters(&self.clickhouse).await)?;
        self.ratchet.raise(self.days.sums());
        let mut families = families::counters(self.ratchet.values());
        families.extend(families::gauges(open_requests, dead_letters, self.days.last_recorded_at()));
        Ok(families)
    }
}

/// A count that cannot be had leaves its gauge out, and the others in.
fn or_unknown(count: Result<u64, Error>) -> Result<Option<u64>, Error> {
    match count {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.is_down() => Err(error),
        Err(error) => {
            error.warn("a gauge is left out");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
