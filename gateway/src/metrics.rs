//! Every metric of the gateway: name, labels and help together; methods named for facts.
//!
//! Labels are closed enums or names from the configuration, never anything that a client can invent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use schemas::events::{Candidate, Receipt};
use schemas::money::Pico;

use crate::health::Snapshot;
use crate::reload::Counts;
use crate::routing;

/// OpenTelemetry's bucket bounds for GenAI durations, in seconds.
const DURATION_SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// OpenTelemetry's bucket bounds for GenAI token counts.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// What the gateway adds: from a tenth of a millisecond.
const OVERHEAD_SECONDS: &[f64] = &[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

/// The metrics of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Names of all catalogues so far; any other model was invented by a client and is labelled `unlisted`.
    models: ArcSwap<BTreeSet<String>>,
    requests: IntCounterVec,
    candidates: IntCounterVec,
    clients: ClientMetrics,
    active: IntGauge,
    appended: IntCounter,
    published: IntCounter,
    lost: IntCounter,
    unreadable: IntCounter,
    bodies_dropped: IntCounterVec,
    resent: IntCounter,
    ledger_bytes: IntGauge,
    peers: IntGauge,
    peers_unreadable: IntCounter,
    breaker_state: IntGaugeVec,
    key_disabled: IntGaugeVec,
    key_cooldown: IntGaugeVec,
    key_in_flight: IntGaugeVec,
    key_limit: IntGaugeVec,
    /// What became of changed configurations.
    pub(crate) reloads: Counts,
    /// What became of conversations.
    pub(crate) affinity: routing::Counts,
    overhead: Histogram,
    duration: HistogramVec,
    first_token: HistogramVec,
    per_token: HistogramVec,
    tokens: HistogramVec,
}

/// What clients may use.
#[derive(Debug)]
struct ClientMetrics {
    limited: IntCounterVec,
    budget_left: GaugeVec,
}

impl ClientMetrics {
    fn new() -> Result<Self, prometheus::Error> {
        let limited = Opts::new("weir_limited_total", "Requests refused by a limit or budget of their client.");
        let help = "What is left of the client's budget, less what is set aside for requests under way.";
        Ok(Self {
            limited: IntCounterVec::new(limited, &["limit"])?,
            budget_left: GaugeVec::new(Opts::new("weir_budget_left_usd", help), &["client"])?,
        })
    }
}

/// Why captured bodies were not kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BodyDrop {
    /// Their share of the ledger is used up.
    LedgerFull,
    /// Too many are being written already.
    Busy,
    /// They could not be redacted, serialised or written.
    Failed,
}

impl BodyDrop {
    const fn as_str(self) -> &'static str {
        match self {
            Self::LedgerFull => "ledger_full",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// Registers all metrics. `models` are the names that may become labels.
    pub fn new(models: BTreeSet<String>) -> Result<Self, prometheus::Error> {
        let (registry, model) = (Registry::new(), &["gen_ai_provider_name", "gen_ai_request_model"]);
        let per_key =
            |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["provider", "endpoint", "key"]);
        let counters = |name: &str, help: &str, label: &str| IntCounterVec::new(Opts::new(name, help), &[label]);
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), model)
        };
        let metrics = Self {
            reloads: Counts::register(&registry)?,
            affinity: routing::Counts::register(&registry)?,
            registry,
            models: ArcSwap::from_pointee(models),
            requests: counters("weir_requests_total", "Requests by outcome.", "outcome")?,
            candidates: IntCounterVec::new(
                Opts::new("weir_candidates_total", "Candidates considered, by verdict and reason."),
                &["verdict", "reason"],
            )?,
            clients: ClientMetrics::new()?,
            active: IntGauge::new("weir_active_streams", "Requests let in and not settled yet.")?,
            appended: IntCounter::new("weir_events_appended_total", "Events written to the ledger.")?,
            published: IntCounter::new("weir_events_published_total", "Events acknowledged by NATS.")?,
            lost: IntCounter::new("weir_events_lost_total", "Events that could not be written to the ledger.")?,
            unreadable: IntCounter::new(
                "weir_unreadable_events_total",
                "Events of providers' streams that are not what their format promises.",
            )?,
            bodies_dropped: counters("weir_bodies_dropped_total", "Captured bodies that were not kept.", "reason")?,
            resent: IntCounter::new(
                "weir_events_resent_total",
                "Events sent again because NATS had lost them after acknowledging them.",
            )?,
            ledger_bytes: IntGauge::new("weir_ledger_bytes", "Bytes in all segments of the ledger.")?,
            peers: IntGauge::new("weir_peers", "Other gateways that are heard of.")?,
            peers_unreadable: IntCounter::new(
                "weir_peers_unreadable_total",
                "Words of other gateways that could not be taken in.",
            )?,
            breaker_state: per_key("weir_breaker_state", "Breaker: 0 closed, 1 half-open (probing), 2 open.")?,
            key_disabled: per_key("weir_key_disabled", "1 while the provider refuses the key.")?,
            key_cooldown: per_key("weir_key_cooldown_seconds", "Time until a rate-limited key is used again.")?,
            key_in_flight: per_key("weir_key_concurrency", "Requests under way with the key.")?,
            key_limit: per_key(
                "weir_key_concurrency_limit",
                "Most requests at once with the key, configured or learned; absent while none is known.",
            )?,
            overhead: Histogram::with_opts(
                HistogramOpts::new("weir_gateway_overhead_seconds", "From a request's head to its first attempt.")
                    .buckets(OVERHEAD_SECONDS.to_vec()),
            )?,
            duration: histogram("gen_ai_server_request_duration_seconds", "Whole duration.", DURATION_SECONDS)?,
            first_token: histogram(
                "gen_ai_server_time_to_first_token_seconds",
                "From a request's head to the first content.",
                DURATION_SECONDS,
            )?,
            per_token: histogram(
                "gen_ai_server_time_per_output_token_seconds",
                "Time after the first content, per further output token.",
                DURATION_SECONDS,
            )?,
            tokens: HistogramVec::new(
                HistogramOpts::new("gen_ai_client_token_usage", "Tokens per request.").buckets(TOKENS.to_vec()),
                &["gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"],
            )?,
        };
        metrics.register()?;
        for outcome in schemas::outcome::Outcome::ALL {
            metrics.requests.with_label_values(&[outcome.as_str()]);
        }
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        let all: [Box<dyn prometheus::core::Collector>; 24] = [
            Box::new(self.requests.clone()),
            Box::new(self.candidates.clone()),
            Box::new(self.clients.limited.clone()),
            Box::new(self.clients.budget_left.clone()),
            Box::new(self.active.clone()),
            Box::new(self.appended.clone()),
            Box::new(self.published.clone()),
            Box::new(self.lost.clone()),
            Box::new(self.unreadable.clone()),
            Box::new(self.bodies_dropped.clone()),
            Box::new(self.resent.clone()),
            Box::new(self.ledger_bytes.clone()),
            Box::new(self.peers.clone()),
            Box::new(self.peers_unreadable.clone()),
            Box::new(self.breaker_state.clone()),
            Box::new(self.key_disabled.clone()),
            Box::new(self.key_cooldown.clone()),
            Box::new(self.key_in_flight.clone()),
            Box::new(self.key_limit.clone()),
            Box::new(self.overhead.clone()),
            Box::new(self.duration.clone()),
            Box::new(self.first_token.clone()),
            Box::new(self.per_token.clone()),
            Box::new(self.tokens.clone()),
        ];
        all.into_iter().try_for_each(|collector| self.registry.register(collector))
    }

    /// The text format that Prometheus scrapes.
    pub fn exposition(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be encoded");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A request was let in.
    pub(crate) fn request_opened(&self) {
        self.active.inc();
    }

    /// A request has its outcome; `opened` if it was let in.
    pub(crate) fn request_ended(&self, receipt: &Receipt, opened: bool) {
        self.requests.with_label_values(&[receipt.outcome.as_str()]).inc();
        if !opened {
            return;
        }
        self.active.dec();
        let models = self.models.load();
        let name = models.get(&receipt.model).map_or("unlisted", String::as_str);
        let model = &[receipt.provider.as_str(), name];
        self.duration.with_label_values(model).observe(receipt.duration_ms / 1000.0);
        if let Some(ttft_ms) = receipt.ttft_ms {
            self.first_token.with_label_values(model).observe(ttft_ms / 1000.0);
            if let Some(further) = receipt.usage.output.filter(|output| *output > 1 && receipt.is_stream) {
                let seconds = (receipt.duration_ms - ttft_ms) / 1000.0 / (further - 1) as f64;
                self.per_token.with_label_values(model).observe(seconds.max(0.0));
            }
        }
        for (kind, count) in [("input", receipt.usage.input), ("output", receipt.usage.output)] {
            if let Some(count) = count {
                let labels = &[receipt.provider.as_str(), name, kind];
                self.tokens.with_label_values(labels).observe(count as f64);
            }
        }
    }

    /// A candidate is over.
    pub(crate) fn candidate(&self, candidate: &Candidate) {
        self.candidates.with_label_values(&[candidate.verdict.as_str(), candidate.reason.as_str()]).inc();
    }

    /// A limit left no room; `limit` is its key in the configuration.
    pub(crate) fn limited(&self, limit: &'static str) {
        self.clients.limited.with_label_values(&[limit]).inc();
    }

    /// What is left of every budget now, in US dollars.
    pub(crate) fn budgets(&self, left: &[(&str, Pico)]) {
        // Clients that have gone from the configuration are told of no more.
        self.clients.budget_left.reset();
        for (client, left) in left {
            self.clients.budget_left.with_label_values(&[*client]).set(left.0 as f64 / 1e12);
        }
    }

    /// What is known about every key now.
    pub(crate) fn health(&self, keys: &[Snapshot]) {
        for key in keys {
            let labels = &[key.provider.as_str(), key.endpoint.as_str(), key.key.as_str()];
            let cooling_s = key.cooling_for_ms.map_or(0, |left_ms| left_ms.div_ceil(1000));
            self.breaker_state.with_label_values(labels).set(key.breaker.as_gauge());
            self.key_disabled.with_label_values(labels).set(i64::from(key.is_disabled));
            self.key_cooldown.with_label_values(labels).set(i64::try_from(cooling_s).unwrap_or(i64::MAX));
            self.key_in_flight.with_label_values(labels).set(i64::from(key.in_flight));
            match key.limit {
                Some(limit) => self.key_limit.with_label_values(labels).set(i64::from(limit)),
                // It fails where there was none, which is as well.
                None => drop(self.key_limit.remove_label_values(labels)),
            }
        }
    }

    /// Who is heard of now, and how much could not be taken in so far.
    pub(crate) fn peers(&self, alive: usize, unreadable: u64) {
        self.peers.set(i64::try_from(alive).unwrap_or(i64::MAX));
        self.peers_unreadable.inc_by(unreadable.saturating_sub(self.peers_unreadable.get()));
    }

    /// Names that may become labels from now on. Those of running requests stay.
    pub(crate) fn config_models(&self, models: impl Iterator<Item = String>) {
        let known = self.models.load();
        self.models.store(Arc::new(known.iter().cloned().chain(models).collect()));
        // Of keys that are gone nothing is known any more; the others are told again at the next scrape.
        for per_key in
            [&self.breaker_state, &self.key_disabled, &self.key_cooldown, &self.key_in_flight, &self.key_limit]
        {
            per_key.reset();
        }
    }

    pub(crate) fn events_appended(&self, count: u64) {
        self.appended.inc_by(count);
    }

    pub(crate) fn events_published(&self, count: u64) {
        self.published.inc_by(count);
    }

    /// What a provider sent could not be read; it went on to the client all the same.
    pub(crate) fn events_unreadable(&self, count: u64) {
        self.unreadable.inc_by(count);
    }

    pub(crate) fn events_lost(&self, count: u64) {
        self.lost.inc_by(count);
    }

    pub(crate) fn events_resent(&self, count: u64) {
        self.resent.inc_by(count);
    }

    pub(crate) fn bodies_dropped(&self, why: BodyDrop, count: u64) {
        self.bodies_dropped.with_label_values(&[why.as_str()]).inc_by(count);
    }

    pub(crate) fn ledger_bytes(&self, bytes: u64) {
        self.ledger_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn overhead(&self, elapsed: Duration) {
        self.overhead.observe(elapsed.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::health::{Admission, Claim, Fault, Health, TargetSpec};

    #[test]
    fn tells_the_health_of_every_key_and_no_limit_that_is_not_known() {
        let key = |key: &str, max_concurrent| TargetSpec {
            provider: "p".to_owned(),
            endpoint: "e".to_owned(),
            key: key.to_owned(),
            max_concurrent,
            fingerprint: 0,
        };
        let (metrics, health, now) =
            (Metrics::new(BTreeSet::new()).unwrap(), Health::new([key("a", 0), key("b", 7)]), Instant::now());
        for _ in 0..5 {
            let Admission::Admitted(slot) = health.admit(0, Claim::Known, now) else { panic!("healthy") };
            slot.failed(Fault::Provider, now);
        }
        let Admission::Admitted(_running) = health.admit(1, Claim::Known, now) else { panic!("healthy") };
        metrics.health(&health.snapshot(now));
        let text = metrics.exposition();
        let value = |name: &str, key: &str| {
            let start = format!("{name}{{endpoint=\"e\",key=\"{key}\",provider=\"p\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&start))
        };
        assert_eq!((value("weir_breaker_state", "a"), value("weir_breaker_state", "b")), (Some("2"), Some("0")));
        assert_eq!((value("weir_key_concurrency", "a"), value("weir_key_concurrency", "b")), (Some("0"), Some("1")));
        let limits = (value("weir_key_concurrency_limit", "a"), value("weir_key_concurrency_limit", "b"));
        assert_eq!(limits, (None, Some("7")));
        assert_eq!((value("weir_key_disabled", "a"), value("weir_key_cooldown_seconds", "a")), (Some("0"), Some("0")));
    }
}
