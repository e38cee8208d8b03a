//! A JSON object inside a text: its members, and where in the text they stand.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Bytes of a text, and what stands there instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) place: Range<usize>,
    pub(super) with: &'static str,
}

/// An object's members, in order.
#[derive(Debug)]
pub(super) struct Object<'a> {
    text: &'a str,
    members: Vec<Member<'a>>,
}

/// A member of an object.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// As spelt, without its quotes.
    pub(super) key: &'a str,
    /// As spelt.
    value: &'a str,
    /// From the key's first byte to the value's last.
    place: Range<usize>,
}

impl<'a> Object<'a> {
    /// Reads an object. `json` is a part of `text`, in which places are given.
    pub(super) fn parse(text: &'a str, json: &'a str) -> Option<Self> {
        let RawMembers(raw) = serde_json::from_str(json).ok()?;
        let member = |(key, value): (&'a RawValue, &'a RawValue)| {
            let (key, value) = (key.get(), value.get());
            let place = offset(text, key)?..offset(text, value)? + value.len();
            Some(Member { key: unquoted(key)?, value, place })
        };
        Some(Self { text, members: raw.into_iter().map(member).collect::<Option<_>>()? })
    }

    /// The one member of that name; `None` where there are several, of which readers may take different ones.
    fn member(&self, key: &str) -> Option<&Member<'a>> {
        let mut named = self.members.iter().filter(|member| member.key == key);
        named.next().filter(|_| named.next().is_none())
    }

    /// A member that is an object.
    pub(super) fn object(&self, key: &str) -> Option<Self> {
        Self::parse(self.text, self.member(key)?.value)
    }

    /// The one element of an array, if that is an object.
    pub(super) fn only_element(&self, key: &str) -> Option<Self> {
        let elements: Vec<&'a RawValue> = serde_json::from_str(self.member(key)?.value).ok()?;
        let [element] = elements.as_slice() else { return None };
        Self::parse(self.text, element.get())
    }

    /// Where a string's text stands, between its quotes.
    pub(super) fn string(&self, key: &str) -> Option<Range<usize>> {
        let member = self.member(key)?;
        let inner = unquoted(member.value)?;
        Some(member.place.end - 1 - inner.len()..member.place.end - 1)
    }

    /// Whether a member is this very string.
    pub(super) fn is(&self, key: &str, text: &str) -> bool {
        self.member(key).and_then(|member| unquoted(member.value)) == Some(text)
    }

    /// The members whose names are none of these.
    pub(super) fn others(&self, known: &'static [&'static str]) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter().filter(move |member| !known.contains(&member.key))
    }

    /// Puts `null` in the place of members.
    pub(super) fn nullify(&self, keys: &[&str], edits: &mut Vec<Edit>) {
        let named = self.members.iter().filter(|member| keys.contains(&member.key) && !member.is_void());
        edits.extend(
            named.map(|member| Edit { place: member.place.end - member.value.len()..member.place.end, with: "null" }),
        );
    }

    /// Takes members out, each with one comma.
    pub(super) fn remove(&self, is_removed: impl Fn(&Member<'a>) -> bool, edits: &mut Vec<Edit>) {
        let mut kept_to = None;
        let mut removed_from = None;
        let mut cut = |place| edits.push(Edit { place, with: "" });
        for member in &self.members {
            if is_removed(member) {
                removed_from.get_or_insert(member.place.start);
                continue;
            }
            if let Some(from) = removed_from.take() {
                cut(from..member.place.start);
            }
            kept_to = Some(member.place.end);
        }
        if let (Some(from), Some(last)) = (removed_from, self.members.last()) {
            cut(kept_to.unwrap_or(from)..last.place.end);
        }
    }
}

impl Member<'_> {
    /// Whether the value says nothing, so that it can be said twice.
    pub(super) fn is_void(&self) -> bool {
        matches!(self.value, "null" | "false" | "\"\"" | "[]" | "{}")
    }

    /// Whether the value is neither an object nor an array with something in it.
    pub(super) fn is_plain(&self) -> bool {
        self.is_void() || !self.value.starts_with(['{', '['])
    }
}

fn unquoted(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> Option<usize> {
    let offset = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    (text.get(offset..offset + part.len()) == Some(part)).then_some(offset)
}

/// Keys and values as spelt.
struct RawMembers<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawMembersVisitor).map(Self)
    }
}

struct RawMembersVisitor;

impl<'de> Visitor<'de> for RawMembersVisitor {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#" {"a" : "x\"y", "o":{"b":[ {"c":"" } ]} ,"a2":[], "n":12 } "#;

    #[test]
    fn members_are_where_they_stand() {
        let object = Object::parse(TEXT, TEXT).unwrap();
        assert_eq!(&TEXT[object.string("a").unwrap()], "x\\\"y");
        assert_eq!(object.string("n"), None);
        let inner = object.object("o").unwrap().only_element("b").unwrap();
        assert_eq!(inner.string("c").unwrap(), TEXT.find("\"\"").unwrap() + 1..TEXT.find("\"\"").unwrap() + 1);
        let plain: Vec<&str> = object.others(&["n"]).filter(|m| m.is_plain()).map(|m| m.key).collect();
        assert_eq!(plain, ["a", "a2"]);
        assert!(inner.is("c", "") && !object.is("n", "12"));
        for broken in ["[1]", "{", "{} x", "{\"a\":\"\\x\"}", "{\"a\":\"\n\"}"] {
            assert!(Object::parse(broken, broken).is_none(), "{broken}");
        }
        let twice = r#"{"a":"1","a":"2"}"#;
        assert_eq!(Object::parse(twice, twice).unwrap().string("a"), None);
    }

    #[test]
    fn what_is_left_is_an_object() {
        let text = r#"{"a":1, "b":{} ,"c":[2],"d":null}"#;
        let object = Object::parse(text, text).unwrap();
        for removed in 0..16 {
            let is_removed = |key: &str| removed >> (key.as_bytes()[0] - b'a') & 1 == 1;
            let mut edits = Vec::new();
            object.remove(|member| is_removed(member.key), &mut edits);
            let mut left = text.to_owned();
            for edit in edits.iter().rev() {
                left.replace_range(edit.place.clone(), edit.with);
            }
            let mut expected: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
            expected.retain(|key, _| !is_removed(key));
            let actual: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&left).unwrap();
            assert_eq!(actual, expected, "{left}");
        }
    }
}
