//! The beginning of a text that goes by in pieces.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;

/// Most bytes kept: some four thousand tokens, by which the rest is judged.
pub(super) const SAMPLE_MAX_BYTES: usize = 16 << 10;

/// The beginning of a text, as UTF-8, cut where it became too long.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sample {
    text: Vec<u8>,
    is_closed: bool,
}

impl Sample {
    /// Adds text.
    pub fn push(&mut self, text: &str) {
        self.extend(text.as_bytes());
    }

    /// Adds text that a JSON string spells as it is.
    pub fn push_plain(&mut self, text: &[u8]) {
        self.extend(text);
    }

    /// Adds text as a JSON string spells it between its quotes.
    pub fn push_spelt(&mut self, mut spelt: &[u8]) {
        while !self.is_full() {
            let Some(at) = memchr(b'\\', spelt) else { return self.extend(spelt) };
            let (plain, escape) = spelt.split_at(at);
            self.extend(plain);
            let (char, length) = unescape(escape);
            self.extend(char.encode_utf8(&mut [0; 4]).as_bytes());
            spelt = escape.get(length..).unwrap_or_default();
        }
    }

    /// The text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    /// Whether there is nothing to judge by.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether no more is kept.
    fn is_full(&self) -> bool {
        self.is_closed || self.text.len() >= SAMPLE_MAX_BYTES
    }

    /// How much is kept, for [`Self::truncate`].
    pub fn mark(&self) -> usize {
        self.text.len()
    }

    /// Forgets what was added after the mark.
    pub fn truncate(&mut self, mark: usize) {
        self.text.truncate(mark);
    }

    /// Forgets all of it for good, and gives the memory back.
    pub fn close(&mut self) {
        *self = Self { text: Vec::new(), is_closed: true };
    }

    fn extend(&mut self, text: &[u8]) {
        if !self.is_full() {
            let room = SAMPLE_MAX_BYTES.saturating_sub(self.text.len());
            self.text.extend_from_slice(text.get(..room).unwrap_or(text));
        }
    }
}

/// What people say to models belongs into no log.
impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sample({} bytes)", self.text.len())
    }
}

/// The character that an escape stands for, and how long the escape is.
fn unescape(escape: &[u8]) -> (char, usize) {
    let plain = match escape.get(1) {
        Some(b'u') => return unescape_unicode(escape),
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'"' | b'\\' | b'/') => char::from(escape.get(1).copied().unwrap_or_default()),
        _ => char::REPLACEMENT_CHARACTER,
    };
    (plain, 2)
}

fn unescape_unicode(escape: &[u8]) -> (char, usize) {
    let Some(first) = unit(escape) else { return (char::REPLACEMENT_CHARACTER, 6) };
    let second = escape.get(6..).and_then(unit);
    let units = [first, second.unwrap_or(0)];
    match char::decode_utf16(units).next() {
        Some(Ok(char)) => (char, if char.len_utf16() == 2 { 12 } else { 6 }),
        Some(Err(_)) | None => (char::REPLACEMENT_CHARACTER, 6),
    }
}

/// The UTF-16 unit that an escape `\uXXXX` names.
fn unit(escape: &[u8]) -> Option<u16> {
    let digits = escape.strip_prefix(b"\\u")?.get(..4)?;
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unspelt(spelt: &[u8]) -> String {
        let mut sample = Sample::default();
        sample.push_spelt(spelt);
        sample.text().into_owned()
    }

    #[test]
    fn reads_every_escape() {
        let text = "a\"b\\c/d\n\t\r\u{8}\u{c}\u{1}\u{e9}\u{4f60}\u{1f600}z";
        let spelt = serde_json::to_string(text).unwrap();
        assert_eq!(unspelt(spelt.trim_matches('"').replace('/', "\\/").as_bytes()), text);
        let all: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        assert_eq!(unspelt(all.as_bytes()), text);
    }

    #[test]
    fn survives_what_is_no_json() {
        for (spelt, text) in [
            (&b"\\"[..], "\u{fffd}"),
            (b"\\u12", "\u{fffd}"),
            (b"\\u+123x", "\u{fffd}x"),
            (b"\\ud83dx", "\u{fffd}x"),
            (b"\\ud83d\\u0041", "\u{fffd}A"),
            (b"\\q\xff", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(unspelt(spelt), text);
        }
    }

    #[test]
    fn keeps_no_more_than_the_bound() {
        let mut sample = Sample::default();
        for _ in 0..SAMPLE_MAX_BYTES {
            sample.push("abc");
            sample.push_spelt(b"\\ud83d\\ude00\\n");
        }
        assert!(sample.is_full() && sample.mark() == SAMPLE_MAX_BYTES);
        assert!(sample.text.capacity() <= 2 * SAMPLE_MAX_BYTES);
        sample.close();
        sample.push("more");
        sample.push_spelt(b"m\\u006fre");
        assert!(sample.is_empty() && sample.text.capacity() == 0);
    }
}
