//! Every metric of the recorder. Methods are named for facts; nothing else touches the registry.

mod jobs;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use schemas::time::Timestamp;

use self::jobs::{Damages, Leases, Seals};
use crate::plan::Tally;

/// Where time is spent and errors occur; the `stage` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Opening a partition: stream, progress, position.
    Open,
    /// Reading the stream.
    Gather,
    /// Decoding, deduplicating, pricing.
    Plan,
    /// Naming a range in KV.
    Intend,
    /// One insert into ClickHouse.
    Insert,
    /// Publishing dead letters.
    DeadLetter,
    /// Committing a range in KV.
    Commit,
    /// Applying migrations.
    Migrate,
    /// Checking the rollups of what is closed.
    Seal,
}

impl Stage {
    const ALL: [Self; 8] = [
        Self::Open,
        Self::Gather,
        Self::Plan,
        Self::Intend,
        Self::Insert,
        Self::DeadLetter,
        Self::Commit,
        Self::Migrate,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Gather => "gather",
            Self::Plan => "plan",
            Self::Intend => "intend",
            Self::Insert => "insert",
            Self::DeadLetter => "dead_letter",
            Self::Commit => "commit",
            Self::Migrate => "migrate",
            Self::Seal => "seal",
        }
    }
}

/// What a check of a day's rollups found; the `verdict` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealVerdict {
    /// They hold what the rows add up to, to the last digit.
    Equal,
    /// They did not, and were replaced.
    Replaced,
}

impl SealVerdict {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Equal, Self::Replaced];

    /// As it is written in `seals`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Replaced => "replaced",
        }
    }
}

/// The recorder's metrics; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    stored: IntCounter,
    deduplicated: IntCounter,
    dead_lettered: IntCounter,
    unpriced: IntCounter,
    ranges: IntCounter,
    range_events: Histogram,
    stage_seconds: HistogramVec,
    errors: IntCounterVec,
    incarnations: IntCounterVec,
    lag_seconds: GaugeVec,
    gaps: IntGaugeVec,
    seals: Seals,
    leases: Leases,
    damages: Damages,
    put_off: IntCounter,
    nats_connected: Gauge,
    clickhouse_reached: AtomicBool,
    /// Per partition: when the oldest message was published that is read and not committed; 0 when there is none.
    oldest_open_micros: Vec<AtomicI64>,
}

const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
const EVENTS: [f64; 10] = [1.0, 10.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0, 100_000.0, 200_000.0];

impl Metrics {
    /// Registers everything.
    pub fn new(partitions: u16) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help)?);
        let anew = "Times a stream was not the known one and was read anew";
        let inner = Inner {
            stored: counter("weir_events_stored_total", "Events whose rows are committed in ClickHouse")?,
            deduplicated: counter("weir_events_deduplicated_total", "Events that arrived again and were dropped")?,
            dead_lettered: counter("weir_events_dead_lettered_total", "Events that could not be decoded or inserted")?,
            unpriced: counter("weir_unpriced_requests_total", "Requests with known tokens and no known price")?,
            ranges: counter("weir_recorder_ranges_total", "Ranges committed")?,
            range_events: registered(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new("weir_recorder_range_events", "Events in a committed range")
                        .buckets(EVENTS.into()),
                )?,
            )?,
            stage_seconds: registered(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new("weir_recorder_stage_seconds", "Time a stage took").buckets(SECONDS.into()),
                    &["stage"],
                )?,
            )?,
            errors: registered(
                &registry,
                IntCounterVec::new(Opts::new("weir_recorder_errors_total", "Failed tries by stage"), &["stage"])?,
            )?,
            incarnations: registered(
                &registry,
                IntCounterVec::new(Opts::new("weir_recorder_incarnations_total", anew), &["partition"])?,
            )?,
            lag_seconds: registered(
                &registry,
                GaugeVec::new(
                    Opts::new("weir_pipeline_lag_seconds", "Age of the oldest event in NATS that is not in ClickHouse"),
                    &["partition"],
                )?,
            )?,
            gaps: registered(
                &registry,
                IntGaugeVec::new(
                    Opts::new("weir_sequence_gaps", "Event numbers missing below the highest one recorded"),
                    &["partition"],
                )?,
            )?,
            seals: Seals::register(&registry)?,
            leases: Leases::new(&registry, partitions)?,
            damages: Damages::new(&registry)?,
            put_off: counter(
                "weir_events_put_off_total",
                "Events not recorded because there are too many holes before them: their gateways send them again",
            )?,
            nats_connected: registered(
                &registry,
                Gauge::new("weir_recorder_nats_connected", "1 while connected to NATS")?,
            )?,
            clickhouse_reached: AtomicBool::new(false),
            oldest_open_micros: (0..partitions).map(|_| AtomicI64::new(0)).collect(),
            registry,
        };
        // A counter that appears with its first event has no rate.
        for stage in Stage::ALL {
            inner.errors.with_label_values(&[stage.as_str()]);
        }
        for partition in 0..partitions {
            let label = partition.to_string();
            inner.lag_seconds.with_label_values(&[&label]).set(0.0);
            inner.gaps.with_label_values(&[&label]).set(0);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// A range is in ClickHouse and in KV.
    pub fn range_committed(&self, tally: Tally) {
        let inner = &self.0;
        inner.stored.inc_by(tally.stored);
        inner.deduplicated.inc_by(tally.deduplicated);
        inner.dead_lettered.inc_by(tally.dead_lettered);
        inner.unpriced.inc_by(tally.unpriced);
        inner.put_off.inc_by(tally.put_off);
        inner.ranges.inc();
        inner.range_events.observe((tally.stored + tally.deduplicated + tally.dead_lettered) as f64);
    }

    /// The leases that this recorder holds, how many recorders share the partitions, and how many leases this one has
    /// taken over since its start.
    pub fn leases(&self, held: &[u16], members: usize, takeovers: u64) {
        let Inner { leases, oldest_open_micros, .. } = &*self.0;
        for partition in 0..oldest_open_micros.len() {
            let is_held = held.iter().any(|held| usize::from(*held) == partition);
            leases.held.with_label_values(&[&partition.to_string()]).set(i64::from(is_held));
        }
        leases.members.set(i64::try_from(members).unwrap_or(i64::MAX));
        leases.takeovers.inc_by(takeovers.saturating_sub(leases.takeovers.get()));
    }

    /// Whether it is known who has which partition.
    pub fn has_leases_read(&self) -> bool {
        self.0.leases.members.get() > 0
    }

    /// A lease ran out or was lost while its partition was being recorded.
    pub fn lease_lost(&self) {
        self.0.leases.losses.inc();
    }

    /// A stage was passed.
    pub fn stage_took(&self, stage: Stage, time: Duration) {
        self.0.stage_seconds.with_label_values(&[stage.as_str()]).observe(time.as_secs_f64());
    }

    /// A try failed and will be repeated.
    pub fn failed(&self, stage: Stage) {
        self.0.errors.with_label_values(&[stage.as_str()]).inc();
    }

    /// A stream turned out to be another one than was recorded from.
    pub fn incarnation_began(&self, partition: u16) {
        self.0.incarnations.with_label_values(&[&partition.to_string()]).inc();
    }

    /// ClickHouse answered an insert, well or not.
    pub fn clickhouse_answered(&self, well: bool) {
        self.0.clickhouse_reached.store(well, Ordering::Relaxed);
        if !well {
            self.failed(Stage::Insert);
        }
    }

    /// Whether ClickHouse's last answer was a good one.
    pub fn clickhouse_is_reached(&self) -> bool {
        self.0.clickhouse_reached.load(Ordering::Relaxed)
    }

    /// A day's rollups were compared with its rows.
    pub fn day_sealed(&self, verdict: SealVerdict, differing_hours: u64) {
        self.0.seals.days.with_label_values(&[verdict.as_str()]).inc();
        self.0.seals.differing_hours.inc_by(differing_hours);
    }

    /// All rollups were looked over.
    pub fn sealed(&self, at: Timestamp) {
        self.0.seals.sealed_at.set(at.as_micros() as f64 / 1_000_000.0);
    }

    /// So many parts of tables were found damaged.
    pub fn parts_damaged(&self, parts: u64) {
        self.0.damages.parts.inc_by(parts);
    }

    /// An event was put into the stream again.
    pub fn recorded_anew(&self) {
        self.0.damages.anew.inc();
    }

    /// Recorded events that are neither in ClickHouse nor in the stream.
    pub fn gone(&self, events: u64) {
        self.0.damages.gone.set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    /// The connection to NATS came or went.
    pub fn nats_is_connected(&self, connected: bool) {
        self.0.nats_connected.set(if connected { 1.0 } else { 0.0 });
    }

    /// What waits to be recorded is as old as this; `None`: nothing waits.
    pub fn oldest_open(&self, partition: u16, published_at: Option<Timestamp>) {
        if let Some(cell) = self.0.oldest_open_micros.get(usize::from(partition)) {
            cell.store(published_at.map_or(0, Timestamp::as_micros), Ordering::Relaxed);
        }
    }

    /// How many event numbers are missing.
    pub fn gaps(&self, partition: u16, missing: u64) {
        let missing = i64::try_from(missing).unwrap_or(i64::MAX);
        self.0.gaps.with_label_values(&[&partition.to_string()]).set(missing);
    }

    /// The exposition text, with the lag as it is at this moment: it grows also while nothing moves.
    pub fn render(&self, now: Timestamp) -> Result<Vec<u8>, prometheus::Error> {
        for (partition, cell) in self.0.oldest_open_micros.iter().enumerate() {
            let micros = cell.load(Ordering::Relaxed);
            let lag_ms = if micros == 0 { 0.0 } else { now.millis_since(Timestamp::from_micros(micros)).max(0.0) };
            self.0.lag_seconds.with_label_values(&[&partition.to_string()]).set(lag_ms / 1000.0);
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn registered<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_names_are_exposed_and_lag_grows_while_nothing_moves() {
        let metrics = Metrics::new(2).unwrap();
        metrics.range_committed(Tally { stored: 3, deduplicated: 2, dead_lettered: 1, unpriced: 1, put_off: 0 });
        metrics.oldest_open(1, Some(Timestamp::from_micros(1_000_000)));
        metrics.day_sealed(SealVerdict::Replaced, 3);
        let text = |seconds: i64| {
            String::from_utf8(metrics.render(Timestamp::from_micros(seconds * 1_000_000)).unwrap()).unwrap()
        };
        let now = text(4);
        for line in [
            "weir_events_stored_total 3",
            "weir_events_deduplicated_total 2",
            "weir_events_dead_lettered_total 1",
            "weir_unpriced_requests_total 1",
            "weir_pipeline_lag_seconds{partition=\"0\"} 0",
            "weir_pipeline_lag_seconds{partition=\"1\"} 3",
            "weir_sequence_gaps{partition=\"0\"} 0",
            "weir_recorder_seals_total{verdict=\"equal\"} 0",
            "weir_recorder_seals_total{verdict=\"replaced\"} 1",
            "weir_recorder_seal_differences_total 3",
        ] {
            assert!(now.lines().any(|found| found == line), "{line} is not in\n{now}");
        }
        assert!(text(11).contains("weir_pipeline_lag_seconds{partition=\"1\"} 10"));
    }
}
