//! A Responses stream: `response.created`, items with their deltas, and one of three terminal events.

use super::{error, response};
use crate::formats::failure;
use crate::formats::json;
use crate::formats::likeness::{Likeness, Part, Told};
use crate::formats::reading::Reading;
use crate::formats::scan::{Member, Members};
use crate::formats::tree::Tree;
use crate::upstream::sse::{Event, Kind};

/// Reads one event; tells whether it was the format's end marker.
pub(crate) fn read(event: &Event<'_>, reading: &mut Reading, likeness: &mut Likeness) -> bool {
    if event.kind != Kind::Data {
        failure::read_outside_data(event, reading, response::read);
        return false;
    }
    let data = event.data.trim_ascii();
    // Some relays append the end marker of the other API.
    if data.is_empty() || data == b"[DONE]" {
        return false;
    }
    let Some(kind) = top(data, b"type").and_then(|member| member.string()).or(Some(event.name)) else { return false };
    match kind {
        b"response.completed" | b"response.incomplete" | b"response.failed" | b"response.cancelled" => {
            if kind == b"response.failed" {
                // What comes with the response is the provider's last word on what went wrong.
                reading.error = None;
            }
            decode(event.name, data, reading);
            return true;
        }
        b"error" => decode(event.name, data, reading),
        b"response.created" | b"response.in_progress" | b"response.queued" if reading.model_reported.is_none() => {
            decode(event.name, data, reading);
        }
        b"response.output_item.added" => reading.has_content |= !starts_empty(data),
        b"response.output_item.done" | b"response.image_generation_call.partial_image" => reading.has_content = true,
        b"response.created" | b"response.in_progress" | b"response.queued" => {}
        _ if kind.ends_with(b".delta") => read_delta(kind, event, reading, likeness),
        _ if top(data, b"error").is_some_and(|member| !member.is_null()) => decode(event.name, data, reading),
        _ => {}
    }
    false
}

fn top<'a>(data: &'a [u8], key: &[u8]) -> Option<Member<'a>> {
    Members::of(data).find(|member| member.depth == 1 && member.key == key)
}

fn decode(name: &[u8], data: &[u8], reading: &mut Reading) {
    let text = json::lossy(data);
    let tree = Tree::of(&text);
    let Ok(event) = tree.object(&text) else {
        reading.unreadable_events += 1;
        return;
    };
    let response = event.object("response");
    if let Some(error) = response.as_ref().and_then(error::in_band).or_else(|| error::in_band(&event)) {
        reading.fail(error);
    } else if name == b"error" {
        reading.fail(failure::from_named(data));
    }
    if let Some(response) = response {
        response::read_members(&response, reading);
    }
}

fn read_delta(kind: &[u8], event: &Event<'_>, reading: &mut Reading, likeness: &mut Likeness) {
    let Some(spelt) = top(event.data, b"delta").and_then(|member| member.string()) else { return };
    let part = if kind == b"response.output_text.delta" { Part::Text } else { Part::Other };
    reading.has_content |= match part {
        Part::Text => reading.add_text(spelt),
        Part::Other => reading.add_other(spelt),
    };
    likeness.learn(event.name, event.data, Told { part, said: spelt, usage: None });
}

/// A message and a reasoning item start empty; any other item (a call, a search) is content from its start.
fn starts_empty(data: &[u8]) -> bool {
    let mut types = Members::of(data).filter(|member| member.depth == 2 && member.key == b"type");
    types.any(|member| matches!(member.string(), Some(b"message" | b"reasoning")))
}
