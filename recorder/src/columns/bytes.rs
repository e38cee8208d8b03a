//! Bytes as the Native format has them, and the pieces of a block that is to be sent.

use std::borrow::Cow;

/// Shorter ones are copied together: a piece of its own costs more than that.
const BORROWED_MIN: usize = 4096;

/// A block's bytes in order, mostly those of its columns as they are: a block is never there a second time.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    pieces: Vec<Cow<'a, [u8]>>,
    own: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// Adds bytes that somebody else keeps.
    pub(super) fn borrow(&mut self, bytes: &'a [u8]) {
        if bytes.len() < BORROWED_MIN {
            self.own.extend_from_slice(bytes);
            return;
        }
        self.pieces.extend([Cow::Owned(std::mem::take(&mut self.own)), Cow::Borrowed(bytes)]);
    }

    /// Where bytes go that are nowhere else.
    pub(super) fn own(&mut self) -> &mut Vec<u8> {
        &mut self.own
    }

    /// The pieces.
    pub(super) fn into_pieces(mut self) -> Vec<Cow<'a, [u8]>> {
        self.pieces.push(Cow::Owned(self.own));
        self.pieces
    }
}

/// Appends a text led by its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_varint(out, text.len());
    out.extend_from_slice(text);
}

/// Appends a number in LEB128.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The texts that stand one behind another, each with the length that leads it.
pub(super) fn texts(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, digits) = varint(bytes)?;
        let (text, rest) = bytes.split_at_checked(digits.checked_add(length)?)?;
        bytes = rest;
        Some(text)
    })
}

/// A text without the length that leads it.
pub(super) fn without_length(text: &[u8]) -> &[u8] {
    varint(text).and_then(|(_, digits)| text.get(digits..)).unwrap_or_default()
}

/// The number at the beginning, and how many bytes it takes.
fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, at + 1));
        }
    }
    None
}
