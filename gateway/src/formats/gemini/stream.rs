//! A streamGenerateContent stream. Every chunk is a whole small answer and most carry usage, so each is decoded.
//!
//! There is no end marker: `finishReason` completes the answer, and more content may follow it all the same.

use super::response;
use crate::formats::failure;
use crate::formats::json::Object;
use crate::formats::reading::Reading;
use crate::upstream::sse::{Event, Kind};

/// Reads one event.
pub(crate) fn read(event: &Event<'_>, reading: &mut Reading) {
    if event.kind != Kind::Data {
        return failure::read_outside_data(event, reading, response::read);
    }
    let data = event.data.trim_ascii();
    if data.is_empty() || data == b"[DONE]" {
        return;
    }
    if event.name == b"error" {
        return reading.fail(failure::from_named(data));
    }
    let text = String::from_utf8_lossy(data);
    match Object::parse(&text) {
        Ok(chunk) => {
            response::read_chunk(&chunk, reading);
        }
        Err(_) => reading.unreadable_events += 1,
    }
}
