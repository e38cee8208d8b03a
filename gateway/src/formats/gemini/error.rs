//! Google's errors, <https://cloud.google.com/apis/design/errors>, and ours in their shape.

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

/// The error inside a successful answer.
pub(crate) fn in_band(object: &Object<'_>) -> Option<UpstreamError> {
    failure::member(object).is_some().then(|| failure::from_object(object))
}

/// One of our errors as a body.
pub(crate) fn body(error: &OwnError<'_>) -> Bytes {
    let status = status(error.class);
    let value = json!({ "error": { "code": error.status, "message": error.message, "status": status } });
    value.to_string().into()
}

/// One of our errors as an event.
pub(crate) fn event(error: &OwnError<'_>) -> Bytes {
    let body = body(error);
    [b"data: ", &body[..], b"\n\n"].concat().into()
}

fn status(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Unauthenticated => "UNAUTHENTICATED",
        ErrorClass::Forbidden => "PERMISSION_DENIED",
        ErrorClass::NotFound | ErrorClass::ModelNotFound => "NOT_FOUND",
        ErrorClass::InvalidRequest
        | ErrorClass::BodyTooLarge
        | ErrorClass::BodyIncomplete
        | ErrorClass::UpstreamClientError => "INVALID_ARGUMENT",
        ErrorClass::MethodNotAllowed => "UNIMPLEMENTED",
        ErrorClass::LimitExceeded | ErrorClass::UpstreamRateLimited => "RESOURCE_EXHAUSTED",
        ErrorClass::UpstreamTimeout | ErrorClass::StreamIdle | ErrorClass::TotalTimeout => "DEADLINE_EXCEEDED",
        ErrorClass::ClientLeft => "CANCELLED",
        ErrorClass::Internal | ErrorClass::GatewayDied => "INTERNAL",
        ErrorClass::Unavailable
        | ErrorClass::Shutdown
        | ErrorClass::NoCandidate
        | ErrorClass::UpstreamConnect
        | ErrorClass::UpstreamAuth
        | ErrorClass::UpstreamServerError
        | ErrorClass::UpstreamInvalid
        | ErrorClass::UpstreamInBand
        | ErrorClass::StreamCut => "UNAVAILABLE",
    }
}
