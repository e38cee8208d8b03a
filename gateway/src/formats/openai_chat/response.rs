//! A whole chat completion.

use super::{error, usage};
use crate::formats::failure;
use crate::formats::json::{self, Object, Raw};
use crate::formats::reading::Reading;
use crate::formats::tree::Tree;

pub(crate) fn read(body: &[u8]) -> Reading {
    let text = failure::body_text(body);
    let tree = Tree::of(&text);
    let Ok(completion) = tree.object(&text) else { return Reading::invalid(failure::describe(&text)) };
    let mut reading = Reading::default();
    read_members(&completion, "message", &mut reading);
    if reading.stop_reason.is_some() {
        // In a whole answer even an empty reason is an end; in a stream some send it with every chunk.
        reading.complete();
    }
    if let Some(error) = error::in_band(&completion) {
        reading.fail(error);
    } else if completion.get("choices").is_none() {
        return Reading::invalid(format!("no completion: {}", failure::describe(&text)));
    }
    reading
}

/// Reads a completion or a chunk of one; the first holds each choice's content in `message`, the second in `delta`.
pub(crate) fn read_members(completion: &Object<'_>, content: &str, reading: &mut Reading) {
    if reading.model_reported.is_none() {
        reading.model_reported = completion.text("model").filter(|model| !model.is_empty()).map(Into::into);
    }
    let choices = completion.array("choices");
    // First, so that the text of an answer that was counted is not kept for an estimate.
    read_usage(completion, &choices, reading);
    reading.release_sample();
    for choice in &choices {
        let Some(choice) = choice.object() else { continue };
        if let Some(message) = choice.object(content) {
            tally(&message, reading);
        }
        let Some(reason) = choice.text("finish_reason") else { continue };
        if !reason.is_empty() {
            reading.complete();
        }
        if choice.count("index").unwrap_or(0) == 0 && (!reason.is_empty() || reading.stop_reason.is_none()) {
            reading.stop_reason = Some(reason.into_owned());
        }
    }
}

/// Usage stands at the top, in Groq's `x_groq`, or inside a choice; the last that counts anything is the one.
fn read_usage(completion: &Object<'_>, choices: &[Raw<'_>], reading: &mut Reading) {
    let Some(raw) = completion
        .get("usage")
        .or_else(|| completion.object("x_groq")?.get("usage"))
        .or_else(|| choices.iter().find_map(|choice| usage_in(*choice)))
    else {
        return;
    };
    let Some(object) = raw.object() else { return };
    let later = usage::normalise(&object);
    if usage::counts(&later) || !usage::counts(&reading.usage) {
        reading.usage = later;
        reading.usage_is_final = true;
        let verbatim = reading.raw_usage.get_or_insert_default();
        verbatim.clear();
        verbatim.push_str(raw.get());
    }
}

fn usage_in(choice: Raw<'_>) -> Option<Raw<'_>> {
    choice.object()?.get("usage")
}

/// Counts what a message or delta holds. `content` may be a string, a list of parts, or an object.
fn tally(message: &Object<'_>, reading: &mut Reading) {
    let before = reading.text_chars + reading.other_chars;
    if let Some(content) = message.get("content") {
        tally_content(content, reading);
    }
    let reasoning = message.get("reasoning_content").or_else(|| message.get("reasoning"));
    for other in [reasoning, message.get("refusal")].into_iter().flatten() {
        reading.add_other(json::spelt(other));
    }
    let calls = message.array("tool_calls");
    let functions = calls.iter().filter_map(|call| call.object()?.object("function"));
    for function in functions.chain(message.object("function_call")) {
        reading.add_other(function.get("arguments").map_or(b"", json::spelt));
    }
    let has_other = ["tool_calls", "function_call", "audio", "images", "annotations", "reasoning_details"]
        .iter()
        .any(|name| message.get(name).is_some_and(|value| !matches!(value.get(), "[]" | "{}")));
    reading.has_content |= has_other || reading.text_chars + reading.other_chars > before;
}

fn tally_content(content: Raw<'_>, reading: &mut Reading) {
    let mut parts = json::elements(content);
    if parts.is_empty() {
        parts.push(content);
    }
    for part in parts {
        let Some(part) = part.object() else {
            reading.add_text(json::spelt(part));
            continue;
        };
        reading.has_content = true;
        reading.add_text(part.get("text").map_or(b"", json::spelt));
        let thinking = part.array("thinking");
        for text in thinking.iter().filter_map(|part| part.object()?.get("text")) {
            reading.add_other(json::spelt(text));
        }
    }
}
