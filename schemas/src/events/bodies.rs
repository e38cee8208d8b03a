//! The bodies of a request and of its answer, kept only where `[gateway] capture` asks for them.

use serde::{Deserialize, Serialize};

use crate::outcome::{CaptureScope, ErrorClass, Format, Outcome};
use crate::time::Timestamp;

/// What was said, redacted and cut. One row of `bodies`.
///
/// It settles nothing and counts nothing: a gateway in need drops bodies before anything else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bodies {
    /// Between whom.
    pub scope: CaptureScope,
    /// For [`CaptureScope::Attempt`]: position among the candidates of the request, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_index: Option<u16>,
    /// For [`CaptureScope::Attempt`]: number of the try at this candidate, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_index: Option<u16>,
    /// Configured name of the client.
    pub client: String,
    /// The dialect that the client spoke.
    pub format: Format,
    /// The catalogue's name of the model; empty when it named none that exists.
    #[serde(default)]
    pub model: String,
    /// Configured name of the provider whose answer this is; empty when none was asked.
    #[serde(default)]
    pub provider: String,
    /// Configured name of its endpoint.
    #[serde(default)]
    pub endpoint: String,
    /// How the request ended.
    pub outcome: Outcome,
    /// HTTP status sent to the client; for an attempt, the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong with the request; for an attempt, with the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<ErrorClass>,
    /// When the request's head arrived (the row's partition and order).
    pub received_at: Timestamp,
    /// The request's body; absent when it never arrived, and for attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Captured>,
    /// The answer's body; absent when none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Captured>,
}

/// One body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Its `content-type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Bytes of the whole body, before anything was cut or replaced.
    pub bytes: u64,
    /// Its beginning: secrets replaced by `***`, encoded data by its length, what is not UTF-8 by U+FFFD. At most
    /// [`Captured::TEXT_MAX_BYTES`].
    pub text: String,
    /// Whether the body went on behind the text.
    #[serde(default)]
    pub truncated: bool,
}

impl Captured {
    /// Longest text kept of a body. Two of them, each byte escaped in six, and the rest of the event stay below a
    /// message's limit in NATS (1 MiB).
    pub const TEXT_MAX_BYTES: usize = 64 << 10;
}
