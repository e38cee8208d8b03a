//! A whole Messages answer.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{error, usage};
use crate::formats::failure;
use crate::formats::json::Object;
use crate::formats::reading::Reading;

pub(crate) fn read(body: &[u8]) -> Reading {
    let text = failure::body_text(body);
    let Ok(message) = Object::parse(&text) else { return Reading::invalid(failure::describe(&text)) };
    let mut reading = Reading::default();
    if let Some(raw) = message.get("usage")
        && let Ok(object) = Object::parse(raw.get())
    {
        reading.usage = usage::normalise(&object);
        reading.usage_is_final = true;
        reading.raw_usage = Some(raw.get().to_owned());
    }
    reading.model_reported = message.text("model").map(Into::into);
    reading.stop_reason = message.text("stop_reason").map(Into::into);
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

fn tally(block: &RawValue, reading: &mut Reading) {
    let Ok(block) = Object::parse(block.get()) else { return };
    let chars = |key| block.text(key).map_or(0, |text: Cow<'_, str>| text.chars().count() as u64);
    reading.text_chars += chars("text");
    reading.other_chars += chars("thinking");
    if block.text("type").is_some_and(|kind| kind.ends_with("tool_use")) {
        reading.other_chars += block.get("input").map_or(0, |input| input.get().chars().count() as u64);
    }
}
