//! JSON's syntax: where a value ends, and nothing else about it.
//!
//! A body is walked over once for its members and once for each object inside that is looked into; strings, which are
//! most of it, are crossed many bytes at a time. Nothing recurses: a body of brackets is a client's to send.

use std::ops::Range;

use super::scan::string_length;

/// Depth that is followed here. What is deeper is left to serde_json, which keeps a list of it.
const DEPTH_MAX: u32 = 64;

/// Who is told what a walk over a value meets. `()` asks for its end alone.
pub(super) trait Walk {
    /// A value begins; `name` is where its key stands, empty without one.
    fn begin(&mut self, name: Range<usize>, at: usize);
    /// The value that began last has something in it.
    fn enter(&mut self);
    /// The value that began last, which has nothing in it, ends.
    fn end(&mut self, at: usize);
    /// The innermost open container ends.
    fn leave(&mut self, at: usize);
}

impl Walk for () {
    fn begin(&mut self, _name: Range<usize>, _at: usize) {}
    fn enter(&mut self) {}
    fn end(&mut self, _at: usize) {}
    fn leave(&mut self, _at: usize) {}
}

/// Where a value ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Here.
    At(usize),
    /// It is deeper than is followed.
    Deeper,
}

/// A JSON text that values are found in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syntax<'a> {
    json: &'a [u8],
    /// Whether control characters stand anywhere: JSON has them between values only, and compact JSON nowhere.
    has_controls: bool,
}

impl<'a> Syntax<'a> {
    pub(super) fn of(json: &'a [u8]) -> Self {
        // All of it without leaving early, so that the compiler looks at many at a time.
        Self { json, has_controls: json.iter().fold(false, |has, byte| has | (*byte < b' ')) }
    }

    /// The first byte from `at` on that is no white space, and its place.
    pub(super) fn next(&self, mut at: usize) -> Option<(u8, usize)> {
        loop {
            match *self.json.get(at)? {
                b' ' | b'\n' | b'\r' | b'\t' => at += 1,
                byte => return Some((byte, at)),
            }
        }
    }

    /// Where a string ends, behind its closing quote, given the place of its opening one.
    pub(super) fn string_end(&self, at: usize) -> Option<usize> {
        let inner = self.json.get(at + 1..)?;
        let length = string_length(inner)?;
        let is_clean = || inner.get(..length).is_some_and(|text| text.iter().all(|byte| *byte >= b' '));
        (!self.has_controls || is_clean()).then_some(at + length + 2)
    }

    /// Where the value of a key begins, given the place where the key's string ends.
    pub(super) fn after_key(&self, at: usize) -> Option<usize> {
        match self.next(at)? {
            (b':', at) => Some(self.next(at + 1)?.1),
            _ => None,
        }
    }

    /// Where a value ends, given the place of its first byte. `None` if that is no JSON.
    pub(super) fn value_end(&self, begins: usize) -> Option<usize> {
        match self.walk(begins, &mut ())? {
            End::At(end) => Some(end),
            End::Deeper => self.deep_end(begins),
        }
    }

    /// Walks over a value and all that is inside it, and tells `walk` of each value. `None` if it is no JSON.
    pub(super) fn walk(&self, begins: usize, walk: &mut impl Walk) -> Option<End> {
        // One bit for each container that is open, the innermost lowest: whether it is an object.
        let (mut at, mut name, mut open, mut depth) = (begins, 0..0, 0_u64, 0_u32);
        loop {
            let byte = *self.json.get(at)?;
            walk.begin(name.clone(), at);
            at = match byte {
                b'"' => self.string_end(at)?,
                b'{' | b'[' => {
                    let is_object = byte == b'{';
                    let (first, place) = self.next(at + 1)?;
                    if first != byte + 2 {
                        if depth == DEPTH_MAX {
                            return Some(End::Deeper);
                        }
                        walk.enter();
                        (open, depth) = (open << 1 | u64::from(is_object), depth + 1);
                        (name, at) = self.item(is_object, first, place)?;
                        continue;
                    }
                    place + 1
                }
                _ => at + scalar_length(self.json.get(at..)?)?,
            };
            walk.end(at);
            // Behind a value: close what ends here, or go to the next one.
            loop {
                if depth == 0 {
                    return Some(End::At(at));
                }
                let (byte, place) = self.next(at)?;
                let is_object = open & 1 == 1;
                match (byte, is_object) {
                    (b',', _) => {
                        let (first, place) = self.next(place + 1)?;
                        (name, at) = self.item(is_object, first, place)?;
                        break;
                    }
                    (b'}', true) | (b']', false) => (at, open, depth) = (place + 1, open >> 1, depth - 1),
                    _ => return None,
                }
                walk.leave(at);
            }
        }
    }

    /// Where the next item of a container has its name and where it begins, given its first byte.
    fn item(&self, is_object: bool, first: u8, at: usize) -> Option<(Range<usize>, usize)> {
        if !is_object {
            return Some((0..0, at));
        }
        let end = Some(at).filter(|_| first == b'"').and_then(|at| self.string_end(at))?;
        Some((at + 1..end - 1, self.after_key(end)?))
    }

    fn deep_end(&self, begins: usize) -> Option<usize> {
        let mut values = serde_json::Deserializer::from_slice(self.json.get(begins..)?).into_iter();
        let _value: serde::de::IgnoredAny = values.next()?.ok()?;
        Some(begins + values.byte_offset())
    }
}

/// The length of a number or a word.
fn scalar_length(json: &[u8]) -> Option<usize> {
    for word in [&b"null"[..], b"true", b"false"] {
        if json.starts_with(word) {
            return Some(word.len());
        }
    }
    let length = json.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
    // Its digits are looked at only where it is asked for.
    matches!(json.first(), Some(b'0'..=b'9' | b'-')).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Option<usize> {
        Syntax::of(text.as_bytes()).value_end(0)
    }

    #[test]
    fn a_value_ends_where_it_ends() {
        for text in [
            "1",
            "-1.5e+9",
            "null",
            "true",
            "false",
            r#""a\"b\\""#,
            "{}",
            "[ ]",
            r#"{ "a" : [1, {"b":"}"}, []], "c":{}}"#,
            "[[\n],\t{\"a\"\r:1}]",
        ] {
            for rest in ["", ",1", "}", "]", " x"] {
                assert_eq!(end(&format!("{text}{rest}")), Some(text.len()), "{text}{rest}");
            }
        }
    }

    #[test]
    fn what_is_no_json_has_no_end() {
        for text in [
            "",
            "x",
            "nul",
            "+1",
            "{",
            "[",
            "\"",
            "\"a\\\"",
            "{]",
            "[}",
            "[1}",
            "{\"a\":1]",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{1:1}",
            "[1 2]",
            "[,1]",
            "{\"a\" 1}",
            "\"a\nb\"",
            "{\"a\n\":1}",
            "[\"\u{1}\"]",
        ] {
            assert_eq!(end(text), None, "{text}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let (open, close) = ("[{\"a\":".repeat(100_000), "}]".repeat(100_000));
        let text = format!("{open}1{close}");
        assert_eq!(end(&format!("{text},")), Some(text.len()));
        assert_eq!(end(&open), None);
        let (open, close) = ("[".repeat(64), "]".repeat(64));
        assert_eq!((end(&format!("{open}1{close}")), end(&format!("[{open}1{close}]"))), (Some(129), Some(131)));
    }
}
