//! Metrics of what goes on beside the recording: sealing, leases, mending.

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{SealVerdict, registered};

/// What the seal job has found.
#[derive(Debug)]
pub(super) struct Seals {
    pub(super) days: IntCounterVec,
    pub(super) differing_hours: IntCounter,
    pub(super) sealed_at: Gauge,
}

impl Seals {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let days = Opts::new("weir_recorder_seals_total", "Checks of a day's rollups against the rows, by verdict");
        let hours = "Hours whose rollups differed from the rows and were made anew";
        let at = "When all rollups were last looked over; 0: not by this recorder";
        let seals = Self {
            days: registered(registry, IntCounterVec::new(days, &["verdict"])?)?,
            differing_hours: registered(registry, IntCounter::new("weir_recorder_seal_differences_total", hours)?)?,
            sealed_at: registered(registry, Gauge::new("weir_recorder_sealed_timestamp_seconds", at)?)?,
        };
        for verdict in SealVerdict::ALL {
            seals.days.with_label_values(&[verdict.as_str()]).inc_by(0);
        }
        Ok(seals)
    }
}

/// Who records what.
#[derive(Debug)]
pub(super) struct Leases {
    pub(super) held: IntGaugeVec,
    pub(super) takeovers: IntCounter,
    pub(super) losses: IntCounter,
    pub(super) members: IntGauge,
}

impl Leases {
    pub(super) fn new(registry: &Registry, partitions: u16) -> Result<Self, prometheus::Error> {
        let held = Opts::new("weir_recorder_lease_held", "1 while this recorder holds the partition's lease");
        let takeovers = "Partitions taken over from recorders that had gone silent";
        let losses = "Times that recording was cut off because the lease had run out or was lost";
        let members = "Recorders that share the partitions; 0 before that is known";
        let leases = Self {
            held: registered(registry, IntGaugeVec::new(held, &["partition"])?)?,
            takeovers: registered(registry, IntCounter::new("weir_recorder_lease_takeovers_total", takeovers)?)?,
            losses: registered(registry, IntCounter::new("weir_recorder_lease_losses_total", losses)?)?,
            members: registered(registry, IntGauge::new("weir_recorders", members)?)?,
        };
        for partition in 0..partitions {
            leases.held.with_label_values(&[&partition.to_string()]).set(0);
        }
        Ok(leases)
    }
}

/// What ClickHouse has lost, and what became of it.
#[derive(Debug)]
pub(super) struct Damages {
    pub(super) parts: IntCounter,
    pub(super) anew: IntCounter,
    pub(super) gone: IntGauge,
}

impl Damages {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let parts = "Parts of tables that cannot be read, or that ClickHouse has set aside as broken";
        let anew = "Events that were put into the stream again because ClickHouse had lost their rows";
        let gone = "Recorded events whose rows ClickHouse has lost and that the stream does not hold any more";
        Ok(Self {
            parts: registered(registry, IntCounter::new("weir_recorder_damaged_parts_total", parts)?)?,
            anew: registered(registry, IntCounter::new("weir_recorder_events_recorded_anew_total", anew)?)?,
            gone: registered(registry, IntGauge::new("weir_recorder_events_gone", gone)?)?,
        })
    }
}
