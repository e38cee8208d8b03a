//! The metrics of this process alone.

use std::time::Duration;

use axum::http::StatusCode;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

const SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Methods are named for facts; nothing else touches the registry.
#[derive(Clone)]
pub(super) struct Process {
    registry: Registry,
    answers: IntCounterVec,
    answer_seconds: HistogramVec,
    clickhouse_up: IntGauge,
    totals_age_seconds: Gauge,
    refresh_seconds: Histogram,
    refresh_failures: IntCounter,
}

impl Process {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let answers = Opts::new("weir_api_answers_total", "Answers of the analytics service, by route and status.");
        let seconds =
            HistogramOpts::new("weir_api_answer_seconds", "Time to an answer of the analytics service, by route.");
        let refresh = HistogramOpts::new("weir_totals_refresh_seconds", "Time that reading the totals took.");
        let process = Self {
            registry: Registry::new(),
            answers: IntCounterVec::new(answers, &["endpoint", "status"])?,
            answer_seconds: HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["endpoint"])?,
            clickhouse_up: IntGauge::new(
                "weir_clickhouse_up",
                "Whether ClickHouse answered the last reading (1) or not (0).",
            )?,
            totals_age_seconds: Gauge::new(
                "weir_totals_age_seconds",
                "Age of the totals below: how long ago ClickHouse was read. NaN before the first time.",
            )?,
            refresh_seconds: Histogram::with_opts(refresh.buckets(SECONDS.to_vec()))?,
            refresh_failures: IntCounter::new(
                "weir_totals_refresh_failures_total",
                "Readings of the totals that failed.",
            )?,
        };
        let collectors: [Box<dyn Collector>; 6] = [
            Box::new(process.answers.clone()),
            Box::new(process.answer_seconds.clone()),
            Box::new(process.clickhouse_up.clone()),
            Box::new(process.totals_age_seconds.clone()),
            Box::new(process.refresh_seconds.clone()),
            Box::new(process.refresh_failures.clone()),
        ];
        for collector in collectors {
            process.registry.register(collector)?;
        }
        Ok(process)
    }

    pub(super) fn answered(&self, endpoint: &str, status: StatusCode, took: Duration) {
        self.answers.with_label_values(&[endpoint, status.as_str()]).inc();
        self.answer_seconds.with_label_values(&[endpoint]).observe(took.as_secs_f64());
    }

    pub(super) fn refreshed(&self, succeeded: bool, took: Duration) {
        self.refresh_seconds.observe(took.as_secs_f64());
        if !succeeded {
            self.refresh_failures.inc();
        }
    }

    pub(super) fn totals_at_hand(&self, clickhouse_up: bool, age: Option<Duration>) {
        self.clickhouse_up.set(i64::from(clickhouse_up));
        self.totals_age_seconds.set(age.map_or(f64::NAN, |age| age.as_secs_f64()));
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}
