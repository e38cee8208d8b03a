//! A lenient view of a JSON object: its members as raw text, decoded one by one and only when asked for.
//!
//! Providers change and mistype fields; one odd field must never cost us the others (W4, W26). So nothing here is a
//! derived struct: a member of the wrong type reads as absent, a repeated key as its last value, `null` as absent.

use std::borrow::Cow;

use memchr::memchr;
use serde::de::{Error, IgnoredAny};

use super::syntax::Syntax;
use super::tree::Inside;

/// A value as it is spelt, without white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    text: &'a str,
    /// What is inside it, where that has been found already.
    inside: Option<Inside<'a>>,
}

impl<'a> Raw<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, inside: None }
    }

    pub(super) fn within(text: &'a str, inside: Inside<'a>) -> Self {
        Self { text, inside: Some(inside) }
    }

    /// Its text.
    pub(super) fn get(self) -> &'a str {
        self.text
    }

    /// The object that it is.
    pub(super) fn object(self) -> Option<Object<'a>> {
        if !self.text.starts_with('{') {
            return None;
        }
        self.inside.map_or_else(|| Object::parse(self.text).ok(), |inside| Some(Object(Found::Before(inside))))
    }
}

/// A member of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    /// Its name as it is spelt between its quotes.
    pub(super) name: &'a str,
    pub(super) value: Raw<'a>,
}

/// The members of a JSON object, in order, borrowed from its text.
#[derive(Debug, Default)]
pub(super) struct Object<'a>(Found<'a>);

#[derive(Debug)]
enum Found<'a> {
    /// In a walk over this object alone.
    Here(Vec<Member<'a>>),
    /// In a walk over a text that it is part of.
    Before(Inside<'a>),
}

impl Default for Found<'_> {
    fn default() -> Self {
        Self::Here(Vec::new())
    }
}

impl<'a> Object<'a> {
    /// Reads the top level of a JSON object; white space around it is allowed.
    pub(super) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        members(text).map(|members| Self(Found::Here(members))).ok_or_else(|| why_not(text))
    }

    /// The same for bytes, which must be UTF-8.
    pub(super) fn parse_bytes(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| serde_json::Error::custom("it is not UTF-8"))?)
    }

    /// All members, in order of appearance.
    pub(super) fn members<'s>(&'s self) -> impl Iterator<Item = Member<'a>> + use<'s, 'a> {
        let (here, before) = match &self.0 {
            Found::Here(members) => (members.as_slice(), None),
            Found::Before(inside) => (&[][..], Some(*inside)),
        };
        here.iter().copied().chain(before.into_iter().flat_map(Inside::members))
    }

    /// Every value of a key, in order of appearance, `null` included.
    pub(super) fn all<'s>(&'s self, key: &'s str) -> impl Iterator<Item = Raw<'a>> + 's {
        self.members().filter(move |member| is_key(member.name.as_bytes(), key)).map(|member| member.value)
    }

    /// The last value of a key, `null` included.
    pub(super) fn last(&self, key: &str) -> Option<Raw<'a>> {
        let member = match &self.0 {
            Found::Here(members) => members.iter().rfind(|member| is_key(member.name.as_bytes(), key)).copied(),
            Found::Before(inside) => return inside.last(|name| is_key(name, key)),
        };
        member.map(|member| member.value)
    }

    /// The value of a key; the last one counts, and `null` is none.
    pub(super) fn get(&self, key: &str) -> Option<Raw<'a>> {
        self.last(key).filter(|value| value.get() != "null")
    }

    /// A string's value.
    pub(super) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        text(self.get(key)?)
    }

    /// A count: an integer that is not negative, however it is spelt.
    pub(super) fn count(&self, key: &str) -> Option<u64> {
        count(self.get(key)?)
    }

    /// A boolean.
    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        match self.get(key)?.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// An object.
    pub(super) fn object(&self, key: &str) -> Option<Object<'a>> {
        self.get(key)?.object()
    }

    /// The elements of an array; empty when there is no array.
    pub(super) fn array(&self, key: &str) -> Vec<Raw<'a>> {
        self.get(key).map(elements).unwrap_or_default()
    }

    /// Whether there is no member at all.
    pub(super) fn is_empty(&self) -> bool {
        self.members().next().is_none()
    }
}

/// The members of the object that a text is.
fn members(text: &str) -> Option<Vec<Member<'_>>> {
    items(text, *b"{}", |syntax, at| {
        if syntax.next(at)? != (b'"', at) {
            return None;
        }
        let name_end = syntax.string_end(at)?;
        let value = syntax.after_key(name_end)?;
        let end = syntax.value_end(value)?;
        Some((Member { name: text.get(at + 1..name_end - 1)?, value: Raw::new(text.get(value..end)?) }, end))
    })
}

/// What stands between a text's brackets: each item, of which `read` is given the place and tells the end.
fn items<T>(
    text: &str,
    [open, close]: [u8; 2],
    read: impl Fn(&Syntax<'_>, usize) -> Option<(T, usize)>,
) -> Option<Vec<T>> {
    let syntax = Syntax::of(text.as_bytes());
    let (_, begins) = syntax.next(0).filter(|(first, _)| *first == open)?;
    let (first, mut at) = syntax.next(begins + 1)?;
    let mut items = Vec::new();
    if first != close {
        items.reserve(8);
        loop {
            let (item, end) = read(&syntax, at)?;
            items.push(item);
            let (byte, place) = syntax.next(end)?;
            match byte {
                b',' => at = syntax.next(place + 1)?.1,
                byte if byte == close => {
                    at = place;
                    break;
                }
                _ => return None,
            }
        }
    }
    syntax.next(at + 1).is_none().then_some(items)
}

/// Why a text is no object.
fn why_not(text: &str) -> serde_json::Error {
    if text.trim_ascii_start().starts_with(['"', '[']) {
        // Of a long string serde_json would make an error message that quotes all of it.
        return serde_json::Error::custom("invalid type, expected a JSON object");
    }
    let error = serde_json::from_str::<IgnoredAny>(text).err();
    error.unwrap_or_else(|| serde_json::Error::custom("invalid type, expected a JSON object"))
}

/// Bytes as text. What is not UTF-8 is replaced, which the standard library's own function for it looks for byte by byte.
pub(super) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The elements of an array; empty when the value is none.
pub(super) fn elements(value: Raw<'_>) -> Vec<Raw<'_>> {
    match value.inside {
        Some(inside) if value.text.starts_with('[') => inside.members().map(|member| member.value).collect(),
        Some(_) => Vec::new(),
        None => array(value.get()).unwrap_or_default(),
    }
}

/// The elements of the array that a text is; `None` when it is none. White space around it is allowed.
pub(super) fn array(text: &str) -> Option<Vec<Raw<'_>>> {
    items(text, *b"[]", |syntax, at| {
        let end = syntax.value_end(at)?;
        Some((Raw::new(text.get(at..end)?), end))
    })
}

/// A string as it is spelt between its quotes; empty if the value is none.
pub(super) fn spelt(value: Raw<'_>) -> &[u8] {
    let text = value.get();
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().as_bytes()
}

/// A string's value. Lone surrogates, which JSON allows and UTF-8 does not, become U+FFFD.
pub(super) fn text(value: Raw<'_>) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) => Some(Cow::Owned(text)),
        Err(_) => {
            let bytes: wtf8::Text = serde_json::from_str(value.get()).ok()?;
            Some(Cow::Owned(String::from_utf8_lossy(&bytes.0).into_owned()))
        }
    }
}

/// A count: an integer that is not negative, however it is spelt (`12`, `12.0`, `1.2e1`).
pub(super) fn count(value: Raw<'_>) -> Option<u64> {
    if let Ok(count) = value.get().parse::<u64>() {
        return Some(count);
    }
    let number: f64 = Some(value.get()).filter(|text| !text.starts_with('"'))?.parse().ok()?;
    // 2^53: beyond it a float no longer names one integer.
    (number >= 0.0 && number.fract() == 0.0 && number < 9_007_199_254_740_992.0).then_some(number as u64)
}

fn is_key(name: &[u8], key: &str) -> bool {
    // A name with escapes is longer than what it stands for, and begins with an escape or as that does.
    let may_be = || name.len() > key.len() && (name.first() == Some(&b'\\') || name.first() == key.as_bytes().first());
    name == key.as_bytes() || (may_be() && memchr(b'\\', name).is_some() && unescaped(name, key))
}

#[cold]
fn unescaped(name: &[u8], key: &str) -> bool {
    let quoted = format!("\"{}\"", lossy(name));
    text(Raw::new(&quoted)).is_some_and(|name| name == key)
}

/// JSON strings as bytes: serde_json lets lone surrogates through to those who ask for bytes.
mod wtf8 {
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, Error, Visitor};

    pub(super) struct Text(pub(super) Vec<u8>);

    impl<'de> Deserialize<'de> for Text {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_bytes(TextVisitor)
        }
    }

    struct TextVisitor;

    impl Visitor<'_> for TextVisitor {
        type Value = Text;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
            Ok(Text(bytes.to_vec()))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
            Ok(Text(text.as_bytes().to_vec()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn reads_what_is_there_and_leaves_what_is_odd() {
        let text = r#" {"a":1,"a":2.0,"\u0062":"x\n","n":null,"neg":-1,"s":"\ud83d!","o":{"k":true},"l":[1,"z"]} "#;
        let object = Object::parse(text).unwrap();
        assert_eq!(object.count("a"), Some(2));
        assert_eq!(object.text("b").unwrap(), "x\n");
        for name in ["bell", r"\u0062ell", r"be\u006cl", r"b\u0065l\u006c"] {
            let (text, other) = (format!("{{\"{name}\":1}}"), format!("{{\"{name}s\":1}}"));
            assert_eq!(Object::parse(&text).unwrap().count("bell"), Some(1), "{name}");
            assert!(Object::parse(&other).unwrap().get("bell").is_none());
            assert_eq!(Tree::of(&text).object(&text).unwrap().count("bell"), Some(1), "{name}");
        }
        assert!(object.get("n").is_none() && object.count("neg").is_none() && object.text("a").is_none());
        assert!(object.text("s").unwrap().ends_with('!'));
        assert_eq!(object.object("o").unwrap().boolean("k"), Some(true));
        assert_eq!(object.array("l").len(), 2);
        assert!(Object::parse("[1]").is_err() && Object::parse("{} x").is_err() && Object::parse("{\"a\":").is_err());
        assert!(Object::parse_bytes(b"{\"a\":\"\xff\"}").is_err());
    }
}
