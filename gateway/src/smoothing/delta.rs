//! Where the text of a delta stands in each format, and what of the event around it may be said only once.
//!
//! An event is cut only if every member of it is known to bear it: one that may be repeated, or one that can be left to
//! the first or the last piece. Anything else (log probabilities, which belong to tokens; a second choice or part; a
//! call's arguments; thoughts and their signatures) leaves the event whole.

use std::ops::Range;

use schemas::outcome::Format;

use super::object::{Edit, Object};

/// An event's text, and how its pieces differ from it otherwise.
#[derive(Debug)]
pub(super) struct Delta {
    /// Where the text stands in the event's data, between its quotes.
    pub(super) text: Range<usize>,
    /// Takes from the data what only the first piece says.
    pub(super) first_only: Vec<Edit>,
    /// Takes from the data what only the last piece says.
    pub(super) last_only: Vec<Edit>,
}

/// Reads an event's data; `None` if it is no text delta that can be cut.
pub(super) fn find(format: Format, data: &str) -> Option<Delta> {
    let event = Object::parse(data, data)?;
    match format {
        Format::Anthropic => anthropic(&event),
        Format::OpenaiChat => openai_chat(&event),
        Format::OpenaiResponses => openai_responses(&event),
        Format::Gemini => gemini(&event),
    }
}

fn anthropic(event: &Object<'_>) -> Option<Delta> {
    let delta = event.object("delta")?;
    let text = delta.string("text")?;
    let known = event.is("type", "content_block_delta")
        && delta.is("type", "text_delta")
        && event.others(&["delta"]).all(|member| member.is_plain())
        && delta.others(&["type", "text"]).all(|member| member.is_void());
    known.then(|| Delta { text, first_only: Vec::new(), last_only: Vec::new() })
}

fn openai_chat(event: &Object<'_>) -> Option<Delta> {
    let choice = event.only_element("choices")?;
    let delta = choice.object("delta")?;
    let text = delta.string("content")?;
    let known = delta.others(&["role", "content"]).all(|member| member.is_void())
        && choice.others(&["index", "delta"]).all(|member| member.key != "logprobs" || member.is_void());
    let (mut first_only, mut last_only) = (Vec::new(), Vec::new());
    delta.remove(|member| member.key == "role", &mut first_only);
    // These two are `null` in the chunks of every stream that has them at all.
    choice.nullify(&["finish_reason"], &mut last_only);
    event.nullify(&["usage"], &mut last_only);
    choice.remove(
        |member| !member.is_void() && !["index", "delta", "finish_reason"].contains(&member.key),
        &mut last_only,
    );
    event.remove(|member| !member.is_plain() && !["choices", "usage"].contains(&member.key), &mut last_only);
    known.then_some(Delta { text, first_only, last_only })
}

fn openai_responses(event: &Object<'_>) -> Option<Delta> {
    let text = event.string("delta")?;
    let known = event.is("type", "response.output_text.delta") && event.others(&[]).all(|member| member.is_plain());
    known.then(|| Delta { text, first_only: Vec::new(), last_only: Vec::new() })
}

fn gemini(event: &Object<'_>) -> Option<Delta> {
    let candidate = event.only_element("candidates")?;
    let content = candidate.object("content")?;
    let part = content.only_element("parts")?;
    let text = part.string("text")?;
    let known = part.others(&["text"]).all(|member| member.is_void())
        && content.others(&["parts"]).all(|member| member.is_plain());
    let mut last_only = Vec::new();
    candidate.remove(|member| !member.is_void() && !["content", "index"].contains(&member.key), &mut last_only);
    event.remove(|member| !member.is_plain() && member.key != "candidates", &mut last_only);
    known.then_some(Delta { text, first_only: Vec::new(), last_only })
}
