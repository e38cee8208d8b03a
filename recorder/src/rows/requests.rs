//! A terminal event as a row of `requests`.

use clickhouse::Row;
use schemas::events::Receipt;
use schemas::price::Priced;
use serde::Serialize;
use uuid::Uuid;

use super::{Recording, TableRow};

/// One row of `requests`.
#[derive(Debug, Row, Serialize)]
pub struct RequestRow {
    #[serde(with = "clickhouse::serde::uuid")]
    pub request_id: Uuid,
    pub outcome: &'static str,
    pub client: String,
    pub user: String,
    pub tags: Vec<(String, String)>,
    pub format: &'static str,
    pub operation: &'static str,
    pub is_stream: bool,
    pub provider: String,
    pub endpoint: String,
    pub key: String,
    pub model_requested: String,
    pub model: String,
    pub model_upstream: String,
    pub model_reported: String,
    pub status: u16,
    pub upstream_status: Option<u16>,
    pub error_class: &'static str,
    pub error_type: String,
    pub error_message: String,
    pub stop_reason: String,
    pub attempts: u16,
    pub received_at: i64,
    pub ttft_ms: Option<f64>,
    pub duration_ms: f64,
    pub input_tokens: Option<u64>,
    pub fresh_input_tokens: Option<u64>,
    pub cache_read_tokens: Option<u64>,
    pub cache_write_5m_tokens: Option<u64>,
    pub cache_write_1h_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub delivered_output_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
    pub usage_source: &'static str,
    pub raw_usage: String,
    pub normaliser: u16,
    pub cost_usd: Option<i128>,
    pub price_id: String,
    pub cost_multiplier: i64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub stream_events: u64,
    pub client_request_id: String,
    pub upstream_request_id: String,
    pub user_agent: String,
    pub gateway: String,
    #[serde(with = "clickhouse::serde::uuid")]
    pub epoch: Uuid,
    pub partition: u16,
    pub seq: u64,
    pub recorded_at: i64,
    pub cache_saved_usd: Option<i128>,
}

impl TableRow for RequestRow {
    const TABLE: &'static str = "requests";
}

impl RequestRow {
    /// The row of a terminal event and its price.
    pub fn new(recording: Recording, receipt: Receipt, priced: Priced) -> Self {
        let head = recording.head;
        let (error_class, error_type, error_message) =
            receipt.error.map_or_else(Default::default, |note| (note.class.as_str(), note.kind, note.message));
        Self {
            request_id: head.request_id,
            outcome: receipt.outcome.as_str(),
            client: receipt.client,
            user: receipt.user.unwrap_or_default(),
            tags: receipt.tags.into_iter().collect(),
            format: receipt.format.as_str(),
            operation: receipt.operation.as_str(),
            is_stream: receipt.is_stream,
            provider: receipt.provider,
            endpoint: receipt.endpoint,
            key: receipt.key,
            model_requested: receipt.model_requested,
            model: receipt.model,
            model_upstream: receipt.model_upstream,
            model_reported: receipt.model_reported,
            status: receipt.status,
            upstream_status: receipt.upstream_status,
            error_class,
            error_type,
            error_message,
            stop_reason: receipt.stop_reason.unwrap_or_default(),
            attempts: receipt.attempts,
            received_at: receipt.received_at.as_micros(),
            ttft_ms: receipt.ttft_ms,
            duration_ms: receipt.duration_ms,
            input_tokens: receipt.usage.input,
            fresh_input_tokens: receipt.usage.fresh_input,
            cache_read_tokens: receipt.usage.cache_read,
            cache_write_5m_tokens: receipt.usage.cache_write_5m,
            cache_write_1h_tokens: receipt.usage.cache_write_1h,
            output_tokens: receipt.usage.output,
            delivered_output_tokens: receipt.delivered_output,
            reasoning_tokens: receipt.usage.reasoning,
            usage_source: receipt.usage_source.as_str(),
            raw_usage: receipt.raw_usage.unwrap_or_default(),
            normaliser: receipt.normaliser,
            cost_usd: priced.cost.map(|cost| cost.0),
            price_id: priced.price_id,
            cost_multiplier: receipt.cost_multiplier.as_nano(),
            request_bytes: receipt.request_bytes,
            response_bytes: receipt.response_bytes,
            stream_events: receipt.stream_events,
            client_request_id: receipt.client_request_id.unwrap_or_default(),
            upstream_request_id: receipt.upstream_request_id.unwrap_or_default(),
            user_agent: receipt.user_agent.unwrap_or_default(),
            gateway: head.gateway,
            epoch: head.epoch,
            partition: head.partition,
            seq: head.seq,
            recorded_at: recording.recorded_at.as_micros(),
            cache_saved_usd: priced.cache_saved.map(|saved| saved.0),
        }
    }
}
