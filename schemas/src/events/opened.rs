//! A request was let in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::outcome::{Format, Operation};
use crate::time::Timestamp;

/// The first event of a request, written before the first attempt. One row of `opened`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Configured name of the client.
    pub client: String,
    /// The client's own user, as it named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The client's configured tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The dialect that the client speaks.
    pub format: Format,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Operation::is_default")]
    pub operation: Operation,
    /// Whether the client asked for a stream.
    pub is_stream: bool,
    /// The model as the client named it.
    pub model_requested: String,
    /// The catalogue's name of that model.
    pub model: String,
    /// Bytes of the request body.
    pub request_bytes: u64,
    /// When the request's head arrived.
    pub received_at: Timestamp,
    /// The client's `x-request-id`: an attribute, never a key (W14).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// The client's `user-agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}
