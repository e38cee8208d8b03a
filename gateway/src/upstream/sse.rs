//! Server-sent events: bytes in any chunking to events, and where each lies.
//!
//! Reads as the HTML standard says (LF, CR and CRLF, comments, one optional space, several `data:` lines, a byte order
//! mark), with what real providers need beyond it: an event still open at the end of the stream is delivered; a line
//! `error: {...}` and a JSON text outside any field are delivered too, as what they are.
//!
//! Nothing is copied when an event lies within one chunk, every byte is looked at once, and no stream can make the
//! reader hold more than [`EVENT_MAX_BYTES`].

use std::ops::Range;

use memchr::memchr2;

/// The largest event that is interpreted. A larger one is counted and passed over.
pub const EVENT_MAX_BYTES: usize = 8 << 20;

/// Buffers that have grown beyond this are given back after the event that needed them.
const KEPT_CAPACITY: usize = 4 << 10;

/// What an event's data was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `data:` lines, as it should be.
    Data,
    /// A line `error: ...` (GPUStack).
    ErrorField,
    /// A JSON text outside any field.
    Raw,
    /// An event beyond [`EVENT_MAX_BYTES`]; its data is not shown.
    Oversized,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Where its data was found.
    pub kind: Kind,
    /// Its name; empty if it has none.
    pub name: &'a [u8],
    /// Its data; several lines are joined with LF.
    pub data: &'a [u8],
    /// Where its first line that is no comment begins in the chunk at hand; `None` if in an earlier one.
    pub start: Option<usize>,
    /// Where the blank line that closed it ends in the chunk at hand; `None` if there are other events before that line.
    pub end: Option<usize>,
}

/// Where the event began that is not closed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// There is none.
    #[default]
    Nowhere,
    /// In a chunk before the last one.
    Earlier,
    /// At this place in the last chunk.
    At(usize),
}

/// The reader's state between chunks.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a line whose end has not come.
    carry: Vec<u8>,
    /// The line at hand is beyond the bound, its text is not kept.
    long_line: bool,
    /// The line at hand is the stream's first, where a byte order mark may stand.
    past_first_line: bool,
    /// The last byte was a CR: an LF right after it belongs to it.
    after_cr: bool,
    open: Block,
}

/// The event that is being put together.
#[derive(Debug, Default)]
struct Block {
    name: Vec<u8>,
    kind: Option<Kind>,
    /// Where the data stands in the chunk at hand, as long as it is one line in one chunk.
    in_chunk: Option<Range<usize>>,
    /// The data otherwise.
    data: Vec<u8>,
    start: Open,
    /// There has been another event since the last blank line, so that this one cannot be told from it by place.
    is_mixed: bool,
    is_oversized: bool,
}

/// One line of a chunk.
#[derive(Clone, Copy)]
struct Line<'a> {
    chunk: &'a [u8],
    text: &'a [u8],
    /// Where the text stands in the chunk; `None` if part of it was carried over.
    offset: Option<usize>,
    /// Where the next line begins in the chunk.
    next: usize,
}

impl Decoder {
    /// Takes the next chunk, and shows each event that it completes.
    pub fn push(&mut self, chunk: &[u8], mut visit: impl FnMut(Event<'_>)) {
        if let Open::At(_) = self.open.start {
            self.open.start = Open::Earlier;
        }
        let mut at = 0;
        if self.after_cr && !chunk.is_empty() {
            self.after_cr = false;
            at = usize::from(chunk.starts_with(b"\n"));
        }
        while let Some(length) = chunk.get(at..).and_then(|rest| memchr2(b'\n', b'\r', rest)) {
            let end = at + length;
            let is_cr = chunk.get(end) == Some(&b'\r');
            let next = if is_cr && chunk.get(end + 1) == Some(&b'\n') { end + 2 } else { end + 1 };
            self.after_cr = is_cr && next == chunk.len() && next == end + 1;
            self.end_line(chunk, at..end, next, &mut visit);
            at = next;
        }
        self.carry_over(chunk, at);
    }

    /// Takes the end of the stream, and shows an event that it leaves open.
    pub fn finish(&mut self, mut visit: impl FnMut(Event<'_>)) {
        if !self.carry.is_empty() || self.long_line {
            self.end_line(&[], 0..0, 0, &mut visit);
        }
        self.deliver(&[], Some(0), &mut visit);
        self.open = Block::default();
    }

    /// Where the event began that is not closed yet.
    pub fn open(&self) -> Open {
        self.open.start
    }

    /// Whether the stream stands at the beginning of a line.
    pub fn is_at_line_start(&self) -> bool {
        self.carry.is_empty() && !self.long_line
    }

    /// Whether the last byte was a CR that an LF may still follow.
    pub fn is_after_cr(&self) -> bool {
        self.after_cr
    }

    fn end_line(&mut self, chunk: &[u8], place: Range<usize>, next: usize, visit: &mut impl FnMut(Event<'_>)) {
        let offset = place.start;
        let text = chunk.get(place).unwrap_or_default();
        if self.long_line {
            self.long_line = false;
            self.past_first_line = true;
            self.open.is_oversized = true;
        } else if self.carry.is_empty() {
            self.read_line(Line { chunk, text, offset: Some(offset), next }, visit);
        } else {
            let mut carried = std::mem::take(&mut self.carry);
            carried.extend_from_slice(text);
            self.read_line(Line { chunk, text: &carried, offset: None, next }, visit);
            self.carry = emptied(carried);
        }
    }

    /// Keeps what the next chunk will need of this one.
    fn carry_over(&mut self, chunk: &[u8], at: usize) {
        let rest = chunk.get(at..).unwrap_or_default();
        if self.is_at_line_start() && !rest.is_empty() && !rest.starts_with(b":") {
            self.open.begin(Some(at));
        }
        if !rest.is_empty() && !self.long_line {
            self.carry.extend_from_slice(rest);
            if self.carry.len() > EVENT_MAX_BYTES {
                self.carry = Vec::new();
                self.long_line = true;
            }
        }
        self.open.move_out_of(chunk);
    }

    fn read_line(&mut self, mut line: Line<'_>, visit: &mut impl FnMut(Event<'_>)) {
        if !self.past_first_line {
            self.past_first_line = true;
            if let Some(rest) = line.text.strip_prefix(b"\xef\xbb\xbf") {
                // The mark belongs to the first event, whether it came with its line or before it.
                self.open.begin(line.offset);
                line = Line { text: rest, offset: line.offset.map(|offset| offset + 3), ..line };
            }
        }
        if line.text.is_empty() {
            self.deliver(line.chunk, Some(line.next), visit);
            return self.open.clear();
        }
        let is_data = line.text.starts_with(b"data:");
        let colon = if is_data { Some(4) } else { memchr::memchr(b':', line.text) }.unwrap_or(line.text.len());
        let (field, value) = line.text.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let kind = match field {
            // A comment: it may go on to the client whatever becomes of the event around it.
            b"" => return,
            b"data" => Kind::Data,
            b"error" => Kind::ErrorField,
            b"event" => {
                self.open.begin(line.offset);
                self.open.name.clear();
                return self.open.name.extend_from_slice(value);
            }
            b"id" | b"retry" => return self.open.begin(line.offset),
            _ if self.open.kind == Some(Kind::Raw) || matches!(line.text.trim_ascii_start(), [b'{' | b'[', ..]) => {
                return self.add(Kind::Raw, line.text, line, visit);
            }
            _ => return self.open.begin(line.offset),
        };
        self.add(kind, value, line, visit);
    }

    /// Adds a line's value, which is the end of the line, to the open event. An event has data of one kind: another
    /// kind begins another event.
    fn add(&mut self, kind: Kind, value: &[u8], line: Line<'_>, visit: &mut impl FnMut(Event<'_>)) {
        if self.open.kind.is_some_and(|open| open != kind) {
            self.deliver(line.chunk, None, visit);
            self.open.kind = None;
            self.open.data.clear();
            self.open.is_mixed = true;
        }
        self.open.begin(line.offset);
        if self.open.is_oversized {
            return;
        }
        let end = line.offset.map(|offset| offset + line.text.len());
        if self.open.kind.is_none()
            && let Some(end) = end
        {
            self.open.in_chunk = Some(end - value.len()..end);
        } else {
            self.open.move_out_of(line.chunk);
            if self.open.kind.is_some() {
                self.open.data.push(b'\n');
            }
            self.open.data.extend_from_slice(value);
        }
        self.open.kind = Some(kind);
        if self.open.data.len() > EVENT_MAX_BYTES {
            self.open.data = Vec::new();
            self.open.is_oversized = true;
        }
    }

    fn deliver(&mut self, chunk: &[u8], end: Option<usize>, visit: &mut impl FnMut(Event<'_>)) {
        let kind = if self.open.is_oversized { Some(Kind::Oversized) } else { self.open.kind };
        let Some(kind) = kind else { return };
        let start = match self.open.start {
            Open::At(start) => Some(start),
            Open::Nowhere | Open::Earlier => None,
        };
        let data = match self.open.in_chunk.take() {
            Some(place) => chunk.get(place).unwrap_or_default(),
            None => &self.open.data,
        };
        let end = end.filter(|_| !self.open.is_mixed);
        visit(Event { kind, name: &self.open.name, data, start, end });
    }
}

impl Block {
    /// Notes that the event has begun, if it has not.
    fn begin(&mut self, offset: Option<usize>) {
        if let Open::Nowhere = self.start {
            self.start = offset.map_or(Open::Earlier, Open::At);
        }
    }

    /// Copies data that stands in a chunk, before the chunk is gone or more is added.
    fn move_out_of(&mut self, chunk: &[u8]) {
        if let Some(place) = self.in_chunk.take() {
            self.data.extend_from_slice(chunk.get(place).unwrap_or_default());
        }
    }

    /// Makes room for the next event.
    fn clear(&mut self) {
        *self = Self {
            name: emptied(std::mem::take(&mut self.name)),
            data: emptied(std::mem::take(&mut self.data)),
            ..Self::default()
        };
    }
}

/// An empty buffer, the same one unless it has grown large.
fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    if buffer.capacity() > KEPT_CAPACITY {
        return Vec::new();
    }
    buffer.clear();
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(stream: &[u8], size: usize) -> Vec<(Kind, String, String)> {
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut visit = |event: Event<'_>| seen.push((event.kind, text(event.name), text(event.data)));
        for chunk in stream.chunks(size) {
            decoder.push(chunk, &mut visit);
        }
        decoder.finish(&mut visit);
        seen
    }

    #[test]
    fn reads_the_standard_and_what_providers_make_of_it() {
        let data = |name: &str, data: &str| (Kind::Data, name.to_owned(), data.to_owned());
        let raw = |data: &str| (Kind::Raw, String::new(), data.to_owned());
        for (stream, expected) in [
            ("data: a\n\ndata:b\n\ndata:  c\n\n", vec![data("", "a"), data("", "b"), data("", " c")]),
            ("event: e\nid: 1\ndata: a\nretry: 5\ndata: b\nx: y\n\n", vec![data("e", "a\nb")]),
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", vec![data("", "a")]),
            (": c\n\n:\n\nevent: only\n\ndata\n\n", vec![data("", "")]),
            ("event: e\n\ndata: a", vec![data("", "a")]),
            ("data: a:b: c\n", vec![data("", "a:b: c")]),
            ("error: {\"x\":1}\n\n", vec![(Kind::ErrorField, String::new(), "{\"x\":1}".to_owned())]),
            ("{\n \"error\": 1\n}\n\ndata: a\n\n", vec![raw("{\n \"error\": 1\n}"), data("", "a")]),
            ("data: a\n{\"error\":1}\ndata: b\n\n", vec![data("", "a"), raw("{\"error\":1}"), data("", "b")]),
            ("\n\n\n", vec![]),
        ] {
            for stream in [stream.to_owned(), stream.replace('\n', "\r\n"), stream.replace('\n', "\r")] {
                for size in 1..=stream.len() {
                    assert_eq!(events(stream.as_bytes(), size), expected, "{stream:?} in chunks of {size}");
                }
            }
        }
    }

    #[test]
    fn survives_any_bytes() {
        let stream = [b"data: \xff\xfe\x00\n\n".as_slice(), b"data: ok\n\n"].concat();
        for size in 1..stream.len() {
            let seen = events(&stream, size);
            assert_eq!((seen.len(), seen[1].2.as_str()), (2, "ok"));
        }
    }

    #[test]
    fn passes_over_an_event_beyond_the_bound_and_gives_its_memory_back() {
        let line = vec![b'x'; 1 << 20];
        let mut decoder = Decoder::default();
        let mut kinds = Vec::new();
        for lines in [false, true] {
            decoder.push(b"data: ", |_| {});
            for _ in 0..=EVENT_MAX_BYTES / line.len() {
                decoder.push(&line, |_| {});
                decoder.push(if lines { b"\ndata: " } else { b"" }, |_| {});
                assert!(decoder.carry.capacity() + decoder.open.data.capacity() < 3 * EVENT_MAX_BYTES);
            }
            decoder.push(b"\n\ndata: after\n\n", |event| kinds.push((event.kind, event.data.len())));
        }
        assert_eq!(kinds, [(Kind::Oversized, 0), (Kind::Data, 5), (Kind::Oversized, 0), (Kind::Data, 5)]);
        assert!(decoder.carry.capacity() + decoder.open.data.capacity() <= 2 * KEPT_CAPACITY);
    }

    #[test]
    fn shows_an_event_within_one_chunk_where_it_lies() {
        let chunk = b": c\ndata: abc\n\nda";
        let mut decoder = Decoder::default();
        decoder.push(chunk, |event| {
            assert_eq!(event.data.as_ptr(), chunk[10..].as_ptr(), "not copied");
            assert_eq!((event.start, event.end), (Some(4), Some(15)));
        });
        assert_eq!(decoder.open(), Open::At(15));
        decoder.push(b"ta: d\n\n", |event| assert_eq!((event.start, event.end), (None, Some(7))));
        assert_eq!(decoder.open(), Open::Nowhere);
    }
}
