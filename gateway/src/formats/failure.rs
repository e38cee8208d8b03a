//! Errors as providers tell them, in any shape (W26): objects, arrays, strings, HTML pages, nothing at all.

use std::borrow::Cow;

use super::json::{self, Object, Raw};
use super::reading::{Reading, UpstreamError};
use crate::upstream::sse::{Event, Kind};

/// Characters of a body kept as its message where it has no better one.
const DESCRIPTION_MAX: usize = 500;

/// A body as text: without byte order mark and white space around it, invalid UTF-8 replaced.
pub(super) fn body_text(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    json::lossy(body.trim_ascii())
}

/// The body that came with an error status.
pub(super) fn read(status: u16, body: &[u8]) -> UpstreamError {
    let text = body_text(body);
    let first = json::array(&text).and_then(|items| items.first().copied());
    let object = Object::parse(first.map_or(&*text, Raw::get)).ok();
    let mut error = match (object, serde_json::from_str::<String>(&text)) {
        (Some(object), _) => from_object(&object),
        (None, Ok(message)) => UpstreamError { message, ..UpstreamError::default() },
        (None, Err(_)) => UpstreamError::default(),
    };
    if error.message.is_empty() {
        error.message = describe(&text);
    }
    error.status = Some(status);
    error
}

/// An object's `error` member, where it tells of one: `null`, `""`, `{}` and the like are said by those who have none.
pub(super) fn member<'a>(object: &Object<'a>) -> Option<Raw<'a>> {
    object.get("error").filter(|value| !matches!(value.get(), "\"\"" | "{}" | "[]" | "false" | "0"))
}

/// An event that is named an error, whatever its data.
pub(super) fn from_named(data: &[u8]) -> UpstreamError {
    let text = body_text(data);
    let mut error = Object::parse(&text).map(|object| from_object(&object)).unwrap_or_default();
    if error.message.is_empty() {
        error.message = describe(&text);
    }
    error
}

/// The error that an object tells of: its `error` member, or the object itself where it is flat.
pub(super) fn from_object(object: &Object<'_>) -> UpstreamError {
    let Some(member) = member(object) else { return from_flat(object) };
    let Ok(error) = Object::parse(member.get()) else {
        let message = json::text(member).map_or_else(|| member.get().to_owned(), Cow::into_owned);
        // xAI names the code beside the text.
        let code = object.get("code").and_then(code_text);
        let kind = code.clone().filter(|code| !is_number(code)).unwrap_or_default();
        return UpstreamError { kind, code, message, status: status_in(object) };
    };
    let code = error.get("code").and_then(code_text);
    let name = |text: &str| !text.is_empty() && !is_number(text);
    let kind = error.text("type").filter(|kind| !kind.is_empty());
    let kind = kind.or_else(|| error.text("status").filter(|status| name(status)));
    let kind = kind.or_else(|| code.clone().filter(|code| name(code)).map(Cow::Owned));
    UpstreamError {
        kind: kind.unwrap_or_default().into_owned(),
        code,
        status: status_in(&error),
        message: message_in(&error).or_else(|| message_in(object)).unwrap_or_default(),
    }
}

/// An object without `error`: only one that says that it is an error has its `type` and `code` read as such.
fn from_flat(object: &Object<'_>) -> UpstreamError {
    let is_error = object.text("object").as_deref() == Some("error");
    UpstreamError {
        kind: object.text("type").filter(|_| is_error).unwrap_or_default().into_owned(),
        code: object.get("code").filter(|_| is_error).and_then(code_text),
        status: status_in(object),
        message: message_in(object).unwrap_or_default(),
    }
}

/// What a line or a JSON text outside `data:` tells: an error, or, where a plain body came in place of a stream, all of
/// the answer.
pub(super) fn read_outside_data(event: &Event<'_>, reading: &mut Reading, read_body: fn(&[u8]) -> Reading) {
    let text = body_text(event.data);
    match Object::parse(&text) {
        _ if event.kind == Kind::ErrorField => reading.fail(from_named(event.data)),
        Ok(object) if member(&object).is_some() => reading.fail(from_object(&object)),
        Ok(_) if reading.events == 1 => {
            let whole = read_body(event.data);
            *reading = Reading { events: reading.events, unreadable_events: reading.unreadable_events, ..whole };
        }
        _ => reading.unreadable_events += 1,
    }
}

/// A body that is not what it should be, in words.
pub(super) fn describe(text: &str) -> String {
    if text.is_empty() {
        return "an empty body".to_owned();
    }
    let lower = text.get(..text.floor_char_boundary(4096)).unwrap_or(text).to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len()).zip(lower.find("</title>"));
    if text.starts_with('<')
        && let Some(title) = title.and_then(|(from, to)| text.get(from..to))
    {
        return format!("an HTML page: {}", title.trim());
    }
    text.chars().take(DESCRIPTION_MAX).collect()
}

fn message_in(object: &Object<'_>) -> Option<String> {
    const NAMES: [&str; 6] = ["message", "detail", "errorMessage", "Message", "msg", "error_description"];
    let value = NAMES.iter().find_map(|name| object.get(name))?;
    Some(json::text(value).map_or_else(|| value.get().to_owned(), Cow::into_owned))
}

fn code_text(value: Raw<'_>) -> Option<String> {
    match json::text(value) {
        Some(text) => Some(text.into_owned()),
        None => is_number(value.get()).then(|| value.get().to_owned()),
    }
}

fn status_in(object: &Object<'_>) -> Option<u16> {
    let named = ["code", "status", "status_code", "raw_status_code"].iter().filter_map(|name| object.get(name));
    let mut codes = named.filter_map(code_text).filter_map(|code| code.parse().ok());
    codes.find(|status| (400..600).contains(status))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_shape() {
        for (body, kind, code, message) in [
            (r#"{"error":{"type":"t","code":"c","message":"m"}}"#, "t", Some("c"), "m"),
            (r#"{"error":{"code":404,"status":"NOT_FOUND","message":"m"}}"#, "NOT_FOUND", Some("404"), "m"),
            (
                r#"{"error":{"code":"RateLimitReached","message":"m"}}"#,
                "RateLimitReached",
                Some("RateLimitReached"),
                "m",
            ),
            (r#"[{"error":{"status":"UNAVAILABLE","message":"m"}}]"#, "UNAVAILABLE", None, "m"),
            (r#"{"object":"error","type":"t","code":"1500","message":"m"}"#, "t", Some("1500"), "m"),
            (r#"{"error":"m"}"#, "", None, "m"),
            (r#"{"error":"m","code":"c"}"#, "c", Some("c"), "m"),
            (r#"{"error":["m"]}"#, "", None, r#"["m"]"#),
            (r#"{"error":{"type":7,"code":{},"message":["m"]}}"#, "", None, r#"["m"]"#),
            (r#"{"detail":[{"msg":"m"}]}"#, "", None, r#"[{"msg":"m"}]"#),
            (r#""m""#, "", None, "m"),
            ("[]", "", None, "[]"),
            ("<HTML><head><TITLE> m </TITLE>", "", None, "an HTML page: m"),
            ("\u{feff}  \n", "", None, "an empty body"),
            ("{\"error\":", "", None, "{\"error\":"),
        ] {
            let error = read(503, body.as_bytes());
            let read = (error.kind.as_str(), error.code.as_deref(), error.message.as_str(), error.status);
            assert_eq!(read, (kind, code, message, Some(503)), "{body}");
        }
    }
}
