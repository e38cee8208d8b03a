//! Reads a stream as it passes, and decides which of its bytes go on.

use bytes::Bytes;
use schemas::outcome::Format;

use super::likeness::Likeness;
use super::openai_chat::stream::Seen;
use super::own_error::OwnError;
use super::reading::Reading;
use super::{anthropic, gemini, openai_chat, openai_responses};
use crate::upstream::json_array;
use crate::upstream::sse::{Decoder, Event, Kind, Open};

/// The most that is held back of an unfinished event that may turn out to be the usage chunk; those have 2 KiB at most.
const HELD_MAX_BYTES: usize = 64 << 10;

/// Follows one stream from its first byte to its last.
///
/// A chunk is read before it is given back (W3): whoever forwards it already knows what it says.
#[derive(Debug)]
pub struct StreamReader {
    framing: Framing,
    dialect: Dialect,
    reading: Reading,
    likeness: Likeness,
    is_ended: bool,
    hiding: Option<Hiding>,
    format: Format,
    /// What closes the event that the stream was cut in, once the end has been taken.
    cut: Option<&'static [u8]>,
}

/// How the stream is cut into events.
#[derive(Debug)]
enum Framing {
    Sse(Decoder),
    /// Gemini's, before its first byte that is no white space tells which of the two it is.
    Undecided(Decoder),
    Array(json_array::Decoder),
}

#[derive(Debug)]
enum Dialect {
    Anthropic(anthropic::stream::Stream),
    OpenaiChat,
    OpenaiResponses,
    Gemini,
}

/// Keeps the usage chunk that the client did not ask for from it. Only the tail of an unfinished event waits.
#[derive(Debug, Default)]
struct Hiding {
    /// The open event's bytes, from earlier chunks.
    held: Vec<u8>,
    /// The beginning of the open event is already out: it was too large to be the one.
    is_torn: bool,
    /// The event last cut ended in CR; an LF right after it goes with it.
    drop_lf: bool,
    /// Where the events to be cut lie in the chunk at hand. No start: the event began in `held`.
    cuts: Vec<(Option<usize>, usize)>,
}

impl StreamReader {
    /// A reader for a stream of this format, of which `hides_usage` keeps back the event that only has usage.
    pub fn new(format: Format, hides_usage: bool) -> Self {
        let dialect = match format {
            Format::Anthropic => Dialect::Anthropic(anthropic::stream::Stream::default()),
            Format::OpenaiChat => Dialect::OpenaiChat,
            Format::OpenaiResponses => Dialect::OpenaiResponses,
            Format::Gemini => Dialect::Gemini,
        };
        let sse = Decoder::default();
        let framing = if format == Format::Gemini { Framing::Undecided(sse) } else { Framing::Sse(sse) };
        Self {
            framing,
            dialect,
            reading: Reading::default(),
            likeness: Likeness::default(),
            is_ended: false,
            hiding: hides_usage.then(Hiding::default),
            format,
            cut: None,
        }
    }

    /// Reads the next chunk; gives back what of it may be forwarded, which is the chunk itself unless something is hidden.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        self.framing.decide(&chunk);
        let Self { framing, dialect, reading, likeness, is_ended, hiding, .. } = self;
        let visit = |event: Event<'_>| {
            let hide = read(&event, dialect, (reading, likeness), is_ended);
            if hide
                && let Some(hiding) = hiding
                && let Some(end) = event.end
            {
                hiding.cuts.push((event.start, end));
            }
        };
        match framing {
            Framing::Sse(sse) | Framing::Undecided(sse) => sse.push(&chunk, visit),
            Framing::Array(array) => {
                array.push(&chunk, visit);
                *is_ended |= array.is_closed();
            }
        }
        match (hiding, framing) {
            (Some(hiding), Framing::Sse(sse)) => hiding.pass(chunk, sse.open(), sse.is_after_cr()),
            _ => chunk,
        }
    }

    /// Reads the end of the stream; gives back what was still held.
    pub fn finish(&mut self) -> Bytes {
        self.cut = Some(self.closing());
        let Self { framing, dialect, reading, likeness, is_ended, hiding, .. } = self;
        let mut hidden = false;
        if let Framing::Sse(sse) = framing {
            sse.finish(|event| hidden |= read(&event, dialect, (reading, likeness), is_ended));
        }
        match hiding {
            Some(hiding) if hidden && !hiding.is_torn => {
                hiding.held.clear();
                self.cut = Some(b"");
                Bytes::new()
            }
            Some(hiding) => std::mem::take(&mut hiding.held).into(),
            None => Bytes::new(),
        }
    }

    /// What has been read so far.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Whether the format's own end marker has come: `message_stop`, `[DONE]`, `response.completed`, the end of an array.
    /// Gemini's event stream has none.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// One of our errors as an event that can follow what has been forwarded so far: an event that was cut is closed
    /// first. Ask after [`Self::finish`], if what that gives back is forwarded.
    pub fn error_event(&self, error: &OwnError<'_>) -> Bytes {
        if let Framing::Array(array) = &self.framing {
            let element = super::error_body(self.format, error);
            return [array.opening(), &element, b"]\n"].concat().into();
        }
        let closing = self.cut.unwrap_or_else(|| if self.is_holding() { b"" } else { self.closing() });
        [closing, &super::error_event(self.format, error)].concat().into()
    }

    /// Whether the open event has been kept back from its first byte.
    fn is_holding(&self) -> bool {
        let is_held = self.hiding.as_ref().is_some_and(|hiding| !hiding.is_torn);
        is_held && matches!(&self.framing, Framing::Sse(sse) if sse.open() != Open::Nowhere)
    }

    /// The bytes that close the line and the event that the stream stands in.
    fn closing(&self) -> &'static [u8] {
        let Framing::Sse(sse) = &self.framing else { return b"" };
        match (sse.is_at_line_start(), sse.open()) {
            (true, Open::Nowhere) => b"",
            // After a CR the first LF would only complete the line's end.
            (true, Open::Earlier | Open::At(_)) if !sse.is_after_cr() => b"\n",
            _ => b"\n\n",
        }
    }
}

impl Framing {
    /// Settles what the stream is, once a chunk shows it.
    fn decide(&mut self, chunk: &[u8]) {
        let Self::Undecided(sse) = self else { return };
        *self = match chunk.trim_ascii_start().first() {
            None => return,
            Some(b'[') => Self::Array(json_array::Decoder::default()),
            Some(_) => Self::Sse(std::mem::take(sse)),
        };
    }
}

/// Reads one event; tells whether it is one that only has usage.
fn read(
    event: &Event<'_>,
    dialect: &mut Dialect,
    (reading, likeness): (&mut Reading, &mut Likeness),
    is_ended: &mut bool,
) -> bool {
    reading.events += 1;
    if event.kind == Kind::Oversized {
        reading.unreadable_events += 1;
        reading.has_content = true;
        return false;
    }
    if event.kind == Kind::Data && likeness.read(event.name, event.data, reading) {
        return false;
    }
    let mut is_usage_only = false;
    match dialect {
        Dialect::Anthropic(stream) => *is_ended |= stream.read(event, reading, likeness),
        Dialect::OpenaiChat => {
            let seen = openai_chat::stream::read(event, reading, likeness);
            *is_ended |= seen == Seen::End;
            is_usage_only = seen == Seen::UsageOnly;
        }
        Dialect::OpenaiResponses => *is_ended |= openai_responses::stream::read(event, reading, likeness),
        Dialect::Gemini => gemini::stream::read(event, reading, likeness),
    }
    reading.release_sample();
    is_usage_only
}

impl Hiding {
    /// What of the held bytes and of a chunk may be forwarded, given where the chunk leaves an event open.
    fn pass(&mut self, chunk: Bytes, open: Open, is_after_cr: bool) -> Bytes {
        let mut from = usize::from(std::mem::take(&mut self.drop_lf) && chunk.starts_with(b"\n"));
        let mut kept = Pieces::default();
        for (start, end) in std::mem::take(&mut self.cuts) {
            match start {
                Some(start) => kept.push(from..start),
                None if self.is_torn => continue,
                None => self.held.clear(),
            }
            from = end;
        }
        self.drop_lf = is_after_cr && from == chunk.len() && from > 0;
        let open_at = match open {
            Open::Nowhere => chunk.len(),
            Open::At(at) => at,
            Open::Earlier => from,
        };
        if open != Open::Earlier {
            self.is_torn = false;
        }
        if self.is_torn {
            return chunk;
        }
        kept.push(from..open_at);
        let mut passed = Bytes::new();
        if open != Open::Earlier {
            passed = kept.join(std::mem::take(&mut self.held), &chunk);
        }
        self.held.extend_from_slice(chunk.get(open_at..).unwrap_or_default());
        if self.held.len() > HELD_MAX_BYTES {
            self.is_torn = true;
            let held = std::mem::take(&mut self.held);
            return if passed.is_empty() { held.into() } else { [&passed[..], &held].concat().into() };
        }
        passed
    }
}

/// The parts of a chunk that stay.
#[derive(Default)]
struct Pieces {
    first: Option<std::ops::Range<usize>>,
    more: Vec<std::ops::Range<usize>>,
}

impl Pieces {
    fn push(&mut self, piece: std::ops::Range<usize>) {
        if piece.is_empty() {
        } else if self.first.is_none() {
            self.first = Some(piece);
        } else {
            self.more.push(piece);
        }
    }

    /// `before` and the pieces of `chunk`, without a copy where they are one piece.
    fn join(self, mut before: Vec<u8>, chunk: &Bytes) -> Bytes {
        match self.first {
            None => before.into(),
            Some(piece) if before.is_empty() && self.more.is_empty() => chunk.slice(piece),
            Some(piece) => {
                for piece in std::iter::once(piece).chain(self.more) {
                    before.extend_from_slice(chunk.get(piece).unwrap_or_default());
                }
                before.into()
            }
        }
    }
}
