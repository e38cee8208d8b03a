//! A streamGenerateContent stream. Every chunk is a whole small answer, and most carry usage.
//!
//! There is no end marker: `finishReason` completes the answer, and more content may follow it all the same. A chunk in
//! the middle, one piece of text and a count that the next chunk replaces, is glanced at, and its likes are told by it;
//! every other one is decoded. Of their counts only the last is, when somebody asks.

use super::response;
use crate::formats::failure;
use crate::formats::json;
use crate::formats::likeness::{Likeness, Part, Told};
use crate::formats::reading::Reading;
use crate::formats::scan::{Members, object_length};
use crate::formats::tree::Tree;
use crate::upstream::sse::{Event, Kind};

/// Reads one event.
pub(crate) fn read(event: &Event<'_>, reading: &mut Reading, likeness: &mut Likeness) {
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
    // Until the model and the counts are known once, there is something to learn from every chunk.
    let is_settled = reading.model_reported.is_some() && reading.usage.output.unwrap_or(0) > 0;
    match Glance::at(data).filter(|_| is_settled) {
        Some(glance) => {
            let told = glance.told();
            likeness.learn(event.name, event.data, told);
            told.apply(reading);
        }
        None => decode(data, reading),
    }
}

fn decode(data: &[u8], reading: &mut Reading) {
    let text = json::lossy(data);
    let tree = Tree::of(&text);
    match tree.object(&text) {
        Ok(chunk) => {
            response::read_chunk(&chunk, reading);
        }
        Err(_) => reading.unreadable_events += 1,
    }
}

/// What a chunk in the middle of an answer holds.
#[derive(Debug, Default)]
struct Glance<'a> {
    /// The text of its only part, as spelt.
    text: &'a [u8],
    is_thought: bool,
    /// Its usage object, verbatim.
    usage: Option<&'a [u8]>,
}

impl<'a> Glance<'a> {
    /// `None` where a chunk is anything else: it ends or refuses, has an error, a call, several parts, or a key in a
    /// place that is not known to be harmless.
    fn at(data: &'a [u8]) -> Option<Self> {
        let mut glance = Self::default();
        let mut texts = 0;
        for member in Members::of(data) {
            match (member.depth, member.key) {
                (1, b"usageMetadata") => {
                    let length = object_length(member.rest).filter(|_| member.rest.starts_with(b"{"))?;
                    glance.usage = Some(member.rest.get(..length).filter(|usage| std::str::from_utf8(usage).is_ok())?);
                }
                // candidates[0].content.parts[0]
                (6, b"text") => {
                    texts += 1;
                    glance.text = member.string()?;
                }
                (6, b"thought") => glance.is_thought = member.rest.starts_with(b"true"),
                (1, b"candidates" | b"modelVersion" | b"responseId" | b"createTime")
                | (3, b"content" | b"index" | b"safetyRatings")
                | (4, b"parts" | b"role")
                | (5, b"category" | b"probability" | b"blocked")
                | (6, b"thoughtSignature") => {}
                // Inside the usage object.
                (2, key) if key.ends_with(b"Count") || key.ends_with(b"Details") || key == b"trafficType" => {}
                (4, b"modality" | b"tokenCount") => {}
                _ => return None,
            }
        }
        (texts == 1).then_some(glance)
    }

    fn told(self) -> Told<'a> {
        let part = if self.is_thought { Part::Other } else { Part::Text };
        Told { part, said: self.text, usage: self.usage }
    }
}
