//! Series -> metric families: names, help and types, together in one place.

use std::collections::BTreeMap;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric as Sample, MetricFamily, MetricType};

use super::series::{Label, Metric, Part, Series, TOKEN_BOUNDS};

const PICO: f64 = 1e12;

/// The parts of each sample.
type Samples<'a> = BTreeMap<(Metric, &'a [Label]), Vec<(Part, i128)>>;

/// Name and help of a total.
fn described(metric: Metric) -> (&'static str, &'static str) {
    match metric {
        Metric::Requests => ("weir_requests_total", "Requests that have ended, by outcome, all gateways together."),
        Metric::Candidates => {
            ("weir_candidates_total", "Candidates considered, by what became of them and why, all gateways together.")
        }
        Metric::Tokens => {
            ("weir_tokens_total", "Tokens used, by kind; the kinds do not overlap, and output includes reasoning.")
        }
        Metric::ReasoningTokens => ("weir_reasoning_tokens_total", "Output tokens that models spent on reasoning."),
        Metric::Cost => ("weir_cost_usd_total", "Known cost in US dollars; /v1/costs has it to the last digit."),
        Metric::UnpricedRequests => {
            ("weir_unpriced_requests_total", "Requests with known usage whose cost is unknown: a price is missing.")
        }
        Metric::UnknownUsageRequests => (
            "weir_unknown_usage_requests_total",
            "Requests that a provider has answered and whose tokens nobody knows: no sum contains them.",
        ),
        Metric::TokenUsage => ("gen_ai_client_token_usage", "Tokens per request, as providers reported them."),
    }
}

/// The totals as counters and histograms.
pub(super) fn counters<'a>(values: impl Iterator<Item = (&'a Series, i128)>) -> Vec<MetricFamily> {
    let mut samples: Samples<'_> = BTreeMap::new();
    for (series, value) in values {
        samples.entry((series.metric, &series.labels)).or_default().push((series.part, value));
    }
    let mut families: BTreeMap<Metric, MetricFamily> = BTreeMap::new();
    for ((metric, labels), parts) in samples {
        let (name, help) = described(metric);
        let is_histogram = metric == Metric::TokenUsage;
        let kind = if is_histogram { MetricType::HISTOGRAM } else { MetricType::COUNTER };
        let mut sample = Sample::from_label(labels.iter().map(|(name, value)| label(name, value)).collect());
        if is_histogram {
            sample.set_histogram(histogram(&parts));
        } else {
            let total: i128 = parts.iter().map(|(_, value)| value).sum();
            let mut counter = Counter::default();
            counter.set_value(if metric == Metric::Cost { total as f64 / PICO } else { total as f64 });
            sample.set_counter(counter);
        }
        families.entry(metric).or_insert_with(|| family(name, help, kind)).mut_metric().push(sample);
    }
    families.into_values().collect()
}

/// What is true at the time of reading; what is not known is left out.
pub(super) fn gauges(open: Option<u64>, dead_letters: Option<u64>, last_recorded_at: Option<i64>) -> Vec<MetricFamily> {
    let gauges = [
        ("weir_open_requests", "Requests let in within the last day that have not ended.", open.map(|n| n as f64)),
        ("weir_dead_letters", "Events that could not be stored, each with its reason.", dead_letters.map(|n| n as f64)),
        (
            "weir_last_recorded_timestamp_seconds",
            "When the newest row was stored, in seconds since 1970.",
            last_recorded_at.map(|micros| micros as f64 / 1e6),
        ),
    ];
    gauges.into_iter().filter_map(|(name, help, value)| Some(gauge(name, help, value?))).collect()
}

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut family = family(name, help, MetricType::GAUGE);
    family.mut_metric().push(Sample::from_gauge(gauge));
    family
}

fn family(name: &str, help: &str, kind: MetricType) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn histogram(parts: &[(Part, i128)]) -> Histogram {
    let mut histogram = Histogram::default();
    let mut buckets = Vec::new();
    // Totals are counts of rows, far below what 64 bits hold.
    let count = |value: i128| u64::try_from(value).unwrap_or(u64::MAX);
    for (part, value) in parts {
        match part {
            Part::Count => histogram.set_sample_count(count(*value)),
            Part::Sum => histogram.set_sample_sum(*value as f64),
            Part::Bucket(index) => {
                let Some(bound) = TOKEN_BOUNDS.get(*index) else { continue };
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(*bound as f64);
                bucket.set_cumulative_count(count(*value));
                buckets.push(bucket);
            }
            Part::Value => {}
        }
    }
    histogram.set_bucket(buckets);
    histogram
}
