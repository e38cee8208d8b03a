//! The events in the middle of a stream are alike: the next one says something else, and nothing in it has another
//! meaning. Told from one that was read, such an event costs a comparison.

use std::ops::Range;

use super::reading::Reading;
use super::scan::{Members, string_length};

/// What an event says, other than its likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Text of the answer.
    Text,
    /// Other billed output: reasoning, the arguments of calls.
    Other,
}

/// Members beside what is said that may differ, too: no reading looks at them.
const VARYING: [&[u8]; 3] = [b"obfuscation", b"sequence_number", b"created"];
/// Longer events are read each by itself.
const BYTES_MAX: usize = 2 << 10;
/// After so many events that were learned in vain, none is learned any more.
const VAIN_MAX: u8 = 16;

/// An event, as its likes are told by it.
#[derive(Debug, Default)]
pub(super) struct Likeness {
    /// The event's data; empty as long as there is none.
    data: Vec<u8>,
    name: Vec<u8>,
    /// What may differ, in order: the insides of strings, and numbers.
    slots: Vec<Slot>,
    part: Option<Part>,
    /// Events that were learned and had no likes.
    vain: u8,
}

#[derive(Debug)]
struct Slot {
    place: Range<usize>,
    is_number: bool,
    is_said: bool,
}

impl Likeness {
    /// Reads an event if it is like the one that was learned; tells whether it was.
    pub(super) fn read(&mut self, name: &[u8], data: &[u8], reading: &mut Reading) -> bool {
        let Some((part, spelt)) = self.part.zip(self.said(name, data)) else { return false };
        reading.has_content |= match part {
            Part::Text => reading.add_text(spelt),
            Part::Other => reading.add_other(spelt),
        };
        self.vain = 0;
        true
    }

    /// What an event says that is otherwise as the one that was learned.
    fn said<'a>(&self, name: &[u8], data: &'a [u8]) -> Option<&'a [u8]> {
        if name != self.name {
            return None;
        }
        let (mut rest, mut from, mut said) = (data, 0, None);
        for slot in &self.slots {
            rest = rest.strip_prefix(self.data.get(from..slot.place.start)?)?;
            let length = if slot.is_number { number_length(rest) } else { string_length(rest)? };
            let (inside, after) = rest.split_at_checked(length)?;
            if slot.is_said {
                said = Some(inside);
            }
            (rest, from) = (after, slot.place.end);
        }
        said.filter(|_| self.data.get(from..) == Some(rest))
    }

    /// Learns an event that was read, and that says `said`, a part of its data, and no more than that.
    pub(super) fn learn(&mut self, (name, data): (&[u8], &[u8]), part: Part, said: &[u8]) {
        if self.vain >= VAIN_MAX || data.len() > BYTES_MAX {
            return;
        }
        self.vain += 1;
        self.slots.clear();
        let offset = |part: &[u8]| part.as_ptr().addr().checked_sub(data.as_ptr().addr());
        for member in Members::of(data) {
            let inside = member.string();
            let is_said = inside.is_some_and(|inside| inside.as_ptr() == said.as_ptr() && inside.len() == said.len());
            if !is_said && !VARYING.contains(&member.key) {
                continue;
            }
            let is_number = inside.is_none();
            let value = inside.unwrap_or_else(|| member.rest.get(..number_length(member.rest)).unwrap_or_default());
            if let Some(start) = offset(value) {
                self.slots.push(Slot { place: start..start + value.len(), is_number, is_said });
            }
        }
        self.part = self.slots.iter().any(|slot| slot.is_said).then_some(part);
        self.name.clear();
        self.name.extend_from_slice(name);
        self.data.clear();
        self.data.extend_from_slice(data);
    }
}

fn number_length(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEARNED: &str = r#"{"type":"delta","n":{"text":"a \"b\""},"sequence_number":9,"obfuscation":"x"}"#;

    fn learned() -> Likeness {
        let mut likeness = Likeness::default();
        let said = &LEARNED.as_bytes()[LEARNED.find("a \\").unwrap()..][..7];
        assert_eq!(said, br#"a \"b\""#);
        likeness.learn((b"delta", LEARNED.as_bytes()), Part::Text, said);
        likeness
    }

    #[test]
    fn an_event_that_differs_in_what_it_says_is_alike() {
        let mut likeness = learned();
        for said in ["", "c", "\\\"}", "\u{e9}\\u00e9 \\\\"] {
            let event = LEARNED.replace("a \\\"b\\\"", said).replace("\":9", "\":1234").replace("\"x\"", "\"longer\"");
            let mut reading = Reading::default();
            assert!(likeness.read(b"delta", event.as_bytes(), &mut reading), "{event}");
            let chars = serde_json::from_str::<String>(&format!("\"{said}\"")).unwrap().chars().count() as u64;
            assert_eq!((reading.text_chars, reading.has_content), (chars, chars > 0));
        }
    }

    #[test]
    fn any_other_difference_makes_another_event() {
        for (from, to) in [
            ("delta", "gamma"),
            ("text", "test"),
            ("\"n\"", "\"m\""),
            ("{\"text", "{\"x\":1,\"text"),
            ("},", "} ,"),
            ("\"x\"}", "\"x\",\"error\":{}}"),
            ("\"x\"}", "\"x\"}}"),
            ("\"x\"}", "\"x"),
            ("\"x\"}", ""),
            (":9", ":null"),
            (":9", ":-9"),
            (":\"a", ":{\"a"),
            ("\"}", "}"),
        ] {
            let event = LEARNED.replace(from, to);
            assert_ne!(event, LEARNED);
            assert!(!learned().read(b"delta", event.as_bytes(), &mut Reading::default()), "{event}");
        }
        assert!(!learned().read(b"other", LEARNED.as_bytes(), &mut Reading::default()));
        assert!(!Likeness::default().read(b"", b"", &mut Reading::default()));
    }

    #[test]
    fn learning_in_vain_comes_to_an_end() {
        let mut likeness = Likeness::default();
        for number in 0..=VAIN_MAX {
            let data = format!("{{\"k{number}\":\"said\"}}");
            likeness.learn((b"", data.as_bytes()), Part::Other, &data.as_bytes()[data.len() - 6..data.len() - 2]);
        }
        let last = format!("{{\"k{}\":\"x\"}}", VAIN_MAX - 1);
        assert!(likeness.read(b"", last.as_bytes(), &mut Reading::default()), "the last one that was learned");
    }
}
