//! A terminal event as listeners read it: named and written like its row of `requests`, which comes a moment later.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::events::{Head, Receipt};
use schemas::money::{Factor, Pico};
use schemas::outcome::{ErrorClass, Format, Operation, Outcome, UsageSource};
use schemas::price::{Billed, Book};
use schemas::time::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// Everything of the row but `recorded_at`. The cost is what the recorder will write, if both read the same prices.
#[derive(Serialize)]
pub(super) struct Ended<'a> {
    request_id: Uuid,
    outcome: Outcome,
    client: Option<&'a str>,
    user: Option<&'a str>,
    tags: &'a BTreeMap<String, String>,
    format: Format,
    operation: Operation,
    is_stream: bool,
    provider: Option<&'a str>,
    endpoint: Option<&'a str>,
    key: Option<&'a str>,
    model_requested: Option<&'a str>,
    model: Option<&'a str>,
    model_upstream: Option<&'a str>,
    model_reported: Option<&'a str>,
    status: u16,
    upstream_status: Option<u16>,
    error_class: Option<ErrorClass>,
    error_type: Option<&'a str>,
    error_message: Option<&'a str>,
    stop_reason: Option<&'a str>,
    attempts: u16,
    received_at: Timestamp,
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
    usage_source: UsageSource,
    raw_usage: Option<&'a str>,
    normaliser: u16,
    cost_usd: Option<Pico>,
    price_id: Option<String>,
    cost_multiplier: Factor,
    request_bytes: u64,
    response_bytes: u64,
    stream_events: u64,
    client_request_id: Option<&'a str>,
    upstream_request_id: Option<&'a str>,
    user_agent: Option<&'a str>,
    gateway: Option<&'a str>,
    epoch: Uuid,
    partition: u16,
    seq: u64,
    cache_saved_usd: Option<Pico>,
}

/// Text that is empty where there is none.
fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl<'a> Ended<'a> {
    pub(super) fn new(head: &'a Head, receipt: &'a Receipt, book: &Book) -> Self {
        let priced = book.bill(&Billed::from(receipt));
        let (error, usage) = (receipt.error.as_ref(), &receipt.usage);
        Self {
            request_id: head.request_id,
            outcome: receipt.outcome,
            client: known(&receipt.client),
            user: receipt.user.as_deref().and_then(known),
            tags: &receipt.tags,
            format: receipt.format,
            operation: receipt.operation,
            is_stream: receipt.is_stream,
            provider: known(&receipt.provider),
            endpoint: known(&receipt.endpoint),
            key: known(&receipt.key),
            model_requested: known(&receipt.model_requested),
            model: known(&receipt.model),
            model_upstream: known(&receipt.model_upstream),
            model_reported: known(&receipt.model_reported),
            status: receipt.status,
            upstream_status: receipt.upstream_status,
            error_class: error.map(|note| note.class),
            error_type: error.and_then(|note| known(&note.kind)),
            error_message: error.and_then(|note| known(&note.message)),
            stop_reason: receipt.stop_reason.as_deref().and_then(known),
            attempts: receipt.attempts,
            received_at: receipt.received_at,
            ttft_ms: receipt.ttft_ms,
            duration_ms: receipt.duration_ms,
            input_tokens: usage.input,
            fresh_input_tokens: usage.fresh_input,
            cache_read_tokens: usage.cache_read,
            cache_write_5m_tokens: usage.cache_write_5m,
            cache_write_1h_tokens: usage.cache_write_1h,
            output_tokens: usage.output,
            delivered_output_tokens: receipt.delivered_output,
            reasoning_tokens: usage.reasoning,
            usage_source: receipt.usage_source,
            raw_usage: receipt.raw_usage.as_deref().and_then(known),
            normaliser: receipt.normaliser,
            cost_usd: priced.cost,
            price_id: Some(priced.price_id).filter(|id| !id.is_empty()),
            cost_multiplier: receipt.cost_multiplier,
            request_bytes: receipt.request_bytes,
            response_bytes: receipt.response_bytes,
            stream_events: receipt.stream_events,
            client_request_id: receipt.client_request_id.as_deref().and_then(known),
            upstream_request_id: receipt.upstream_request_id.as_deref().and_then(known),
            user_agent: receipt.user_agent.as_deref().and_then(known),
            gateway: known(&head.gateway),
            epoch: head.epoch,
            partition: head.partition,
            seq: head.seq,
            cache_saved_usd: priced.cache_saved,
        }
    }

    /// One line; `None` for numbers that JSON does not have, which no event can hold.
    pub(super) fn to_json(&self) -> Option<Arc<str>> {
        serde_json::to_string(self).ok().map(Arc::from)
    }
}
