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

/// A part of an event that may differ.
#[derive(Debug)]
struct Slot {
    place: Range<usize>,
    kind: Inside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// Of a string.
    String,
    /// Of the string that is said.
    Said,
    /// A number that nobody reads.
    Number,
    /// A number of the usage object: it has a digit.
    Count,
    /// Nothing: here the usage object begins, or ends.
    Edge,
}

/// What an event is about, as parts of its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) part: Part,
    /// What it says, as spelt.
    pub(super) said: &'a [u8],
    /// Its usage object, where every event has one: the last of them counts.
    pub(super) usage: Option<&'a [u8]>,
}

impl Likeness {
    /// Reads an event if it is like the one that was learned; tells whether it was.
    pub(super) fn read(&mut self, name: &[u8], data: &[u8], reading: &mut Reading) -> bool {
        let Some(told) = self.told(name, data) else { return false };
        told.apply(reading);
        self.vain = 0;
        true
    }

    /// What an event says that is otherwise as the one that was learned.
    fn told<'a>(&self, name: &[u8], data: &'a [u8]) -> Option<Told<'a>> {
        let part = self.part.filter(|_| name == self.name)?;
        let (mut rest, mut from, mut said, mut usage) = (data, 0, None, None);
        for Slot { place, kind } in &self.slots {
            rest = rest.strip_prefix(self.data.get(from..place.start)?)?;
            let length = match kind {
                Inside::String | Inside::Said => string_length(rest)?,
                Inside::Number => number_length(rest),
                Inside::Count => Some(number_length(rest)).filter(|length| *length > 0)?,
                Inside::Edge => 0,
            };
            let (inside, after) = rest.split_at_checked(length)?;
            match (kind, usage) {
                (Inside::Said, _) => said = Some(inside),
                (Inside::Edge, None) => usage = Some(rest),
                (Inside::Edge, Some(begun)) => usage = begun.get(..begun.len() - rest.len()),
                _ => {}
            }
            (rest, from) = (after, place.end);
        }
        let said = said.filter(|_| self.data.get(from..) == Some(rest))?;
        Some(Told { part, said, usage })
    }

    /// Learns an event that was read, and that tells this, in parts of its data, and no more than that.
    pub(super) fn learn(&mut self, name: &[u8], data: &[u8], told: Told<'_>) {
        if self.vain >= VAIN_MAX || data.len() > BYTES_MAX {
            return;
        }
        self.vain += 1;
        self.slots.clear();
        let usage = told.usage.and_then(|usage| place_in(data, usage));
        let mut edges = usage.clone().into_iter().flat_map(|usage| [usage.start, usage.end]).peekable();
        for member in Members::of(data) {
            let inside = member.string();
            let value = inside.unwrap_or_else(|| member.rest.get(..number_length(member.rest)).unwrap_or_default());
            let Some(place) = place_in(data, value) else { continue };
            let is_counted = usage.as_ref().is_some_and(|usage| usage.contains(&place.start));
            let kind = match inside {
                Some(inside) if inside.as_ptr() == told.said.as_ptr() && inside.len() == told.said.len() => {
                    Inside::Said
                }
                Some(_) if VARYING.contains(&member.key) => Inside::String,
                None if VARYING.contains(&member.key) => Inside::Number,
                None if is_counted && !place.is_empty() => Inside::Count,
                _ => continue,
            };
            while let Some(edge) = edges.next_if(|edge| *edge <= place.start) {
                self.slots.push(Slot { place: edge..edge, kind: Inside::Edge });
            }
            self.slots.push(Slot { place, kind });
        }
        self.slots.extend(edges.map(|edge| Slot { place: edge..edge, kind: Inside::Edge }));
        self.part = self.slots.iter().any(|slot| slot.kind == Inside::Said).then_some(told.part);
        self.name.clear();
        self.name.extend_from_slice(name);
        self.data.clear();
        self.data.extend_from_slice(data);
    }
}

impl Told<'_> {
    /// Counts what is said, and keeps the usage object to be decoded when it is asked for.
    pub(super) fn apply(self, reading: &mut Reading) {
        reading.has_content |= match self.part {
            Part::Text => reading.add_text(self.said),
            Part::Other => reading.add_other(self.said),
        };
        if let Some(usage) = self.usage.and_then(|usage| std::str::from_utf8(usage).ok()) {
            let verbatim = reading.raw_usage.get_or_insert_default();
            verbatim.clear();
            verbatim.push_str(usage);
            reading.usage_is_behind = true;
        }
    }
}

/// Where a part of a text lies in it.
fn place_in(text: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    Some(start..start + part.len())
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
        likeness.learn(b"delta", LEARNED.as_bytes(), Told { part: Part::Text, said, usage: None });
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
    fn the_usage_object_of_the_last_event_counts() {
        // Behind what is said and before it, with numbers and without.
        for (learned, first, last) in [
            (r#"{"text":"a","u":*,"i":3}"#, r#"{"in":7,"by":["x",{"n":1}]}"#, r#"{"in":12,"by":["x",{"n":204}]}"#),
            (r#"{"u":*,"text":"a","i":3}"#, r#"{"n":7}"#, r#"{"n":1234567}"#),
            (r#"{"u":*,"text":"a"}"#, r#"{"of":"x"}"#, r#"{"of":"x"}"#),
            (r#"{"text":"a","u":*}"#, "{}", "{}"),
        ] {
            let event = learned.replace('*', first);
            let part_of = |part: &str| Some(&event.as_bytes()[event.find(part)?..][..part.len()]);
            let said = &part_of("\"a\"").unwrap()[1..2];
            let mut likeness = Likeness::default();
            likeness.learn(b"", event.as_bytes(), Told { part: Part::Text, said, usage: part_of(first) });
            let mut reading = Reading::default();
            let like = learned.replace('*', last).replace("\"a\"", r#""longer \" text""#);
            assert!(likeness.read(b"", like.as_bytes(), &mut reading), "{like}");
            assert_eq!((reading.raw_usage.as_deref(), reading.text_chars), (Some(last), 13), "{like}");
            for (from, to) in
                [("3}", "4}"), ("\"x\"", "\"y\""), (":7", ":"), (":7", ":-7"), (":7", ":7.5"), ("{}", "[]")]
            {
                let other = event.replace(from, to);
                assert!(other == event || !likeness.read(b"", other.as_bytes(), &mut reading), "{other}");
            }
        }
    }

    #[test]
    fn learning_in_vain_comes_to_an_end() {
        let mut likeness = Likeness::default();
        for number in 0..=VAIN_MAX {
            let data = format!("{{\"k{number}\":\"said\"}}");
            let said = &data.as_bytes()[data.len() - 6..data.len() - 2];
            likeness.learn(b"", data.as_bytes(), Told { part: Part::Other, said, usage: None });
        }
        let last = format!("{{\"k{}\":\"x\"}}", VAIN_MAX - 1);
        assert!(likeness.read(b"", last.as_bytes(), &mut Reading::default()), "the last one that was learned");
    }
}
