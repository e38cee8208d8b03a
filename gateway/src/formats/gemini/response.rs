//! A whole answer. The chunks of a stream have the same shape.

use super::{error, usage};
use crate::formats::failure;
use crate::formats::json::{self, Object, Raw};
use crate::formats::reading::Reading;
use crate::formats::tree::Tree;

/// Reads a body: one answer, or the array of chunks that a stream without `alt=sse` is.
pub(crate) fn read(body: &[u8]) -> Reading {
    let text = failure::body_text(body);
    let mut reading = Reading::default();
    if let Some(chunks) = json::array(&text) {
        let mut has_answer = false;
        for chunk in chunks.into_iter().filter_map(Raw::object) {
            has_answer |= read_chunk(&chunk, &mut reading);
        }
        return if has_answer { reading } else { Reading::invalid(failure::describe(&text)) };
    }
    let tree = Tree::of(&text);
    match tree.object(&text) {
        Ok(answer) if read_chunk(&answer, &mut reading) => reading,
        Ok(_) => Reading::invalid(format!("no answer: {}", failure::describe(&text))),
        Err(_) => Reading::invalid(failure::describe(&text)),
    }
}

/// Reads one chunk; tells whether it has anything of an answer.
pub(crate) fn read_chunk(chunk: &Object<'_>, reading: &mut Reading) -> bool {
    if let Some(error) = error::in_band(chunk) {
        reading.fail(error);
        return true;
    }
    if let Some(model) = chunk.text("modelVersion").filter(|model| !model.is_empty()) {
        reading.model_reported = Some(model.into_owned());
    }
    if reading.response_id.is_none() {
        reading.response_id = chunk.text("responseId").filter(|id| !id.is_empty()).map(Into::into);
    }
    if let Some(raw) = chunk.get("usageMetadata")
        && let Some(object) = raw.object()
    {
        // The last one counts, taken whole: fields come and go.
        reading.usage = usage::normalise(&object);
        reading.usage_is_behind = false;
        reading.usage_is_final = true;
        let verbatim = reading.raw_usage.get_or_insert_default();
        verbatim.clear();
        verbatim.push_str(raw.get());
    }
    reading.release_sample();
    let candidates = chunk.array("candidates");
    for candidate in candidates.iter().filter_map(|candidate| candidate.object()) {
        read_candidate(&candidate, reading);
    }
    let feedback = chunk.object("promptFeedback").unwrap_or_default();
    if let Some(reason) = feedback.get("blockReason").and_then(enum_text) {
        reading.stop_reason = Some(reason);
        reading.complete();
    }
    chunk.get("candidates").is_some() || chunk.get("promptFeedback").is_some() || chunk.get("usageMetadata").is_some()
}

fn read_candidate(candidate: &Object<'_>, reading: &mut Reading) {
    let content = candidate.object("content").unwrap_or_default();
    for part in content.array("parts") {
        tally(part, reading);
    }
    if let Some(reason) = candidate.get("finishReason").and_then(enum_text) {
        if candidate.count("index").unwrap_or(0) == 0 {
            reading.stop_reason = Some(reason);
        }
        reading.complete();
    }
}

/// An empty text is no content; any other part is.
fn tally(part: Raw<'_>, reading: &mut Reading) {
    let Some(part) = part.object() else { return };
    let Some(text) = part.get("text").filter(|text| text.get().starts_with('"')) else {
        reading.has_content = true;
        if let Some(call) = part.get("functionCall") {
            reading.add_json(call.get());
        }
        return;
    };
    let spelt = json::spelt(text);
    let is_thought = part.boolean("thought").unwrap_or(false);
    reading.has_content |= if is_thought { reading.add_other(spelt) } else { reading.add_text(spelt) };
}

/// An enum's value: its name, or its number as some of Google's services write it; zero is "unspecified".
fn enum_text(value: Raw<'_>) -> Option<String> {
    match json::text(value) {
        Some(name) => (!name.is_empty()).then(|| name.into_owned()),
        None => json::count(value).filter(|number| *number > 0).map(|number| number.to_string()),
    }
}
