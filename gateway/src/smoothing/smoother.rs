//! Cuts a stream into what goes out as it is and what is dealt out, at any chunking of its bytes.

use bytes::Bytes;
use schemas::outcome::Format;

use super::cut::Cut;
use crate::upstream::sse::{Decoder, Event, Kind, Open};

/// The largest event that is kept for cutting. The beginning of a larger one is not held back.
const EVENT_MAX_BYTES: usize = 64 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A part of the stream.
#[derive(Debug)]
pub(super) enum Part {
    /// Bytes as they came.
    Verbatim(Bytes),
    /// An event that is dealt out in pieces.
    Cut(Box<Cut>),
}

/// The state between chunks.
#[derive(Debug)]
pub(super) struct Smoother {
    format: Format,
    chunk_chars: usize,
    sse: Decoder,
    /// The open event's bytes from earlier chunks. A client could not use them before the rest is there.
    held: Vec<u8>,
    /// The open event's beginning has gone out.
    is_torn: bool,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Nothing but white space has come.
    Undecided,
    Events,
    /// One JSON array (Gemini without `alt=sse`): not cut.
    Array,
}

impl Part {
    /// How much of the stream as it came is in this part.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Verbatim(bytes) => bytes.len(),
            Self::Cut(cut) => cut.event_bytes(),
        }
    }
}

impl Smoother {
    pub(super) fn new(format: Format, chunk_chars: usize) -> Self {
        let framing = if format == Format::Gemini { Framing::Undecided } else { Framing::Events };
        Self { format, chunk_chars, sse: Decoder::default(), held: Vec::new(), is_torn: false, framing }
    }

    /// Takes the next chunk and gives the parts that it completes, in order.
    pub(super) fn push(&mut self, chunk: &Bytes, mut give: impl FnMut(Part)) {
        if self.framing == Framing::Undecided {
            match chunk.trim_ascii_start().first() {
                None => {}
                Some(b'[') => self.framing = Framing::Array,
                Some(_) => self.framing = Framing::Events,
            }
        }
        let mut give = |part: Part| {
            if part.len() > 0 {
                give(part);
            }
        };
        if self.framing == Framing::Array {
            give(Part::Verbatim(std::mem::take(&mut self.held).into()));
            return give(Part::Verbatim(chunk.clone()));
        }
        // Where the events lie that may be worth cutting. A text of so many characters has at least as many bytes.
        let mut events = Vec::new();
        let chunk_chars = self.chunk_chars;
        self.sse.push(chunk, |event: Event<'_>| {
            if event.kind == Kind::Data && event.data.len() > chunk_chars {
                events.extend(event.end.map(|end| (event.start, end)));
            }
        });
        let mut from = 0;
        for (start, end) in events {
            let event = match start {
                Some(start) => chunk.slice(start..end),
                None if self.is_torn => continue,
                None => [self.held.as_slice(), chunk.get(..end).unwrap_or_default()].concat().into(),
            };
            // The mark belongs to no line, but to the first line of the stream: its event stays whole.
            let is_plain = event.len() <= EVENT_MAX_BYTES && !event.starts_with(BYTE_ORDER_MARK);
            let cut = is_plain.then(|| Cut::plan(self.format, &event, chunk_chars)).flatten();
            let Some(cut) = cut else { continue };
            let held = std::mem::take(&mut self.held);
            if let Some(start) = start {
                give(Part::Verbatim(held.into()));
                give(Part::Verbatim(chunk.slice(from..start)));
            }
            give(Part::Cut(Box::new(cut)));
            from = end;
        }
        self.pass(chunk.slice(from..), from, give);
    }

    /// Takes the end of the stream.
    pub(super) fn finish(&mut self, mut give: impl FnMut(Part)) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            give(Part::Verbatim(held.into()));
        }
    }

    /// What is left of a chunk, which began at `from` in it: all goes on but an event that is still open.
    fn pass(&mut self, mut rest: Bytes, from: usize, mut give: impl FnMut(Part)) {
        let open = match self.sse.open() {
            Open::Nowhere => Bytes::new(),
            Open::At(at) => rest.split_off(at.saturating_sub(from).min(rest.len())),
            Open::Earlier if self.is_torn => return give(Part::Verbatim(rest)),
            Open::Earlier => std::mem::take(&mut rest),
        };
        if self.sse.open() != Open::Earlier {
            self.is_torn = false;
            give(Part::Verbatim(std::mem::take(&mut self.held).into()));
            give(Part::Verbatim(rest));
        }
        self.held.extend_from_slice(&open);
        if self.held.len() > EVENT_MAX_BYTES {
            self.is_torn = true;
            give(Part::Verbatim(std::mem::take(&mut self.held).into()));
        }
    }
}
