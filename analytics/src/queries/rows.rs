//! The rows that the statements answer with: field names are column names, and in replies the API's names.
//!
//! `skip_serializing_if` keeps a column out of the reply and in the statement, as opposed to `skip_serializing`, which
//! `Row` takes as "no such column".

use ::clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::cells::{Id, Instant, Money, Multiplier, Tags, Text};

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

grouped!(Usage, Costs);

fn never<T>(_: &T) -> bool {
    true
}

/// A row of `usage.sql`.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize, Serialize)]
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
    priced_requests: u64,
    unpriced_requests: u64,
    unknown_usage_requests: u64,
    estimated_usage_requests: u64,
    cost_usd: Option<Money>,
}

/// A row of the table `requests`, for lists and for the story of one.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct Request {
    pub request_id: Id,
    outcome: Text,
    client: Text,
    user: Text,
    tags: Tags,
    format: Text,
    is_stream: bool,
    provider: Text,
    endpoint: Text,
    key: Text,
    model_requested: Text,
    model: Text,
    model_upstream: Text,
    model_reported: Text,
    status: u16,
    upstream_status: Option<u16>,
    error_class: Text,
    error_type: Text,
    error_message: Text,
    stop_reason: Text,
    attempts: u16,
    pub received_at: Instant,
    ttft_ms: Option<f64>,
    duration_ms: f64,
    input_tokens: Option<u64>,
    fresh_input_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    cache_write_5m_tokens: Option<u64>,
    cache_write_1h_tokens: Option<u64>,
    output_tokens: Option<u64>,
    delivered_output_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    usage_source: Text,
    raw_usage: Text,
    normaliser: u16,
    cost_usd: Option<Money>,
    pub price_id: Text,
    cost_multiplier: Multiplier,
    request_bytes: u64,
    response_bytes: u64,
    stream_events: u64,
    client_request_id: Text,
    upstream_request_id: Text,
    user_agent: Text,
    gateway: Text,
    epoch: Id,
    partition: u16,
    seq: u64,
    recorded_at: Instant,
}

/// A row of the table `opened`.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct Opened {
    request_id: Id,
    client: Text,
    user: Text,
    tags: Tags,
    format: Text,
    is_stream: bool,
    model_requested: Text,
    model: Text,
    request_bytes: u64,
    received_at: Instant,
    client_request_id: Text,
    user_agent: Text,
    gateway: Text,
    epoch: Id,
    partition: u16,
    seq: u64,
    recorded_at: Instant,
}

/// A row of the table `candidates`.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct Candidate {
    candidate_index: u16,
    attempt_index: u16,
    verdict: Text,
    reason: Text,
    provider: Text,
    endpoint: Text,
    key: Text,
    model_upstream: Text,
    status: Option<u16>,
    error_class: Text,
    error_message: Text,
    started_at: Instant,
    headers_ms: Option<f64>,
    first_content_ms: Option<f64>,
    duration_ms: f64,
    response_bytes: u64,
    input_tokens: Option<u64>,
    fresh_input_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    cache_write_5m_tokens: Option<u64>,
    cache_write_1h_tokens: Option<u64>,
    output_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    gateway: Text,
    epoch: Id,
    partition: u16,
    seq: u64,
    recorded_at: Instant,
}

/// A row of the table `prices`: one tier of an entry.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct PriceTier {
    price_id: Text,
    over_input_tokens: u64,
    provider: Text,
    first_party: bool,
    models: Vec<String>,
    valid_from: Instant,
    source: Text,
    input_usd_per_token: Money,
    output_usd_per_token: Money,
    cache_read_usd_per_token: Option<Money>,
    cache_write_5m_usd_per_token: Option<Money>,
    cache_write_1h_usd_per_token: Option<Money>,
    per_request_usd: Money,
}

/// A row of `partitions.sql`.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize)]
pub struct Partition {
    pub table: String,
    pub partition_id: String,
    pub fingerprint: u64,
}

/// A row of `request_totals.sql`.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize)]
pub struct RequestTotals {
    pub partition_id: String,
    pub outcome: String,
    pub client_label: String,
    pub provider_label: String,
    pub model_label: String,
    pub requests: u64,
    pub unpriced_requests: u64,
    pub unknown_usage_requests: u64,
    pub fresh_input_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_write_5m_tokens: u64,
    pub cache_write_1h_tokens: u64,
    pub output_tokens: u64,
    pub reasoning_tokens: u64,
    pub priced_requests: u64,
    pub cost_usd: i128,
    pub last_recorded_at: i64,
}

/// A row of `token_totals.sql`.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize)]
pub struct TokenTotals {
    pub partition_id: String,
    pub provider_label: String,
    pub model_label: String,
    pub input_requests: u64,
    pub output_requests: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub input_buckets: Vec<u64>,
    pub output_buckets: Vec<u64>,
}

/// A row of `candidate_totals.sql`.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize)]
pub struct CandidateTotals {
    pub partition_id: String,
    pub verdict_label: String,
    pub reason_label: String,
    pub candidates: u64,
}
