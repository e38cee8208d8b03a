//! A whole Messages answer.

use super::{error, usage};
use crate::formats::failure;
use crate::formats::json::{self, Raw};
use crate::formats::reading::Reading;
use crate::formats::tree::Tree;

pub(crate) fn read(body: &[u8]) -> Reading {
    let text = failure::body_text(body);
    let tree = Tree::of(&text);
    let Ok(message) = tree.object(&text) else { return Reading::invalid(failure::describe(&text)) };
    let mut reading = Reading::default();
    if let Some(raw) = message.get("usage")
        && let Some(object) = raw.object()
    {
        reading.usage = usage::normalise(&object);
        reading.usage_is_final = true;
        reading.raw_usage = Some(raw.get().to_owned());
    }
    reading.model_reported = message.text("model").map(Into::into);
    reading.stop_reason = message.text("stop_reason").map(Into::into);
    reading.release_sample();
    let blocks = message.array("content");
    reading.has_content = !blocks.is_empty();
    for block in blocks {
        tally(block, &mut reading);
    }
    if let Some(error) = error::in_band(&message) {
        reading.fail(error);
    } else if reading.stop_reason.is_some() {
        reading.complete();
    } else if message.get("content").is_none() {
        return Reading::invalid(format!("no message: {}", failure::describe(&text)));
    }
    reading
}

fn tally(block: Raw<'_>, reading: &mut Reading) {
    let Some(block) = block.object() else { return };
    reading.add_text(block.get("text").map_or(b"", json::spelt));
    reading.add_other(block.get("thinking").map_or(b"", json::spelt));
    if block.text("type").is_some_and(|kind| kind.ends_with("tool_use"))
        && let Some(input) = block.get("input")
    {
        reading.add_json(input.get());
    }
}
