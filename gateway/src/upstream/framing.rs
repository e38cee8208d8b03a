//! Where the body of an HTTP/1.1 answer ends, and what of a connection's bytes belongs to it.
//!
//! Rules: <https://www.rfc-editor.org/rfc/rfc9112#section-6>

use bytes::Bytes;

use super::head::Malformed;

/// Most bytes of a body's chunk extensions and trailers, which nobody reads.
const ASIDE_MAX: usize = 16 << 10;

/// How the end of a body is told, and how much of it is still to come.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// In chunks, each with its length before it.
    Chunked(Chunked),
    /// By the end of the connection.
    UntilClose,
}

/// The place in a chunked body.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// Bytes of this chunk that are still to come; while its length is read, what has been read of it.
    left: u64,
    /// Bytes of extensions and trailers so far.
    aside: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a chunk's length.
    Length,
    /// After it.
    MoreLength,
    Extension,
    LengthLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a line after the last chunk: a trailer, or the end.
    Line,
    Trailer,
    TrailerLf,
    EndLf,
    Over,
}

/// What nearly always stands before a chunk's data, from the end of the last one's on: the length of this one and
/// nothing else. Gives back that length and what comes after. Anything else is for [`Chunked::step`].
fn between_chunks(state: State, bytes: &[u8]) -> Option<(u64, &[u8])> {
    let line = match state {
        State::DataCr => bytes.strip_prefix(b"\r\n")?,
        State::Length => bytes,
        _ => return None,
    };
    let (mut length, mut rest) = (0, line);
    while let Some((digit, after)) = rest.split_first()
        && let Some(digit) = char::from(*digit).to_digit(16)
    {
        (length, rest) = (length << 4 | u64::from(digit), after);
    }
    // So few digits that none is lost; without any it is no length, and zero ends the body.
    let is_usual = line.len() - rest.len() <= 8 && length > 0;
    rest.strip_prefix(b"\r\n").filter(|_| is_usual).map(|rest| (length, rest))
}

impl Framing {
    /// In chunks.
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked { state: State::Length, left: 0, aside: 0 })
    }

    /// Whether all of the body has come.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.state == State::Over,
            Self::UntilClose => false,
        }
    }

    /// How much is still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(chunked) => (chunked.state == State::Over).then_some(0),
            Self::UntilClose => None,
        }
    }

    /// Takes in what has come: all of the body that is in it, joined, and how many bytes that has taken. These are fewer
    /// than have come only where the body is over.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(Bytes, usize), Malformed> {
        match self {
            Self::UntilClose => Ok((Bytes::copy_from_slice(bytes), bytes.len())),
            Self::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= length as u64;
                Ok((Bytes::copy_from_slice(bytes.get(..length).unwrap_or_default()), length))
            }
            Self::Chunked(chunked) => chunked.take(bytes),
        }
    }
}

impl Chunked {
    fn take(&mut self, bytes: &[u8]) -> Result<(Bytes, usize), Malformed> {
        if self.state == State::Data && self.left >= bytes.len() as u64 {
            self.data(bytes.len());
            return Ok((Bytes::copy_from_slice(bytes), bytes.len()));
        }
        let mut body = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while self.state != State::Over
            && let Some((&byte, after)) = rest.split_first()
        {
            if self.state == State::Data {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                let (data, after) = rest.split_at(here);
                body.extend_from_slice(data);
                self.data(here);
                rest = after;
            } else if let Some((length, after)) = between_chunks(self.state, rest) {
                (self.state, self.left, rest) = (State::Data, length, after);
            } else {
                self.state = self.step(byte)?;
                rest = after;
            }
        }
        Ok((body.into(), bytes.len() - rest.len()))
    }

    fn data(&mut self, bytes: usize) {
        self.left -= bytes as u64;
        if self.left == 0 {
            self.state = State::DataCr;
        }
    }

    /// What comes after a byte that is not of the body.
    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        use State::{
            Data, DataCr, DataLf, EndLf, Extension, Length, LengthLf, Line, MoreLength, Over, Trailer, TrailerLf,
        };
        let next = match (self.state, byte) {
            (Length | MoreLength, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let longer = self.left.checked_mul(16).and_then(|left| left.checked_add(u64::from(digit)));
                self.left = longer.ok_or(Malformed("a chunk of its answer is too long"))?;
                MoreLength
            }
            (MoreLength, b';' | b' ' | b'\t') => self.aside(Extension)?,
            (MoreLength | Extension, b'\r') => LengthLf,
            (Extension, _) if byte != b'\n' => self.aside(Extension)?,
            (LengthLf, b'\n') if self.left > 0 => Data,
            (LengthLf | TrailerLf, b'\n') => Line,
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Length,
            (Line, b'\r') => EndLf,
            (Trailer, b'\r') => TrailerLf,
            (Line | Trailer, _) => self.aside(Trailer)?,
            (EndLf, b'\n') => Over,
            _ => return Err(Malformed("the chunks of its answer are not as HTTP/1.1 has them")),
        };
        Ok(next)
    }

    fn aside(&mut self, next: State) -> Result<State, Malformed> {
        self.aside += 1;
        if self.aside > ASIDE_MAX { Err(Malformed("its answer has too much beside its body")) } else { Ok(next) }
    }
}
