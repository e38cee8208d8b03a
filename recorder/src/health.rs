//! Whether the recorder can do its work, and if not, what is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::Client;
use async_nats::connection::State;

use crate::metrics::Metrics;

/// Shared by the workers, who report, and the ops listener, who tells.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    nats: Client,
    metrics: Metrics,
    migrated: AtomicBool,
    /// Per partition, whether it is being recorded here.
    recording: Vec<AtomicBool>,
    /// Per partition, whether it is this recorder's and not being recorded.
    stalled: Vec<AtomicBool>,
}

impl Health {
    /// Nothing has been reached yet.
    pub fn new(nats: Client, metrics: Metrics, partitions: u16) -> Self {
        let none = || (0..partitions).map(|_| AtomicBool::new(false)).collect();
        let migrated = AtomicBool::new(false);
        Self(Arc::new(Inner { nats, metrics, migrated, recording: none(), stalled: none() }))
    }

    /// The tables are there.
    pub fn migrated(&self) {
        self.0.migrated.store(true, Ordering::Relaxed);
        self.0.metrics.clickhouse_answered(true);
    }

    /// A partition of this recorder's is being recorded, or is not; `None`: it has nothing to do with it any more.
    pub fn partition_opened(&self, partition: u16, open: Option<bool>) {
        for (cells, when) in [(&self.0.recording, Some(true)), (&self.0.stalled, Some(false))] {
            if let Some(cell) = cells.get(usize::from(partition)) {
                cell.store(open == when, Ordering::Relaxed);
            }
        }
    }

    /// Whether a partition is being recorded here.
    pub fn is_recording(&self, partition: u16) -> bool {
        self.0.recording.get(usize::from(partition)).is_some_and(|open| open.load(Ordering::Relaxed))
    }

    /// What is missing; empty when the recorder is ready.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.0.nats.connection_state() != State::Connected {
            missing.push("NATS is not connected".to_owned());
        }
        if !self.0.migrated.load(Ordering::Relaxed) {
            missing.push("the migrations are not applied: ClickHouse has not been reached".to_owned());
        } else if !self.0.metrics.clickhouse_is_reached() {
            missing.push("ClickHouse did not answer the last statement".to_owned());
        }
        let partitions = self.0.stalled.iter().enumerate();
        let closed: Vec<String> = partitions
            .filter(|(_, stalled)| stalled.load(Ordering::Relaxed))
            .map(|(index, _)| index.to_string())
            .collect();
        if !self.0.metrics.has_leases_read() {
            missing.push("it is not known which partitions this recorder has".to_owned());
        }
        if !closed.is_empty() {
            missing.push(format!("partitions not being recorded: {}", closed.join(", ")));
        }
        missing
    }
}
