//! One event that is dealt out in pieces. Pieces are made when they are asked for: what waits is the event as it came.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr2;
use schemas::outcome::Format;

use super::delta;
use super::object::Edit;

/// An event with a long text, and how far it has been dealt out.
#[derive(Debug)]
pub(super) struct Cut {
    event: Bytes,
    /// What of the text has not gone out yet, as a place in the event.
    left: Range<usize>,
    chunk_chars: usize,
    /// What stands around the text of the first piece, of those in between, and of the last.
    first: Envelope,
    middle: Envelope,
    last: Envelope,
    has_begun: bool,
}

#[derive(Debug)]
struct Envelope {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Cut {
    /// Plans the cutting of an event, given from its first line to its blank one. `None` if it has to stay whole.
    pub(super) fn plan(format: Format, event: &Bytes, chunk_chars: usize) -> Option<Self> {
        let lines = Lines::read(event)?;
        let data = str::from_utf8(event.get(lines.data.clone())?).ok()?;
        let delta = delta::find(format, data)?;
        let left = lines.data.start + delta.text.start..lines.data.start + delta.text.end;
        let text = event.get(left.clone())?;
        if prefix_length(text, chunk_chars) == text.len() {
            return None;
        }
        let in_between = [delta.first_only.as_slice(), &delta.last_only].concat();
        let envelope = |edits: &[Edit]| {
            let (before, after) =
                (edited(data, 0..delta.text.start, edits), edited(data, delta.text.end..data.len(), edits));
            Envelope {
                head: [lines.names_before.as_slice(), before.as_bytes()].concat(),
                tail: [after.as_bytes(), lines.line_end, lines.names_after.as_slice(), lines.line_end].concat(),
            }
        };
        let (before, after) = (event.get(..lines.data.start)?, event.get(lines.data.end..)?);
        let last = Envelope {
            head: [before, edited(data, 0..delta.text.start, &delta.first_only).as_bytes()].concat(),
            tail: [edited(data, delta.text.end..data.len(), &delta.first_only).as_bytes(), after].concat(),
        };
        let (first, middle) = (envelope(&delta.last_only), envelope(&in_between));
        Some(Self { event: event.clone(), left, chunk_chars, first, middle, last, has_begun: false })
    }

    /// The next piece; `None` after the last.
    pub(super) fn next_piece(&mut self) -> Option<Bytes> {
        let left = self.event.get(self.left.clone()).unwrap_or_default();
        let length = prefix_length(left, self.chunk_chars);
        if length == left.len() {
            return self.rest();
        }
        let envelope = if self.has_begun { &self.middle } else { &self.first };
        let piece = envelope.around(left.get(..length).unwrap_or_default());
        self.left.start += length;
        self.has_begun = true;
        Some(piece)
    }

    /// All that has not gone out, as one piece; `None` after the last. Before the first this is the event as it came.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        if self.is_done() {
            return None;
        }
        let left = self.event.get(self.left.clone()).unwrap_or_default();
        let piece = if self.has_begun { self.last.around(left) } else { self.event.clone() };
        self.left.start = self.left.end;
        Some(piece)
    }

    /// Whether the last piece has gone out.
    pub(super) fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// The bytes of the event as it came.
    pub(super) fn event_bytes(&self) -> usize {
        self.event.len()
    }
}

impl Envelope {
    fn around(&self, text: &[u8]) -> Bytes {
        [self.head.as_slice(), text, self.tail.as_slice()].concat().into()
    }
}

/// The lines of an event with one line of data.
struct Lines<'a> {
    /// Where the data stands.
    data: Range<usize>,
    /// What ends the data's line.
    line_end: &'a [u8],
    /// The lines that every piece has: the event's name, and the name of the data's field.
    names_before: Vec<u8>,
    names_after: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// Lines other than data and name (ids, retry times, comments) are left to the last piece, which has them all.
    fn read(event: &'a [u8]) -> Option<Self> {
        let mut found: Option<Self> = None;
        let (mut names, mut at) = (Vec::new(), 0);
        while let Some(length) = memchr2(b'\n', b'\r', event.get(at..)?) {
            let (start, end) = (at, at + length);
            let line = event.get(start..end)?;
            at = if event.get(end..)?.starts_with(b"\r\n") { end + 2 } else { end + 1 };
            if let Some(value) = line.strip_prefix(b"data:") {
                let value = value.strip_prefix(b" ").unwrap_or(value);
                let data = end - value.len()..end;
                names.extend_from_slice(event.get(start..data.start)?);
                let names_before = std::mem::take(&mut names);
                let lines = Self { data, line_end: event.get(end..at)?, names_before, names_after: Vec::new() };
                if found.replace(lines).is_some() {
                    return None;
                }
            } else if line == b"data" {
                return None;
            } else if line.starts_with(b"event:") {
                names.extend_from_slice(event.get(start..at)?);
            }
        }
        Some(Self { names_after: names, ..found? })
    }
}

/// A part of a text with those edits that lie in it.
fn edited(text: &str, part: Range<usize>, edits: &[Edit]) -> String {
    let mut within: Vec<&Edit> =
        edits.iter().filter(|edit| part.start <= edit.place.start && edit.place.end <= part.end).collect();
    within.sort_by_key(|edit| edit.place.start);
    let (mut result, mut at) = (String::new(), part.start);
    for edit in within {
        result += text.get(at..edit.place.start).unwrap_or_default();
        result += edit.with;
        at = edit.place.end;
    }
    result + text.get(at..part.end).unwrap_or_default()
}

/// How many bytes of a JSON string's text the first characters take: never part of a UTF-8 character, of an escape, or
/// of two escapes that are one character.
fn prefix_length(text: &[u8], chars: usize) -> usize {
    let mut at = 0;
    for _ in 0..chars {
        at += match text.get(at..) {
            None | Some([]) => break,
            Some(
                [
                    b'\\',
                    b'u',
                    b'd' | b'D',
                    b'8' | b'9' | b'a' | b'b' | b'A' | b'B',
                    _,
                    _,
                    b'\\',
                    b'u',
                    b'd' | b'D',
                    b'c'..=b'f' | b'C'..=b'F',
                    ..,
                ],
            ) => 12,
            Some([b'\\', b'u', ..]) => 6,
            Some([b'\\', ..]) => 2,
            Some([first, ..]) => match first {
                0xF0.. => 4,
                0xE0.. => 3,
                0xC0.. => 2,
                _ => 1,
            },
        };
    }
    at.min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_whole_however_they_are_spelt() {
        let text = "a\u{e9}\u{6f22}\u{1f600}\\n\\u00e9\\uD83D\\uDE00\\ud83d\\ud83d\\ude00\\ude00z".as_bytes();
        let ends: Vec<usize> = (0..12).map(|chars| prefix_length(text, chars)).collect();
        // A half of a pair without the other is a character of its own.
        assert_eq!(ends, [0, 1, 3, 6, 10, 12, 18, 30, 36, 48, 54, 55]);
        assert_eq!(prefix_length(b"", 1), 0);
    }
}
