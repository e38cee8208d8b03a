//! The rows of the aggregates: field names are column names, and in replies the API's names.
//!
//! `skip_serializing_if` keeps a column out of the reply and in the statement, as opposed to `skip_serializing`, which
//! `Row` takes as "no such column".

use ::clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::cells::{Id, Instant, Money, Text};

/// What all aggregates begin with.
pub trait Grouped {
    /// Start of the bucket, in seconds since 1970.
    fn bucket_seconds(&self) -> u32;
    /// The values of the dimensions, in the order asked for.
    fn groups(&self) -> &[Text];
}

macro_rules! grouped {
    ($($row:ty),+) => {
        $(impl Grouped for $row {
            fn bucket_seconds(&self) -> u32 {
                self.bucket
            }

            fn groups(&self) -> &[Text] {
                &self.groups
            }
        })+
    };
}

grouped!(Usage, Costs, Latency, Failures, Providers);

fn never<T>(_: &T) -> bool {
    true
}

/// A row of `usage.sql`.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct Usage {
    #[serde(skip_serializing_if = "never")]
    bucket: u32,
    #[serde(skip_serializing_if = "never")]
    groups: Vec<Text>,
    requests: u64,
    completed: u64,
    rejected: u64,
    failed: u64,
    interrupted: u64,
    cancelled: u64,
    upstream_attempts: u64,
    input_tokens: Option<u64>,
    fresh_input_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    cache_write_5m_tokens: Option<u64>,
    cache_write_1h_tokens: Option<u64>,
    cache_read_share: Option<f64>,
    output_tokens: Option<u64>,
    delivered_output_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    estimated_usage_requests: u64,
    unknown_usage_requests: u64,
}

/// A row of `costs.sql`.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize, Serialize)]
pub struct Costs {
    #[serde(skip_serializing_if = "never")]
    bucket: u32,
    #[serde(skip_serializing_if = "never")]
    groups: Vec<Text>,
    requests: u64,
    priced_requests: i64,
    unpriced_requests: i64,
    unknown_usage_requests: u64,
    estimated_usage_requests: i64,
    cost_usd: Option<Money>,
    wasted_cost_usd: Option<Money>,
    cache_saved_usd: Option<Money>,
}

/// A row of `latency.sql`.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct Latency {
    #[serde(skip_serializing_if = "never")]
    bucket: u32,
    #[serde(skip_serializing_if = "never")]
    groups: Vec<Text>,
    requests: u64,
    ttft_requests: u64,
    ttft_ms_p50: Option<f64>,
    ttft_ms_p90: Option<f64>,
    ttft_ms_p95: Option<f64>,
    ttft_ms_p99: Option<f64>,
    ttft_ms_max: Option<f64>,
    duration_ms_p50: f64,
    duration_ms_p90: f64,
    duration_ms_p95: f64,
    duration_ms_p99: f64,
    duration_ms_max: f64,
    speed_requests: u64,
    output_tokens_per_second_p50: Option<f64>,
    output_tokens_per_second_p90: Option<f64>,
    output_tokens_per_second_p95: Option<f64>,
    output_tokens_per_second_p99: Option<f64>,
}

/// A row of `failures.sql`.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize, Serialize)]
pub struct Failures {
    #[serde(skip_serializing_if = "never")]
    bucket: u32,
    #[serde(skip_serializing_if = "never")]
    groups: Vec<Text>,
    outcome: Text,
    error_class: Text,
    upstream_status: Option<u16>,
    requests: u64,
    output_tokens: Option<u64>,
    cost_usd: Option<Money>,
    last_received_at: Instant,
    last_request_id: Id,
    last_error_message: Text,
}

/// A row of `providers.sql`.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct Providers {
    #[serde(skip_serializing_if = "never")]
    bucket: u32,
    #[serde(skip_serializing_if = "never")]
    groups: Vec<Text>,
    attempts: u64,
    succeeded: u64,
    failed: u64,
    skipped: u64,
    success_rate: Option<f64>,
    rate_limited: u64,
    headers_ms_p50: Option<f64>,
    headers_ms_p95: Option<f64>,
    first_content_ms_p50: Option<f64>,
    first_content_ms_p95: Option<f64>,
    failed_input_tokens: Option<u64>,
    failed_output_tokens: Option<u64>,
    requests: u64,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost_usd: Option<Money>,
}
