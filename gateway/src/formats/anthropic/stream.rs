//! A Messages stream: `message_start`, content blocks with their deltas, `message_delta`, `message_stop`.

use serde_json::{Map, Value};

use super::{error, response, usage};
use crate::formats::failure;
use crate::formats::json::{self, Object};
use crate::formats::likeness::{Likeness, Part, Told};
use crate::formats::reading::Reading;
use crate::formats::scan::Members;
use crate::formats::tree::Tree;
use crate::upstream::sse::{Event, Kind};

/// What one stream has shown so far, beyond its reading.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    usage: Map<String, Value>,
}

impl Stream {
    /// Reads one event; tells whether it was the format's end marker.
    pub(crate) fn read(&mut self, event: &Event<'_>, reading: &mut Reading, likeness: &mut Likeness) -> bool {
        match event.kind {
            Kind::Data => self.read_data(event, reading, likeness),
            Kind::ErrorField | Kind::Raw | Kind::Oversized => {
                failure::read_outside_data(event, reading, response::read);
                false
            }
        }
    }

    fn read_data(&mut self, event: &Event<'_>, reading: &mut Reading, likeness: &mut Likeness) -> bool {
        let data = event.data;
        let top = |key: &[u8]| Members::of(data).find(|member| member.depth == 1 && member.key == key);
        // The body's own type is the truth; a relay may rename or drop the event's name (S207).
        let kind = top(b"type").and_then(|member| member.string()).unwrap_or(event.name);
        match kind {
            b"content_block_delta" => read_delta(event, reading, likeness),
            b"content_block_start" => read_block_start(data, reading),
            b"content_block_stop" | b"ping" => {}
            b"error" => reading.fail(error::named(data)),
            b"message_start" | b"message_delta" => self.decode(data, reading),
            b"message_stop" => {
                reading.complete();
                return true;
            }
            _ if top(b"error").is_some_and(|member| !member.is_null()) => self.decode(data, reading),
            _ => {}
        }
        false
    }

    fn decode(&mut self, data: &[u8], reading: &mut Reading) {
        let text = json::lossy(data);
        let tree = Tree::of(&text);
        let Ok(event) = tree.object(&text) else {
            reading.unreadable_events += 1;
            return;
        };
        if let Some(error) = error::in_band(&event) {
            return reading.fail(error);
        }
        let message = event.object("message").unwrap_or_default();
        if let Some(model) = message.text("model").filter(|model| !model.is_empty()) {
            reading.model_reported = Some(model.into_owned());
        }
        let delta = event.object("delta").unwrap_or_default();
        if let Some(reason) = delta.text("stop_reason").or_else(|| message.text("stop_reason")) {
            reading.stop_reason = Some(reason.into_owned());
            reading.has_content = true;
        }
        if let Some(later) = message.get("usage") {
            self.read_usage(later.get(), reading);
        }
        if let Some(later) = event.get("usage") {
            if !reading.usage_is_final
                && event.object("usage").is_some_and(|usage| usage.get("output_tokens").is_some())
            {
                // The first event's output is a placeholder; even a zero is truer.
                self.usage.remove("output_tokens");
            }
            self.read_usage(later.get(), reading);
            reading.usage_is_final = true;
        }
    }

    fn read_usage(&mut self, later: &str, reading: &mut Reading) {
        let Ok(later) = serde_json::from_str(later) else { return };
        usage::merge(&mut self.usage, later);
        let Ok(merged) = serde_json::to_string(&self.usage) else { return };
        if let Ok(object) = Object::parse(&merged) {
            reading.usage = usage::normalise(&object);
        }
        reading.raw_usage = Some(merged);
    }
}

/// Counts a delta's characters. One that has none of the known strings (a signature, a citation, what is yet to be
/// invented) is content all the same; an empty string is not.
fn read_delta(event: &Event<'_>, reading: &mut Reading, likeness: &mut Likeness) {
    let mut is_empty_string = false;
    for member in Members::of(event.data).filter(|member| member.depth == 2) {
        let spelt = member.string();
        let part = match member.key {
            b"text" => Part::Text,
            b"thinking" | b"partial_json" => Part::Other,
            _ => continue,
        };
        match part {
            Part::Text => reading.add_text(spelt.unwrap_or_default()),
            Part::Other => reading.add_other(spelt.unwrap_or_default()),
        };
        if let Some(spelt) = spelt {
            likeness.learn(event.name, event.data, Told { part, said: spelt, usage: None });
        }
        is_empty_string = !member.is_nonempty_string();
        break;
    }
    reading.has_content |= !is_empty_string;
}

/// A text or thinking block starts empty; any other block is content from its start.
fn read_block_start(data: &[u8], reading: &mut Reading) {
    let mut starts_empty = false;
    for member in Members::of(data).filter(|member| member.depth == 2) {
        let spelt = member.string().unwrap_or_default();
        reading.has_content |= match member.key {
            b"type" => {
                starts_empty = matches!(spelt, b"text" | b"thinking");
                false
            }
            b"text" => reading.add_text(spelt),
            b"thinking" => reading.add_other(spelt),
            _ => false,
        };
    }
    reading.has_content |= !starts_empty;
}
