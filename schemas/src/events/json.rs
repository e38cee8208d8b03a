//! Writes events as JSON.
//!
//! A gateway writes three events for every request, of some sixty fields together. serde_json looks at every byte of every
//! key and value for what must be escaped; here keys, which are Rust's names, are taken as they are, and text is looked at
//! eight bytes at a time. What is written is what serde_json would write.

use serde::Serialize;
use serde::ser::{Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use serde_json::Error;

/// Appends a value as JSON.
///
/// # Errors
/// If it holds what no event holds: bytes, tuples, enums with fields.
pub(super) fn write(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) -> Result<(), Error> {
    value.serialize(Writer(out))
}

/// Appends a string, quoted.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    if plain_length(rest) == rest.len() {
        out.extend_from_slice(rest);
        return out.push(b'"');
    }
    loop {
        let (plain, special) = rest.split_at(plain_length(rest));
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else { break };
        escape(*byte, out);
        rest = after;
    }
    out.push(b'"');
}

/// How many bytes from the first on need no escape: all but control characters, `"` and `\`.
fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The top bit of each byte that is zero; of bytes above a zero one too, which costs a closer look and nothing else.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let is_special = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        controls | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\'))) != 0
    };
    let mut at = 0;
    for word in text.as_chunks::<8>().0 {
        if is_special(word) {
            break;
        }
        at += 8;
    }
    // What is left of it, with some of what has been looked at.
    if at + 8 > text.len() && text.last_chunk().is_some_and(|word| !is_special(word)) {
        return text.len();
    }
    let is_plain = |byte: &&u8| **byte >= b' ' && **byte != b'"' && **byte != b'\\';
    at + text.get(at..).unwrap_or_default().iter().take_while(is_plain).count()
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        _ => {
            let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xF)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends a count.
fn write_count(mut count: u64, out: &mut Vec<u8>) {
    let mut text = [0; 20];
    let mut at = text.len();
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (count % 10) as u8;
        count /= 10;
        at -= 1;
        if count == 0 {
            break;
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
}

/// Where a value goes.
struct Writer<'a>(&'a mut Vec<u8>);

/// An object or an array that is being written.
struct Open<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
    close: u8,
}

impl<'a> Open<'a> {
    fn new(out: &'a mut Vec<u8>, brackets: [u8; 2]) -> Self {
        let [open, close] = brackets;
        out.push(open);
        Self { out, is_empty: true, close }
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
    }

    fn close(self) {
        self.out.push(self.close);
    }
}

fn unknown_shape<T>() -> Result<T, Error> {
    Err(Error::custom("an event holds a value of a shape that events do not have"))
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Open<'a>;
    type SerializeStruct = Open<'a>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        serde_json::to_writer(self.0, &value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        write_count(value, self.0);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        serde_json::to_writer(self.0, &value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        serde_json::to_writer(self.0, &value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        write_text(value, self.0);
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        unknown_shape()
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        unknown_shape()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a>, Error> {
        Ok(Open::new(self.0, *b"[]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        unknown_shape()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        unknown_shape()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        unknown_shape()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a>, Error> {
        Ok(Open::new(self.0, *b"{}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Error> {
        Ok(Open::new(self.0, *b"{}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        unknown_shape()
    }

    fn is_human_readable(&self) -> bool {
        true
    }
}

impl SerializeSeq for Open<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.separate();
        value.serialize(Writer(self.out))
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeMap for Open<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.separate();
        let begins = self.out.len();
        key.serialize(Writer(self.out))?;
        if self.out.get(begins) == Some(&b'"') { Ok(()) } else { Err(Error::custom("a key of an event is no text")) }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.out.push(b':');
        value.serialize(Writer(self.out))
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeStruct for Open<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.out.extend_from_slice(if std::mem::take(&mut self.is_empty) { b"\"" } else { b",\"" });
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        value.serialize(Writer(self.out))
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Serialize)]
    struct All {
        text: String,
        map: BTreeMap<String, Option<u64>>,
        list: Vec<i64>,
        small: (),
        #[serde(skip_serializing_if = "Option::is_none")]
        inner: Option<Box<All>>,
        number: f64,
        character: char,
        is: bool,
    }

    fn all() -> impl Strategy<Value = All> {
        let parts = (
            // Often with what is escaped.
            prop_oneof![".*", "[ -~\u{0}-\u{1f}\u{7f}\u{80}\u{e9}\u{2028}\"\\\\]{0,40}"],
            prop::collection::btree_map(".*", any::<Option<u64>>(), 0..4),
            prop::collection::vec(any::<i64>(), 0..4),
            any::<f64>(),
            any::<char>(),
            any::<bool>(),
        );
        let leaf = parts.prop_map(|(text, map, list, number, character, is)| All {
            text,
            map,
            list,
            small: (),
            inner: None,
            number,
            character,
            is,
        });
        let boxed = leaf.boxed();
        (boxed.clone(), prop::option::of(boxed)).prop_map(|(outer, inner)| All { inner: inner.map(Box::new), ..outer })
    }

    proptest! {
        #[test]
        fn is_what_serde_json_writes(value in all()) {
            let mut out = Vec::new();
            write(&value, &mut out).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&value).unwrap());
        }
    }

    #[test]
    fn every_byte_is_escaped_at_every_place() {
        for byte in 0..128_u8 {
            for place in 0..20 {
                let text =
                    format!("{}{}\u{e9}{}", "x".repeat(place), char::from(byte), "\u{1f600}\u{ff}".repeat(place % 3));
                let mut out = Vec::new();
                write_text(&text, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
            }
        }
        for count in [0, 9, 10, 99, 12_345, u64::MAX] {
            let mut out = Vec::new();
            write_count(count, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), count.to_string());
        }
    }

    #[test]
    fn what_events_do_not_hold_is_an_error() {
        assert!(write(&(1, 2), &mut Vec::new()).is_err());
        assert!(write(&BTreeMap::from([(1, 2)]), &mut Vec::new()).is_err());
    }
}
