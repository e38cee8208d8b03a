//! A whole response; the terminal event of a stream holds one too.

use super::{error, usage};
use crate::formats::failure;
use crate::formats::json::{self, Object, Raw};
use crate::formats::reading::Reading;
use crate::formats::tree::Tree;

pub(crate) fn read(body: &[u8]) -> Reading {
    let text = failure::body_text(body);
    let tree = Tree::of(&text);
    let Ok(response) = tree.object(&text) else { return Reading::invalid(failure::describe(&text)) };
    let mut reading = Reading::default();
    if let Some(error) = error::in_band(&response) {
        reading.fail(error);
    } else if response.get("output").is_none() && response.get("status").is_none() {
        return Reading::invalid(format!("no response: {}", failure::describe(&text)));
    }
    let items = response.array("output");
    read_members(&response, &mut reading);
    reading.release_sample();
    reading.has_content |= !items.is_empty();
    for item in items {
        tally(item, &mut reading);
    }
    reading
}

/// Reads all of a response but its output: its id, model, usage, and how it ended.
pub(crate) fn read_members(response: &Object<'_>, reading: &mut Reading) {
    if reading.response_id.is_none() {
        reading.response_id = response.text("id").filter(|id| !id.is_empty()).map(Into::into);
    }
    if let Some(model) = response.text("model").filter(|model| !model.is_empty()) {
        reading.model_reported = Some(model.into_owned());
    }
    if let Some(raw) = response.get("usage")
        && let Some(object) = raw.object()
    {
        reading.usage = usage::normalise(&object);
        reading.usage_is_final = true;
        reading.raw_usage = Some(raw.get().to_owned());
    }
    let status = response.text("status").unwrap_or_default();
    match &*status {
        "" | "in_progress" => return,
        "completed" | "incomplete" => reading.complete(),
        // Queued for the background, cancelled, failed: no end of an answer.
        _ => {}
    }
    let why_incomplete = response.object("incomplete_details").and_then(|details| details.text("reason"));
    let reason = why_incomplete.filter(|_| status == "incomplete").unwrap_or(status);
    reading.stop_reason = Some(reason.into_owned());
}

fn tally(item: Raw<'_>, reading: &mut Reading) {
    let Some(item) = item.object() else { return };
    let is_message = item.text("type").as_deref() == Some("message");
    for name in ["content", "summary"] {
        for part in item.array(name) {
            let Some(part) = part.object() else { continue };
            let text = part.get("text").map_or(&b""[..], json::spelt);
            if is_message {
                reading.add_text(text)
            } else {
                reading.add_other(text)
            };
            reading.add_other(part.get("refusal").map_or(b"", json::spelt));
        }
    }
    for name in ["arguments", "input", "code"] {
        reading.add_other(item.get(name).map_or(b"", json::spelt));
    }
}
