//! A chat stream: chunks with deltas, perhaps a chunk that has nothing but usage, `[DONE]`.

use super::{error, response};
use crate::formats::failure;
use crate::formats::json::Object;
use crate::formats::reading::Reading;
use crate::formats::scan::Members;
use crate::upstream::sse::{Event, Kind};

/// How deep a delta's members lie: `{"choices":[{"delta":{"content":`.
const DELTA_DEPTH: u32 = 4;

/// What an event is, to those who relay it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Part of the answer.
    Chunk,
    /// The chunk that has nothing but the usage.
    UsageOnly,
    /// The end marker.
    End,
}

/// Reads one event.
pub(crate) fn read(event: &Event<'_>, reading: &mut Reading) -> Seen {
    if event.kind != Kind::Data {
        failure::read_outside_data(event, reading, response::read);
        return Seen::Chunk;
    }
    let data = event.data.trim_ascii();
    if data == b"[DONE]" {
        reading.complete();
        return Seen::End;
    }
    if event.name == b"error" {
        reading.fail(failure::from_named(data));
        return Seen::Chunk;
    }
    let glance = Glance::at(data, reading.model_reported.is_none());
    if glance.wants_decoding {
        return decode(data, reading);
    }
    reading.text_chars += glance.text_chars;
    reading.other_chars += glance.other_chars;
    reading.has_content |= glance.has_content;
    Seen::Chunk
}

/// What one walk over a chunk tells.
#[derive(Debug, Default)]
struct Glance {
    /// It may hold usage, an error, an end, the model, or content in an unusual shape.
    wants_decoding: bool,
    has_content: bool,
    text_chars: u64,
    other_chars: u64,
}

impl Glance {
    fn at(data: &[u8], wants_model: bool) -> Self {
        let mut glance = Self::default();
        let mut reasoning_chars = [0, 0];
        let mut members = 0;
        for member in Members::of(data) {
            members += 1;
            match member.key {
                b"usage" | b"error" | b"finish_reason" if !member.is_null() => glance.wants_decoding = true,
                b"model" if wants_model && member.depth == 1 && member.is_nonempty_string() => {
                    glance.wants_decoding = true;
                }
                b"content"
                    if member.depth == DELTA_DEPTH
                        && (member.rest.starts_with(b"[") || member.rest.starts_with(b"{")) =>
                {
                    glance.wants_decoding = true;
                }
                b"content" if member.depth == DELTA_DEPTH => glance.text_chars += member.chars(),
                // The same text in two members, or in one of them.
                b"reasoning_content" => reasoning_chars[0] += member.chars(),
                b"reasoning" => reasoning_chars[1] += member.chars(),
                b"arguments" | b"refusal" => glance.other_chars += member.chars(),
                b"tool_calls" | b"function_call" | b"audio" | b"images" | b"reasoning_details" | b"annotations" => {
                    let is_nothing =
                        [&b"null"[..], b"[]", b"{}"].iter().any(|nothing| member.rest.starts_with(nothing));
                    glance.has_content |= !is_nothing;
                }
                _ => {}
            }
            if glance.wants_decoding {
                break;
            }
        }
        glance.wants_decoding |= members == 0 && !data.is_empty();
        glance.other_chars += reasoning_chars[0].max(reasoning_chars[1]);
        glance.has_content |= glance.text_chars + glance.other_chars > 0;
        glance
    }
}

fn decode(data: &[u8], reading: &mut Reading) -> Seen {
    let text = String::from_utf8_lossy(data);
    let Ok(chunk) = Object::parse(&text) else {
        reading.unreadable_events += 1;
        return Seen::Chunk;
    };
    response::read_members(&chunk, "delta", reading);
    if let Some(error) = error::in_band(&chunk) {
        reading.fail(error);
        return Seen::Chunk;
    }
    let choices = chunk.get("choices").map_or("", |choices| choices.get());
    let is_empty = choices.strip_prefix('[').is_some_and(|rest| rest.trim_start() == "]");
    if is_empty && chunk.object("usage").is_some() && chunk.get("prompt_filter_results").is_none() {
        Seen::UsageOnly
    } else {
        Seen::Chunk
    }
}
