//! A lenient view of a JSON object: its members as raw text, decoded one by one and only when asked for.
//!
//! Providers change and mistype fields; one odd field must never cost us the others (W4, W26). So nothing here is a
//! derived struct: a member of the wrong type reads as absent, a repeated key as its last value, `null` as absent.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a JSON object, in order, borrowed from its text.
#[derive(Debug, Default)]
pub(super) struct Object<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Reads the top level of a JSON object; white space around it is allowed.
    pub(super) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        // Of a long string serde_json would make an error message that quotes all of it.
        if text.starts_with('"') {
            return Err(serde_json::Error::custom("invalid type: string, expected a JSON object"));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let object = reader.deserialize_map(ObjectVisitor)?;
        reader.end()?;
        Ok(object)
    }

    /// The same for bytes, which must be UTF-8.
    pub(super) fn parse_bytes(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| serde_json::Error::custom("it is not UTF-8"))?)
    }

    /// Every value of a key, in order of appearance, `null` included.
    pub(super) fn all<'s>(&'s self, key: &'s str) -> impl DoubleEndedIterator<Item = &'a RawValue> + 's {
        self.0.iter().filter(move |(name, _)| is_key(name, key)).map(|(_, value)| *value)
    }

    /// The value of a key; the last one counts, and `null` is none.
    pub(super) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.all(key).next_back().filter(|value| value.get() != "null")
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
        Some(self.get(key)?.get()).filter(|text| text.starts_with('{')).and_then(|text| Self::parse(text).ok())
    }

    /// The elements of an array; empty when there is no array.
    pub(super) fn array(&self, key: &str) -> Vec<&'a RawValue> {
        self.get(key).map(elements).unwrap_or_default()
    }

    /// Whether there is no member at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Bytes as text. What is not UTF-8 is replaced, which the standard library's own function for it looks for byte by byte.
pub(super) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The elements of an array; empty when the value is none.
pub(super) fn elements(value: &RawValue) -> Vec<&RawValue> {
    // Only then: of a long string serde_json would make an error message that quotes all of it.
    if !value.get().starts_with('[') {
        return Vec::new();
    }
    serde_json::from_str(value.get()).unwrap_or_default()
}

/// A string as it is spelt between its quotes; empty if the value is none.
pub(super) fn spelt(value: &RawValue) -> &[u8] {
    let text = value.get();
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().as_bytes()
}

/// A string's value. Lone surrogates, which JSON allows and UTF-8 does not, become U+FFFD.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
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
pub(super) fn count(value: &RawValue) -> Option<u64> {
    if let Ok(count) = value.get().parse::<u64>() {
        return Some(count);
    }
    let number: f64 = Some(value.get()).filter(|text| !text.starts_with('"'))?.parse().ok()?;
    // 2^53: beyond it a float no longer names one integer.
    (number >= 0.0 && number.fract() == 0.0 && number < 9_007_199_254_740_992.0).then_some(number as u64)
}

fn is_key(name: &RawValue, key: &str) -> bool {
    let spelt = spelt(name);
    // A name with escapes is longer than what it stands for.
    spelt == key.as_bytes()
        || (spelt.len() > key.len() && spelt.contains(&b'\\') && text(name).is_some_and(|name| name == key))
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some(member) = map.next_entry::<&RawValue, &RawValue>()? {
            members.push(member);
        }
        Ok(Object(members))
    }
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
    use super::*;

    #[test]
    fn reads_what_is_there_and_leaves_what_is_odd() {
        let text = r#" {"a":1,"a":2.0,"\u0062":"x\n","n":null,"neg":-1,"s":"\ud83d!","o":{"k":true},"l":[1,"z"]} "#;
        let object = Object::parse(text).unwrap();
        assert_eq!(object.count("a"), Some(2));
        assert_eq!(object.text("b").unwrap(), "x\n");
        assert!(object.get("n").is_none() && object.count("neg").is_none() && object.text("a").is_none());
        assert!(object.text("s").unwrap().ends_with('!'));
        assert_eq!(object.object("o").unwrap().boolean("k"), Some(true));
        assert_eq!(object.array("l").len(), 2);
        assert!(Object::parse("[1]").is_err() && Object::parse("{} x").is_err() && Object::parse("{\"a\":").is_err());
        assert!(Object::parse_bytes(b"{\"a\":\"\xff\"}").is_err());
    }
}
