//! Anthropic's errors, <https://docs.anthropic.com/en/api/errors>, and ours in their shape.

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

/// The error inside a successful answer. It has no status of its own; the documented one of its type is taken.
pub(crate) fn in_band(object: &Object<'_>) -> Option<UpstreamError> {
    if failure::member(object).is_none() && object.text("type").as_deref() != Some("error") {
        return None;
    }
    Some(with_status(failure::from_object(object)))
}

/// An event named `error` that says so nowhere else.
pub(crate) fn named(data: &[u8]) -> UpstreamError {
    with_status(failure::from_named(data))
}

fn with_status(error: UpstreamError) -> UpstreamError {
    UpstreamError { status: error.status.or_else(|| documented_status(&error.kind)), ..error }
}

/// One of our errors as a body.
pub(crate) fn body(error: &OwnError<'_>) -> Bytes {
    let value = json!({
        "type": "error",
        "error": { "type": kind(error.class), "message": error.message },
        "request_id": error.request_id,
    });
    value.to_string().into()
}

/// One of our errors as an event.
pub(crate) fn event(error: &OwnError<'_>) -> Bytes {
    let body = body(error);
    [b"event: error\ndata: ", &body[..], b"\n\n"].concat().into()
}

fn documented_status(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "api_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}

fn kind(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Unauthenticated => "authentication_error",
        ErrorClass::Forbidden => "permission_error",
        ErrorClass::NotFound | ErrorClass::ModelNotFound => "not_found_error",
        ErrorClass::BodyTooLarge => "request_too_large",
        ErrorClass::InvalidRequest
        | ErrorClass::MethodNotAllowed
        | ErrorClass::BodyIncomplete
        | ErrorClass::UpstreamClientError => "invalid_request_error",
        ErrorClass::LimitExceeded | ErrorClass::UpstreamRateLimited => "rate_limit_error",
        ErrorClass::UpstreamTimeout | ErrorClass::StreamIdle | ErrorClass::TotalTimeout => "timeout_error",
        ErrorClass::Unavailable | ErrorClass::Shutdown => "overloaded_error",
        ErrorClass::NoCandidate
        | ErrorClass::UpstreamConnect
        | ErrorClass::UpstreamAuth
        | ErrorClass::UpstreamServerError
        | ErrorClass::UpstreamInvalid
        | ErrorClass::UpstreamInBand
        | ErrorClass::StreamCut
        | ErrorClass::ClientLeft
        | ErrorClass::GatewayDied
        | ErrorClass::Internal => "api_error",
    }
}
