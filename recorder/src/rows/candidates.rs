//! A candidate event as a row of `candidates`.

use clickhouse::Row;
use schemas::events::Candidate;
use schemas::price::Priced;
use serde::Serialize;
use uuid::Uuid;

use super::{Recording, TableRow};

/// One row of `candidates`.
#[derive(Debug, Row, Serialize)]
pub struct CandidateRow {
    #[serde(with = "clickhouse::serde::uuid")]
    pub request_id: Uuid,
    pub candidate_index: u16,
    pub attempt_index: u16,
    pub verdict: &'static str,
    pub reason: String,
    pub provider: String,
    pub endpoint: String,
    pub key: String,
    pub model_upstream: String,
    pub status: Option<u16>,
    pub error_class: &'static str,
    pub error_message: String,
    pub started_at: i64,
    pub headers_ms: Option<f64>,
    pub first_content_ms: Option<f64>,
    pub duration_ms: f64,
    pub response_bytes: u64,
    pub input_tokens: Option<u64>,
    pub fresh_input_tokens: Option<u64>,
    pub cache_read_tokens: Option<u64>,
    pub cache_write_5m_tokens: Option<u64>,
    pub cache_write_1h_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
    pub received_at: i64,
    pub client: String,
    pub gateway: String,
    #[serde(with = "clickhouse::serde::uuid")]
    pub epoch: Uuid,
    pub partition: u16,
    pub seq: u64,
    pub recorded_at: i64,
    pub cost_usd: Option<i128>,
    pub price_id: String,
    pub cost_multiplier: i64,
}

impl TableRow for CandidateRow {
    const TABLE: &'static str = "candidates";
}

impl CandidateRow {
    /// The row of a candidate event and its price.
    pub fn new(recording: Recording, candidate: Candidate, priced: Priced) -> Self {
        let head = recording.head;
        Self {
            request_id: head.request_id,
            candidate_index: candidate.candidate_index,
            attempt_index: candidate.attempt_index,
            verdict: candidate.verdict.as_str(),
            reason: candidate.reason,
            provider: candidate.provider,
            endpoint: candidate.endpoint,
            key: candidate.key,
            model_upstream: candidate.model_upstream,
            status: candidate.status,
            error_class: candidate.error_class.map_or("", |class| class.as_str()),
            error_message: candidate.error_message.unwrap_or_default(),
            started_at: candidate.started_at.as_micros(),
            headers_ms: candidate.headers_ms,
            first_content_ms: candidate.first_content_ms,
            duration_ms: candidate.duration_ms,
            response_bytes: candidate.response_bytes,
            input_tokens: candidate.usage.input,
            fresh_input_tokens: candidate.usage.fresh_input,
            cache_read_tokens: candidate.usage.cache_read,
            cache_write_5m_tokens: candidate.usage.cache_write_5m,
            cache_write_1h_tokens: candidate.usage.cache_write_1h,
            output_tokens: candidate.usage.output,
            reasoning_tokens: candidate.usage.reasoning,
            received_at: candidate.received_at.as_micros(),
            client: candidate.client,
            gateway: head.gateway,
            epoch: head.epoch,
            partition: head.partition,
            seq: head.seq,
            recorded_at: recording.recorded_at.as_micros(),
            cost_usd: priced.cost.map(|cost| cost.0),
            price_id: priced.price_id,
            cost_multiplier: candidate.cost_multiplier.as_nano(),
        }
    }
}
