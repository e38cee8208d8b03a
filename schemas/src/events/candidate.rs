//! One candidate considered for a request.

use serde::{Deserialize, Serialize};

use crate::money::{Factor, Pico};
use crate::outcome::{ErrorClass, Verdict};
use crate::time::Timestamp;
use crate::usage::Usage;

/// What became of one endpoint and key. One row of `candidates`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Position among the candidates of the request, from 0.
    pub candidate_index: u16,
    /// Number of the try at this candidate, from 0.
    pub attempt_index: u16,
    /// Succeeded, failed or skipped.
    pub verdict: Verdict,
    /// Why it was chosen, left or skipped; a closed word.
    pub reason: String,
    /// Configured name of the provider.
    pub provider: String,
    /// Configured name of the endpoint.
    pub endpoint: String,
    /// Configured name of the key, never the key; empty for an endpoint without keys.
    pub key: String,
    /// The catalogue's name of the model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The model that the provider was asked for.
    pub model_upstream: String,
    /// The model that the provider says has answered, where its answer came to an end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model_reported: String,
    /// The key's multiplier on the list price.
    #[serde(default)]
    pub cost_multiplier: Factor,
    /// The provider's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<ErrorClass>,
    /// The provider's words, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// When the try began (or the candidate was skipped).
    pub started_at: Timestamp,
    /// Milliseconds from `started_at` to the response's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_ms: Option<f64>,
    /// Milliseconds from `started_at` to the first content event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_content_ms: Option<f64>,
    /// Milliseconds from `started_at` to the end.
    pub duration_ms: f64,
    /// Bytes of the response body.
    pub response_bytes: u64,
    /// What the provider counted.
    #[serde(default)]
    pub usage: Usage,
    /// What the provider says that it charges for this try, in US dollars; only few say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_cost: Option<Pico>,
    /// When the request arrived (the row's partition and order).
    pub received_at: Timestamp,
    /// Configured name of the client.
    pub client: String,
}
