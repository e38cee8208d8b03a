//! Rows of the tables themselves: field names are column names, and in replies the API's names.

use ::clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::cells::{Id, Instant, Money, Multiplier, Tags, Text};

/// A row of the table `requests`, for lists and for the story of one.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct Request {
    pub request_id: Id,
    outcome: Text,
    client: Text,
    user: Text,
    tags: Tags,
    format: Text,
    operation: Text,
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
    cache_saved_usd: Option<Money>,
}

/// A row of the table `opened`.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct Opened {
    request_id: Id,
    client: Text,
    user: Text,
    tags: Tags,
    format: Text,
    operation: Text,
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
    cost_usd: Option<Money>,
    price_id: Text,
    cost_multiplier: Multiplier,
}

/// A row of the table `bodies`.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct Bodies {
    scope: Text,
    candidate_index: Option<u16>,
    attempt_index: Option<u16>,
    provider: Text,
    endpoint: Text,
    status: Option<u16>,
    error_class: Text,
    request_content_type: Text,
    request_bytes: Option<u64>,
    request_body: Text,
    request_truncated: bool,
    response_content_type: Text,
    response_bytes: Option<u64>,
    response_body: Text,
    response_truncated: bool,
    gateway: Text,
    epoch: Id,
    partition: u16,
    seq: u64,
    recorded_at: Instant,
}

/// A row of the table `adjustments`: what a repricing has made of a cost.
#[derive(Clone, Debug, PartialEq, Row, Deserialize, Serialize)]
pub struct Adjustment {
    revision: u32,
    cost_before_usd: Option<Money>,
    cost_usd: Option<Money>,
    price_id_before: Text,
    price_id: Text,
    run_id: Id,
    adjusted_at: Instant,
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
