//! A changed cost as a row of `adjustments`.

use clickhouse::Row;
use serde::Serialize;
use uuid::Uuid;

use super::Run;
use super::compare::Change;
use super::stored::Stored;
use crate::rows::TableRow;

/// One row of `adjustments`.
#[derive(Debug, Row, Serialize)]
pub(crate) struct AdjustmentRow {
    #[serde(with = "clickhouse::serde::uuid")]
    request_id: Uuid,
    revision: u32,
    received_at: i64,
    outcome: String,
    client: String,
    user: String,
    tags: Vec<(String, String)>,
    format: String,
    operation: String,
    is_stream: bool,
    provider: String,
    endpoint: String,
    key: String,
    model: String,
    usage_source: String,
    cost_before_usd: Option<i128>,
    cost_usd: Option<i128>,
    cost_delta_usd: i128,
    priced_delta: i8,
    price_id_before: String,
    price_id: String,
    #[serde(with = "clickhouse::serde::uuid")]
    run_id: Uuid,
    adjusted_at: i64,
    error_class: String,
    upstream_status: Option<u16>,
    cache_saved_delta_usd: i128,
    cache_saved_requests_delta: i8,
}

impl TableRow for AdjustmentRow {
    const TABLE: &'static str = "adjustments";
}

impl AdjustmentRow {
    /// `None` if the difference does not fit.
    pub(super) fn new(run: &Run, request: Stored, change: Change) -> Option<Self> {
        let delta = change.delta()?;
        let cache_saved_delta = change.cache_saved_delta()?;
        let cache_saved_requests_delta = change.cache_saved_requests_delta()?;
        Some(Self {
            request_id: request.request_id,
            revision: request.revision.checked_add(1)?,
            received_at: request.received_at,
            outcome: request.outcome,
            client: request.client,
            user: request.user,
            tags: request.tags,
            format: request.format,
            operation: request.operation,
            is_stream: request.is_stream,
            provider: request.provider,
            endpoint: request.endpoint,
            key: request.key,
            model: request.model,
            usage_source: request.usage_source,
            cost_before_usd: change.before.map(|cost| cost.0),
            cost_usd: change.after.cost.map(|cost| cost.0),
            cost_delta_usd: delta.0,
            priced_delta: change.priced_delta(),
            price_id_before: change.price_id_before,
            price_id: change.after.price_id,
            run_id: run.id,
            adjusted_at: run.began_at.as_micros(),
            error_class: request.error_class,
            upstream_status: request.upstream_status,
            cache_saved_delta_usd: cache_saved_delta.0,
            cache_saved_requests_delta,
        })
    }
}
