//! The terminal event of a request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::money::Factor;
use crate::outcome::{ErrorClass, Format, Operation, Outcome, UsageSource};
use crate::time::Timestamp;
use crate::usage::Usage;

/// Version of the rules that turned the provider's usage into [`Usage`]. Raised whenever a reading changes, so that old
/// rows can be read again from `raw_usage`.
pub const NORMALISER_VERSION: u16 = 1;

/// Everything known about a request when it ends. One row of `requests`, for every outcome.
///
/// Strings that a request never got far enough to have are empty; numbers that nobody knows are `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// How it ended.
    pub outcome: Outcome,
    /// Configured name of the client; empty when it could not be told.
    #[serde(default)]
    pub client: String,
    /// The client's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The client's configured tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The dialect that the client spoke.
    pub format: Format,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Operation::is_default")]
    pub operation: Operation,
    /// Whether the client asked for a stream.
    #[serde(default)]
    pub is_stream: bool,
    /// Configured name of the provider that answered, or was tried last.
    #[serde(default)]
    pub provider: String,
    /// Configured name of its endpoint.
    #[serde(default)]
    pub endpoint: String,
    /// Configured name of the key used.
    #[serde(default)]
    pub key: String,
    /// The model as the client named it.
    #[serde(default)]
    pub model_requested: String,
    /// The catalogue's name of the model.
    #[serde(default)]
    pub model: String,
    /// The model that the provider was asked for.
    #[serde(default)]
    pub model_upstream: String,
    /// The model that the provider says has answered.
    #[serde(default)]
    pub model_reported: String,
    /// HTTP status sent to the client; 499 when it left before one was sent.
    pub status: u16,
    /// HTTP status of the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorNote>,
    /// The provider's stop reason, verbatim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// Requests sent upstream.
    pub attempts: u16,
    /// When the request's head arrived.
    pub received_at: Timestamp,
    /// Milliseconds to the first content event passed to the client; for plain answers, to the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Milliseconds from `received_at` to the end.
    pub duration_ms: f64,
    /// Token counts.
    #[serde(default)]
    pub usage: Usage,
    /// Where they come from.
    pub usage_source: UsageSource,
    /// Output tokens that reached the client, where that differs from what is billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_output: Option<u64>,
    /// The provider's own usage object, verbatim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_usage: Option<String>,
    /// [`NORMALISER_VERSION`] of the gateway that wrote this.
    pub normaliser: u16,
    /// The key's multiplier on the list price.
    #[serde(default)]
    pub cost_multiplier: Factor,
    /// Bytes of the request body.
    #[serde(default)]
    pub request_bytes: u64,
    /// Bytes of the response body passed to the client.
    #[serde(default)]
    pub response_bytes: u64,
    /// SSE events relayed.
    #[serde(default)]
    pub stream_events: u64,
    /// The client's `x-request-id`: an attribute, never a key (W14).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// The provider's request id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_request_id: Option<String>,
    /// The client's `user-agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// What went wrong, for the row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorNote {
    /// Ours, closed.
    pub class: ErrorClass,
    /// The provider's own error type; empty when it gave none.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// What happened, at most [`ErrorNote::MESSAGE_MAX`] characters.
    #[serde(default)]
    pub message: String,
}

impl ErrorNote {
    /// Longest message kept, in characters (S48).
    pub const MESSAGE_MAX: usize = 500;

    /// A note with its message cut to the limit.
    pub fn new(class: ErrorClass, kind: impl Into<String>, message: &str) -> Self {
        let end = message.char_indices().nth(Self::MESSAGE_MAX).map_or(message.len(), |(at, _)| at);
        Self { class, kind: kind.into(), message: message[..end].to_owned() }
    }
}
