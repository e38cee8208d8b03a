//! Walks over a JSON text once, without building anything: which keys are there, at which depth, with what value.
//!
//! Deltas are the bulk of every stream and carry nothing to account for. This walk tells at a few nanoseconds per
//! member whether an event is worth decoding, and counts the characters of the deltas that are not.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr2};

/// A key, with its quotes, to look for by [`values`].
pub(super) type Key = LazyLock<Finder<'static>>;

/// A key, and the text from its value's first byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    /// The key as spelt, without its quotes.
    pub(super) key: &'a [u8],
    /// The text from the value's first byte to the end of the whole text.
    pub(super) rest: &'a [u8],
    /// 1 for the outermost object; arrays count.
    pub(super) depth: u32,
}

impl<'a> Member<'a> {
    /// Whether the value is `null`.
    pub(super) fn is_null(&self) -> bool {
        self.rest.starts_with(b"null")
    }

    /// The value as spelt between its quotes, if it is a string.
    pub(super) fn string(&self) -> Option<&'a [u8]> {
        let inner = self.rest.strip_prefix(b"\"")?;
        inner.get(..string_length(inner)?)
    }

    /// Whether the value is a string with something in it.
    pub(super) fn is_nonempty_string(&self) -> bool {
        matches!(self.rest, [b'"', second, ..] if *second != b'"')
    }
}

/// All members of all objects in a JSON text, in order.
///
/// Broken text yields what can be told from it and then ends.
pub(super) struct Members<'a> {
    json: &'a [u8],
    depth: u32,
}

impl<'a> Members<'a> {
    pub(super) fn of(json: &'a [u8]) -> Self {
        Self { json, depth: 0 }
    }

    /// Goes to the first byte after the next opening quote.
    fn enter_string(&mut self) -> Option<&'a [u8]> {
        for (at, byte) in self.json.iter().enumerate() {
            match byte {
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b'"' => return self.json.get(at + 1..),
                _ => {}
            }
        }
        None
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        loop {
            let inner = self.enter_string()?;
            let length = string_length(inner)?;
            self.json = inner.get(length + 1..)?;
            let after = self.json.trim_ascii_start();
            if let Some(rest) = after.strip_prefix(b":") {
                self.json = rest;
                return Some(Member { key: inner.get(..length)?, rest: rest.trim_ascii_start(), depth: self.depth });
            }
        }
    }
}

/// The values that a key has, at any depth, each as the text from its first byte on.
///
/// Several times faster than walking over all members where only a few keys matter. A quoted word can stand inside a
/// string only with its quotes escaped, so that what is found is a key, or a string value that no colon follows.
pub(super) fn values<'a>(key: &'static Key, json: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    key.find_iter(json).filter_map(move |at| {
        let after = json.get(at + key.needle().len()..)?.trim_ascii_start();
        Some(after.strip_prefix(b":")?.trim_ascii_start())
    })
}

/// The length of an object, given from its opening brace on. `None` if it does not end.
pub(super) fn object_length(json: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_u32);
    loop {
        match json.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => at += 1 + string_length(json.get(at + 1..)?)?,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The length of a string's text, given from after its opening quote. `None` if it does not end.
pub(super) fn string_length(inner: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += special(inner.get(at..)?)?;
        if inner.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Where the first quote or backslash is. Keys and most strings are short: to begin to look at many bytes at a time takes
/// longer than to look at these eight at a time.
fn special(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The top bit of the first byte that is zero, and perhaps of some behind it.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let mut at = 0;
    for word in text.as_chunks::<8>().0.iter().take(4) {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    Some(at + memchr2(b'"', b'\\', text.get(at..)?)?)
}

/// Whether a string's text has escapes.
pub(super) fn has_escapes(text: &[u8]) -> bool {
    // Most pieces of an answer are a word or two, in which nothing is found faster than byte by byte, all of them.
    match text.len() {
        0..=32 => text.iter().fold(false, |has, byte| has | (*byte == b'\\')),
        _ => memchr(b'\\', text).is_some(),
    }
}

/// The number of Unicode characters that a string's text, escapes included, stands for.
pub(crate) fn string_chars(mut text: &[u8]) -> u64 {
    let mut chars = 0;
    while let Some(at) = memchr(b'\\', text) {
        let (plain, escape) = text.split_at(at);
        chars += plain_chars(plain);
        let (length, is_char) = match escape {
            // The second half of a pair belongs to the first.
            [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..] => (6, 0),
            [b'\\', b'u', ..] => (6, 1),
            _ => (2, 1),
        };
        chars += is_char;
        text = escape.get(length..).unwrap_or_default();
    }
    chars + plain_chars(text)
}

/// UTF-8 characters: every byte that does not continue one begins one.
pub(super) fn plain_chars(text: &[u8]) -> u64 {
    if text.is_ascii() {
        return text.len() as u64;
    }
    // In parts whose count fits into a byte, which the compiler then counts many at a time.
    let begins = |part: &[u8]| part.iter().map(|byte| u8::from((byte & 0xC0) != 0x80)).sum::<u8>();
    text.chunks(255).map(|part| u64::from(begins(part))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_members_at_their_depth_and_nothing_inside_strings() {
        let json = br#"{"a":"say \"b\": 1","list":[{"c" : null}, "d"], "e\\":{"f":"g"}}"#;
        let found: Vec<_> = Members::of(json).map(|member| (member.key, member.depth)).collect();
        assert_eq!(found, [(&b"a"[..], 1), (b"list", 1), (b"c", 3), (b"e\\\\", 1), (b"f", 2)]);
        let values: Vec<_> = Members::of(json).map(|member| (member.string(), member.is_null())).collect();
        assert_eq!(values[0].0, Some(&br#"say \"b\": 1"#[..]));
        assert!(values[2].1 && values[4].0 == Some(b"g"));
    }

    #[test]
    fn finds_a_keys_values_and_no_words() {
        static KEY: Key = Key::new(|| Finder::new("\"a\""));
        let json = br#"{"a" : 1,"b":"a","c":{"a":null},"d":"\"a\":2","ba":3,"a":{}}"#;
        let found: Vec<u8> = values(&KEY, json).map(|rest| rest[0]).collect();
        assert_eq!(found, *b"1n{");
        assert_eq!(values(&KEY, b"{\"a\"").count() + values(&KEY, b"").count(), 0);
    }

    #[test]
    fn measures_an_object() {
        for (json, length) in
            [("{}x", Some(2)), (r#"{"a":[{"b":"}\""}]},1"#, Some(19)), ("{\"a\":", None), ("{\"}", None)]
        {
            assert_eq!(object_length(json.as_bytes()), length, "{json}");
        }
    }

    #[test]
    fn a_string_ends_at_its_first_quote_that_is_not_escaped() {
        for before in 0..100 {
            for (text, length) in [
                ("\"", Some(0)),
                ("\\\"\"\"", Some(2)),
                ("\\\\\"\"", Some(2)),
                ("\\\"", None),
                ("", None),
                ("\\", None),
            ] {
                let text = format!("{}{text}", "\u{e9}#[!]\u{a2}".repeat(20).chars().take(before).collect::<String>());
                let before = text.trim_end_matches(['"', '\\']).len();
                assert_eq!(string_length(text.as_bytes()), length.map(|length| before + length), "{text}");
            }
        }
    }

    #[test]
    fn counts_characters_through_escapes() {
        for text in ["", "plain", "h\u{e9}llo \u{4f60}\u{1f600}", "a\"b\\c\nd", "\u{1}\u{7f}"] {
            let json = serde_json::to_string(&serde_json::json!({ "t": text })).unwrap();
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            for json in [json, format!("{{\"t\": \"{escaped}\"}}")] {
                let member = Members::of(json.as_bytes()).next().unwrap();
                assert_eq!(member.string().map(string_chars), Some(text.chars().count() as u64), "{json}");
            }
        }
    }

    #[test]
    fn survives_broken_text() {
        for broken in ["", "{", "\"", "{\"a", "{\"a\":\"b", "{\"a\\", "}}}]\"a\":1", "\"a\":\"\\u12"] {
            for member in Members::of(broken.as_bytes()) {
                let _ = (member.string().map(string_chars), member.is_null());
            }
        }
    }
}
