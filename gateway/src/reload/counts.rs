//! The metrics of reloading.

use prometheus::{IntCounter, IntGauge, Registry};

/// What became of changed configurations.
#[derive(Debug)]
pub(crate) struct Counts {
    reloads: IntCounter,
    failures: IntCounter,
    waiting: IntGauge,
}

impl Counts {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counts = Self {
            reloads: IntCounter::new(
                "weir_config_reloads_total",
                "Configurations that were taken over while the gateway ran.",
            )?,
            failures: IntCounter::new(
                "weir_config_reload_failures_total",
                "Configurations that were refused, the one before staying in force.",
            )?,
            waiting: IntGauge::new(
                "weir_config_keys_waiting",
                "Keys of the configuration that have changed and wait for a restart.",
            )?,
        };
        registry.register(Box::new(counts.reloads.clone()))?;
        registry.register(Box::new(counts.failures.clone()))?;
        registry.register(Box::new(counts.waiting.clone()))?;
        Ok(counts)
    }

    /// A configuration is in force; so many keys of it are not.
    pub(super) fn taken_over(&self, waiting: usize) {
        self.reloads.inc();
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(super) fn refused(&self) {
        self.failures.inc();
    }
}
