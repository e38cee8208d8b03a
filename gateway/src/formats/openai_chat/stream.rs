//! A chat stream: chunks with deltas, perhaps a chunk that has nothing but usage, `[DONE]`.

use memchr::memmem::Finder;

use super::{error, response};
use crate::estimate::Sample;
use crate::formats::failure;
use crate::formats::json;
use crate::formats::likeness::{Likeness, Part, Told};
use crate::formats::reading::Reading;
use crate::formats::scan::{Key, Member, Members, string_chars, values};
use crate::formats::tree::Tree;
use crate::upstream::sse::{Event, Kind};

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
pub(crate) fn read(event: &Event<'_>, reading: &mut Reading, likeness: &mut Likeness) -> Seen {
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
    let mark = reading.sample.mark();
    let glance = Glance::at(data, reading);
    if glance.wants_decoding {
        reading.sample.truncate(mark);
        return decode(data, reading);
    }
    reading.text_chars += glance.text_chars;
    reading.other_chars += glance.other_chars;
    reading.has_content |= glance.has_content;
    if let (Some((part, said)), 1) = (glance.said, glance.strings) {
        likeness.learn(event.name, event.data, Told { part, said, usage: None });
    }
    Seen::Chunk
}

/// Keys whose chunk is decoded unless their value is null.
static TELLING: [Key; 3] = [
    Key::new(|| Finder::new("\"usage\"")),
    Key::new(|| Finder::new("\"error\"")),
    Key::new(|| Finder::new("\"finish_reason\"")),
];
static DELTA: Key = Key::new(|| Finder::new("\"delta\""));

/// What a chunk tells without being decoded.
#[derive(Debug, Default)]
struct Glance<'a> {
    /// It may hold usage, an error, an end, the model, or content in an unusual shape.
    wants_decoding: bool,
    has_content: bool,
    text_chars: u64,
    other_chars: u64,
    /// The last of the strings that were counted.
    said: Option<(Part, &'a [u8])>,
    /// How many there are.
    strings: u32,
}

impl<'a> Glance<'a> {
    /// What is said is added to the reading's sample, and nothing else to the reading.
    fn at(data: &'a [u8], reading: &mut Reading) -> Self {
        let wants_model = reading.model_reported.is_none();
        let mut glance = Self::default();
        let mut deltas = values(&DELTA, data).peekable();
        glance.wants_decoding = deltas.peek().is_none()
            || TELLING.iter().any(|key| values(key, data).any(|value| !value.starts_with(b"null")))
            || (wants_model && has_model(data));
        for delta in deltas {
            if glance.wants_decoding {
                break;
            }
            glance.add(delta, &mut reading.sample);
        }
        glance
    }

    /// Counts what a delta holds.
    fn add(&mut self, delta: &'a [u8], sample: &mut Sample) {
        let (strings, said) = (&mut self.strings, &mut self.said);
        let mut say = |member: &Member<'a>| {
            let spelt = member.string().unwrap_or_default();
            if member.string().is_some() {
                *strings += 1;
                *said = Some((if member.key == b"content" { Part::Text } else { Part::Other }, spelt));
            }
            sample.push_spelt(spelt);
            string_chars(spelt)
        };
        let (mut reasoning_content, mut reasoning) = (0, 0);
        for member in Members::of(delta).take_while(|member| member.depth > 0) {
            match (member.key, member.depth) {
                (b"content", 1) if matches!(member.rest, [b'[' | b'{', ..]) => self.wants_decoding = true,
                (b"content", 1) => self.text_chars += say(&member),
                // The same text in two members, or in one of them.
                (b"reasoning_content", 1) => reasoning_content = say(&member),
                (b"reasoning", 1) => reasoning = say(&member),
                (b"refusal", 1) | (b"arguments", _) => self.other_chars += say(&member),
                (
                    b"tool_calls" | b"function_call" | b"audio" | b"images" | b"reasoning_details" | b"annotations",
                    1,
                ) => {
                    let nothing = [&b"null"[..], b"[]", b"{}"];
                    self.has_content |= !nothing.iter().any(|nothing| member.rest.starts_with(nothing));
                }
                _ => {}
            }
        }
        self.other_chars += reasoning_content.max(reasoning);
        self.has_content |= self.text_chars + self.other_chars > 0;
    }
}

fn has_model(data: &[u8]) -> bool {
    Members::of(data).any(|member| member.depth == 1 && member.key == b"model" && member.is_nonempty_string())
}

fn decode(data: &[u8], reading: &mut Reading) -> Seen {
    let text = json::lossy(data);
    let tree = Tree::of(&text);
    let Ok(chunk) = tree.object(&text) else {
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
