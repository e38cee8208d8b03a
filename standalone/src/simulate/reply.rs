//! Responses that are sent whole, and the headers of all.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use schemas::outcome::Format;
use serde_json::Value;

use super::dialect;
use super::playback::Playback;

pub(super) type Reply = Response<Either<Full<Bytes>, Playback>>;

pub(super) fn message_of(status: u16) -> &'static str {
    match status {
        401 => "invalid x-api-key",
        403 => "Your API key does not have permission to use the specified resource.",
        404 => "The requested resource could not be found.",
        429 => "Rate limit reached for requests. Please try again later.",
        400..500 => "The request is invalid.",
        503 | 529 => "Overloaded",
        _ => "Internal server error",
    }
}

const CLOUDFLARE: (&str, &str) = ("server", "cloudflare");
const COOKIE: (&str, &str) = ("set-cookie", "__cf_bm=simulated; path=/; HttpOnly");
const VARY: (&str, &str) = ("vary", "Origin, X-Origin, Referer");

/// Headers of a real answer, those included that a gateway must not pass on.
pub(super) fn head(format: Format, request_id: &str, headers: &mut HeaderMap) {
    // Google names no request; the simulator does, because a row and an entry of the tally are told apart by it.
    let (id, others) = match format {
        Format::Anthropic => ("request-id", [("anthropic-organization-id", "org-simulated"), CLOUDFLARE, COOKIE]),
        Format::OpenaiChat | Format::OpenaiResponses => {
            ("x-request-id", [("openai-organization", "org-simulated"), CLOUDFLARE, COOKIE])
        }
        Format::Gemini => {
            ("x-request-id", [("server-timing", "gfet4t7; dur=150"), ("server", "scaffolding on HTTPServer2"), VARY])
        }
    };
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static(id), value);
    }
    for (name, value) in others.into_iter().chain([("cache-control", "no-cache")]) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

pub(super) fn refuse(format: Format, status: u16, message: &str, request_id: &str) -> Reply {
    let mut reply = respond(status, &dialect::error(format, status, message, request_id));
    if !request_id.is_empty() {
        head(format, request_id, reply.headers_mut());
    }
    reply
}

pub(super) fn html() -> Reply {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
    let mut reply = Response::new(Either::Left(Full::from(page)));
    *reply.status_mut() = StatusCode::BAD_GATEWAY;
    typed(reply, "text/html")
}

pub(super) fn respond(status: u16, body: &Value) -> Reply {
    let mut reply = Response::new(Either::Left(Full::from(body.to_string())));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    typed(reply, "application/json")
}

pub(super) fn typed(mut reply: Reply, content_type: &'static str) -> Reply {
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
