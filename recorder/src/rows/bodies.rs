//! A body event as a row of `bodies`.

use clickhouse::Row;
use schemas::events::{Bodies, Captured};
use serde::Serialize;
use uuid::Uuid;

use super::{Recording, TableRow};

/// One row of `bodies`.
#[derive(Debug, Row, Serialize)]
pub struct BodiesRow {
    #[serde(with = "clickhouse::serde::uuid")]
    pub request_id: Uuid,
    pub scope: &'static str,
    pub candidate_index: Option<u16>,
    pub attempt_index: Option<u16>,
    pub client: String,
    pub format: &'static str,
    pub model: String,
    pub provider: String,
    pub endpoint: String,
    pub outcome: &'static str,
    pub status: Option<u16>,
    pub error_class: &'static str,
    pub received_at: i64,
    pub request_content_type: String,
    pub request_bytes: Option<u64>,
    pub request_body: String,
    pub request_truncated: bool,
    pub response_content_type: String,
    pub response_bytes: Option<u64>,
    pub response_body: String,
    pub response_truncated: bool,
    pub gateway: String,
    #[serde(with = "clickhouse::serde::uuid")]
    pub epoch: Uuid,
    pub partition: u16,
    pub seq: u64,
    pub recorded_at: i64,
}

impl TableRow for BodiesRow {
    const TABLE: &'static str = "bodies";
}

impl BodiesRow {
    /// The row of a body event.
    pub fn new(recording: Recording, bodies: Bodies) -> Self {
        let head = recording.head;
        let size = |body: &Option<Captured>| body.as_ref().map(|body| body.bytes);
        let (request_bytes, response_bytes) = (size(&bodies.request), size(&bodies.response));
        let (request, response) = (bodies.request.unwrap_or_default(), bodies.response.unwrap_or_default());
        Self {
            request_id: head.request_id,
            scope: bodies.scope.as_str(),
            candidate_index: bodies.candidate_index,
            attempt_index: bodies.attempt_index,
            client: bodies.client,
            format: bodies.format.as_str(),
            model: bodies.model,
            provider: bodies.provider,
            endpoint: bodies.endpoint,
            outcome: bodies.outcome.as_str(),
            status: bodies.status,
            error_class: bodies.error_class.map_or("", |class| class.as_str()),
            received_at: bodies.received_at.as_micros(),
            request_content_type: request.content_type.unwrap_or_default(),
            request_bytes,
            request_body: request.text,
            request_truncated: request.truncated,
            response_content_type: response.content_type.unwrap_or_default(),
            response_bytes,
            response_body: response.text,
            response_truncated: response.truncated,
            gateway: head.gateway,
            epoch: head.epoch,
            partition: head.partition,
            seq: head.seq,
            recorded_at: recording.recorded_at.as_micros(),
        }
    }
}
