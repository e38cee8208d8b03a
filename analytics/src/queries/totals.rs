//! The rows that metrics are made of.

use ::clickhouse::Row;
use serde::Deserialize;

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
