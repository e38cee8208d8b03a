//! Errors of OpenAI and of those who speak its dialect, and ours in its shape.

use bytes::Bytes;
use schemas::outcome::ErrorClass;
use serde_json::json;

use crate::formats::failure;
use crate::formats::json::Object;
use crate::formats::own_error::OwnError;
use crate::formats::reading::UpstreamError;

/// The body that came with an error status.
pub(crate) fn read(status: u16, body: &[u8]) -> UpstreamError {
    failure::read(status, body)
}

/// The error inside a successful answer; `error: null` is none (W4).
pub(crate) fn in_band(object: &Object<'_>) -> Option<UpstreamError> {
    let is_error = failure::member(object).is_some() || object.text("object").as_deref() == Some("error");
    is_error.then(|| failure::from_object(object))
}

/// One of our errors as a body.
pub(crate) fn body(error: &OwnError<'_>) -> Bytes {
    let (kind, code) = kind_and_code(error.class);
    let value = json!({
        "error": { "message": error.message, "type": kind, "param": error.param, "code": code },
    });
    value.to_string().into()
}

/// One of our errors as an event. Neither a finish reason nor `[DONE]` follows it.
pub(crate) fn event(error: &OwnError<'_>) -> Bytes {
    let body = body(error);
    [b"data: ", &body[..], b"\n\n"].concat().into()
}

/// The `type` and `code` of one of our errors.
pub(crate) fn kind_and_code(class: ErrorClass) -> (&'static str, &'static str) {
    const CALLER: &str = "invalid_request_error";
    match class {
        ErrorClass::Unauthenticated => (CALLER, "invalid_api_key"),
        ErrorClass::Forbidden => (CALLER, "model_not_allowed"),
        ErrorClass::ModelNotFound => (CALLER, "model_not_found"),
        ErrorClass::LimitExceeded | ErrorClass::UpstreamRateLimited => ("rate_limit_error", "rate_limit_exceeded"),
        ErrorClass::InvalidRequest
        | ErrorClass::NotFound
        | ErrorClass::MethodNotAllowed
        | ErrorClass::BodyTooLarge
        | ErrorClass::BodyIncomplete
        | ErrorClass::UpstreamClientError => (CALLER, class.as_str()),
        ErrorClass::Unavailable
        | ErrorClass::Shutdown
        | ErrorClass::NoCandidate
        | ErrorClass::UpstreamConnect
        | ErrorClass::UpstreamTimeout
        | ErrorClass::UpstreamAuth
        | ErrorClass::UpstreamServerError
        | ErrorClass::UpstreamInvalid
        | ErrorClass::UpstreamInBand
        | ErrorClass::StreamCut
        | ErrorClass::StreamIdle
        | ErrorClass::TotalTimeout
        | ErrorClass::ClientLeft
        | ErrorClass::GatewayDied
        | ErrorClass::Internal => ("server_error", class.as_str()),
    }
}
