//! Errors of Responses, and ours in its shape.

use bytes::Bytes;
use serde_json::json;

use crate::formats::failure;
use crate::formats::json::Object;
use crate::formats::openai_chat::error::kind_and_code;
use crate::formats::own_error::OwnError;
use crate::formats::reading::UpstreamError;

pub(crate) use crate::formats::openai_chat::error::{body, read};

/// The error inside a successful answer: a member `error`, an event that is one itself, or a failed response.
pub(crate) fn in_band(object: &Object<'_>) -> Option<UpstreamError> {
    if failure::member(object).is_some() {
        return Some(failure::from_object(object));
    }
    let is_error = object.text("type").as_deref() == Some("error");
    let has_failed = object.text("status").as_deref() == Some("failed");
    let code = object.text("code").map(|code| code.into_owned());
    (is_error || has_failed).then(|| UpstreamError {
        kind: code.clone().unwrap_or_default(),
        code,
        status: None,
        message: object.text("message").unwrap_or_default().into_owned(),
    })
}

/// One of our errors as an event. The nested form is the one that OpenAI's SDKs raise.
pub(crate) fn event(error: &OwnError<'_>) -> Bytes {
    let (kind, code) = kind_and_code(error.class);
    let value = json!({
        "type": "error",
        "error": { "type": kind, "code": code, "message": error.message, "param": error.param },
    });
    format!("event: error\ndata: {value}\n\n").into()
}
