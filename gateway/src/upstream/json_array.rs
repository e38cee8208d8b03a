//! A stream that is one JSON array (Gemini without `alt=sse`): its elements, as they come, in any chunking.

use memchr::memchr2;

use super::sse::{EVENT_MAX_BYTES, Event, Kind};

/// The reader's state between chunks.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Open brackets, the outermost included.
    depth: u32,
    is_in_string: bool,
    /// The last byte was a backslash inside a string.
    is_escaped: bool,
    /// The element at hand, as far as it came in earlier chunks.
    carry: Vec<u8>,
    is_oversized: bool,
    elements: u64,
    is_closed: bool,
}

impl Decoder {
    /// Takes the next chunk, and shows each element that it completes as an event.
    pub fn push(&mut self, chunk: &[u8], mut visit: impl FnMut(Event<'_>)) {
        // Where the element at hand begins in this chunk.
        let mut start = (self.depth > 1).then_some(0);
        let mut at = 0;
        while let Some(byte) = chunk.get(at) {
            if self.is_in_string {
                at = self.skip_string(chunk, at);
                continue;
            }
            at += 1;
            match byte {
                b'"' => self.is_in_string = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    if self.depth == 2 {
                        start = Some(at - 1);
                    }
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    match self.depth {
                        0 => self.is_closed = true,
                        1 => {
                            let begun = start.take().unwrap_or(0);
                            self.deliver(chunk.get(begun..at).unwrap_or_default(), &mut visit);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        if let Some(start) = start {
            self.keep(chunk.get(start..).unwrap_or_default());
        }
    }

    /// Whether the array has been closed: the stream's proper end.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The bytes that make room for one more element, if the array stands where it can have one.
    pub fn opening(&self) -> &'static [u8] {
        match (self.depth, self.elements) {
            (0, _) => b"[",
            (1, 0) => b"",
            _ => b",",
        }
    }

    /// Goes on behind the string's end, or to the end of the chunk.
    fn skip_string(&mut self, chunk: &[u8], mut at: usize) -> usize {
        if std::mem::take(&mut self.is_escaped) {
            at += 1;
        }
        while let Some(length) = chunk.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            at += length;
            if chunk.get(at) == Some(&b'"') {
                self.is_in_string = false;
                return at + 1;
            }
            if at + 1 == chunk.len() {
                self.is_escaped = true;
                return chunk.len();
            }
            at += 2;
        }
        chunk.len()
    }

    fn keep(&mut self, part: &[u8]) {
        if self.is_oversized {
            return;
        }
        self.carry.extend_from_slice(part);
        if self.carry.len() > EVENT_MAX_BYTES {
            self.carry = Vec::new();
            self.is_oversized = true;
        }
    }

    fn deliver(&mut self, part: &[u8], visit: &mut impl FnMut(Event<'_>)) {
        self.elements += 1;
        let event = |kind, data| Event { kind, name: b"", data, start: None, end: None };
        if std::mem::take(&mut self.is_oversized) {
            return visit(event(Kind::Oversized, b""));
        }
        if self.carry.is_empty() {
            return visit(event(Kind::Data, part));
        }
        let mut element = std::mem::take(&mut self.carry);
        element.extend_from_slice(part);
        visit(event(Kind::Data, &element));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_elements_at_every_chunking() {
        let array = r#"[{"a":"]},\"{[\\"}
,
{"b":[1,{"c":"é"}]},{}, [] ] "#;
        for size in 1..=array.len() {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            assert_eq!(decoder.opening(), b"[");
            for chunk in array.as_bytes().chunks(size) {
                decoder.push(chunk, |event| seen.push(String::from_utf8(event.data.to_vec()).unwrap()));
            }
            assert_eq!(seen, [r#"{"a":"]},\"{[\\"}"#, r#"{"b":[1,{"c":"é"}]}"#, "{}", "[]"], "in chunks of {size}");
            assert!(decoder.is_closed() && decoder.carry.is_empty());
        }
    }

    #[test]
    fn holds_no_more_than_the_bound() {
        let mut decoder = Decoder::default();
        let mut kinds = Vec::new();
        decoder.push(b"[{\"a\":\"", |_| {});
        for _ in 0..=EVENT_MAX_BYTES >> 20 {
            decoder.push(&[b'x'; 1 << 20], |_| {});
            assert!(decoder.carry.capacity() < 3 * EVENT_MAX_BYTES);
        }
        decoder.push(b"\"},{}]", |event| kinds.push((event.kind, event.data.len())));
        assert_eq!(kinds, [(Kind::Oversized, 0), (Kind::Data, 2)]);
    }
}
