//! An opened event as a row of `opened`.

use clickhouse::Row;
use schemas::events::Opened;
use serde::Serialize;
use uuid::Uuid;

use super::{Recording, TableRow};

/// One row of `opened`.
#[derive(Debug, Row, Serialize)]
pub struct OpenedRow {
    #[serde(with = "clickhouse::serde::uuid")]
    pub request_id: Uuid,
    pub client: String,
    pub user: String,
    pub tags: Vec<(String, String)>,
    pub format: &'static str,
    pub operation: &'static str,
    pub is_stream: bool,
    pub model_requested: String,
    pub model: String,
    pub request_bytes: u64,
    pub received_at: i64,
    pub client_request_id: String,
    pub user_agent: String,
    pub gateway: String,
    #[serde(with = "clickhouse::serde::uuid")]
    pub epoch: Uuid,
    pub partition: u16,
    pub seq: u64,
    pub recorded_at: i64,
}

impl TableRow for OpenedRow {
    const TABLE: &'static str = "opened";
}

impl OpenedRow {
    /// The row of an opened event.
    pub fn new(recording: Recording, opened: Opened) -> Self {
        let head = recording.head;
        Self {
            request_id: head.request_id,
            client: opened.client,
            user: opened.user.unwrap_or_default(),
            tags: opened.tags.into_iter().collect(),
            format: opened.format.as_str(),
            operation: opened.operation.as_str(),
            is_stream: opened.is_stream,
            model_requested: opened.model_requested,
            model: opened.model,
            request_bytes: opened.request_bytes,
            received_at: opened.received_at.as_micros(),
            client_request_id: opened.client_request_id.unwrap_or_default(),
            user_agent: opened.user_agent.unwrap_or_default(),
            gateway: head.gateway,
            epoch: head.epoch,
            partition: head.partition,
            seq: head.seq,
            recorded_at: recording.recorded_at.as_micros(),
        }
    }
}
