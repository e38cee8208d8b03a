//! The API dialects: what the gateway reads of a request and of an answer, and the little that it changes.
//!
//! Each operation is one `match` into the folder's function of the same name. Nothing here does I/O; whatever is not
//! named passes through untouched, byte for byte.

mod json;
mod scan;

mod credentials;
mod headers;
mod conversation;
mod request;
mod endpoint;

mod failure;
mod reading;
mod likeness;
mod stream;
mod syntax;
mod tree;
mod own_error;
mod models;
mod limits;

pub mod anthropic;
pub mod openai_chat;
pub mod openai_responses;
pub mod gemini;

#[cfg(test)]
pub(crate) mod corpus;
#[cfg(test)]
mod properties;

use bytes::Bytes;
use http::HeaderMap;
use schemas::config::Secret;
use schemas::outcome::{Format, Operation};
use url::Url;

pub use self::conversation::{Conversation, named as named_conversation};
pub use self::credentials::{client_key, forward_query};
pub use self::headers::{
    UnusableSecret, downstream_headers, forward_request_header, forward_response_header, is_event_stream,
};
pub use self::limits::state_limits;
pub use self::models::{model_entry, model_list};
pub use self::own_error::OwnError;
pub use self::reading::{INVALID_BODY, Reading, UpstreamError};
pub use self::request::{InvalidBody, Peeked, Rewritten};
pub(crate) use self::scan::string_chars as spelt_chars;
pub use self::stream::StreamReader;

/// Reads what the gateway needs of a request whose model stands in the body. Gemini's stands in the path:
/// see [`peek_at`].
pub fn peek(format: Format, body: &Bytes) -> Result<Peeked, InvalidBody> {
    peek_at(format, "", body)
}

/// Reads what the gateway needs of a request, from its path and its body.
pub fn peek_at(format: Format, path: &str, body: &Bytes) -> Result<Peeked, InvalidBody> {
    match format {
        Format::Anthropic => anthropic::request::peek(body),
        Format::OpenaiChat => openai_chat::request::peek(body),
        Format::OpenaiResponses => openai_responses::request::peek(body),
        Format::Gemini => gemini::request::peek(path, body),
    }
}

/// Puts the upstream's model name into the body and asks for usage where the client did not.
///
/// Only those bytes change; if none has to, the result is the same [`Bytes`].
pub fn rewrite(body: &Bytes, peeked: &Peeked, upstream_model: &str) -> Rewritten {
    request::rewrite(body, peeked, upstream_model)
}

/// What is asked of an endpoint, as far as its address tells.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// An answer, or a count.
    pub operation: Operation,
    /// The upstream's name of the model.
    pub model: &'a str,
    /// Whether the answer is to be streamed.
    pub stream: bool,
}

/// Where a request goes: the format's path on the endpoint's base URL, whose own version segment is not doubled (R4).
pub fn upstream_url(format: Format, base_url: &Url, wanted: Wanted<'_>) -> Url {
    match format {
        Format::Anthropic => anthropic::endpoint::upstream_url(base_url, wanted.operation),
        Format::OpenaiChat => openai_chat::endpoint::upstream_url(base_url),
        Format::OpenaiResponses => openai_responses::endpoint::upstream_url(base_url),
        Format::Gemini => gemini::endpoint::upstream_url(base_url, wanted),
    }
}

/// The headers of the upstream request: the client's, filtered, with our authentication and what the format requires.
pub fn upstream_headers(
    format: Format,
    client: &HeaderMap,
    secret: Option<&Secret>,
) -> Result<HeaderMap, UnusableSecret> {
    let mut headers = headers::from_client(client);
    match format {
        Format::Anthropic => anthropic::endpoint::add_headers(&mut headers, secret)?,
        Format::OpenaiChat => openai_chat::endpoint::add_headers(&mut headers, secret)?,
        Format::OpenaiResponses => openai_responses::endpoint::add_headers(&mut headers, secret)?,
        Format::Gemini => gemini::endpoint::add_headers(&mut headers, secret)?,
    }
    Ok(headers)
}

/// Whether an answer to a streaming request is a stream by its headers: an event stream, or, with Gemini, the JSON array
/// that it is without `alt=sse`.
pub fn is_stream(format: Format, headers: &HeaderMap) -> bool {
    is_event_stream(headers) || (format == Format::Gemini && headers::is_json(headers))
}

/// Reads a whole body that came with a success status. It never fails: what cannot be read is an error in the reading.
pub fn read_body(format: Format, body: &[u8]) -> Reading {
    match format {
        Format::Anthropic => anthropic::response::read(body),
        Format::OpenaiChat => openai_chat::response::read(body),
        Format::OpenaiResponses => openai_responses::response::read(body),
        Format::Gemini => gemini::response::read(body),
    }
}

/// Reads the body that came with an error status, whatever its shape (W26).
pub fn read_error(format: Format, status: u16, body: &[u8]) -> UpstreamError {
    match format {
        Format::Anthropic => anthropic::error::read(status, body),
        Format::OpenaiChat => openai_chat::error::read(status, body),
        Format::OpenaiResponses => openai_responses::error::read(status, body),
        Format::Gemini => gemini::error::read(status, body),
    }
}

/// One of our own errors as a body in the caller's dialect, as its SDKs parse it.
pub fn error_body(format: Format, error: &OwnError<'_>) -> Bytes {
    match format {
        Format::Anthropic => anthropic::error::body(error),
        Format::OpenaiChat => openai_chat::error::body(error),
        Format::OpenaiResponses => openai_responses::error::body(error),
        Format::Gemini => gemini::error::body(error),
    }
}

/// The same as an SSE event, for an answer that breaks after its first bytes went out. It never looks like a clean end.
///
/// Inside a running stream use [`StreamReader::error_event`], which first closes an event that was cut.
pub fn error_event(format: Format, error: &OwnError<'_>) -> Bytes {
    match format {
        Format::Anthropic => anthropic::error::event(error),
        Format::OpenaiChat => openai_chat::error::event(error),
        Format::OpenaiResponses => openai_responses::error::event(error),
        Format::Gemini => gemini::error::event(error),
    }
}
