//! All values of a JSON text, found in one walk over it.
//!
//! An answer is looked into at four depths and more. Read object by object, its text, which is most of it, would be
//! crossed once for each of them. What clients send is never read so: it may be made of a million brackets.

use std::ops::Range;

use super::json::{Member, Object, Raw};
use super::syntax::{End, Syntax, Walk};

/// Longer texts are read object by object.
const BYTES_MAX: usize = 64 << 10;

/// A value: where it stands, its name if it is a member, and what is inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    name: Range<u32>,
    value: Range<u32>,
    /// How many of the nodes behind this one are inside it.
    inside: u32,
}

/// The values of a text, each before those that are inside it.
#[derive(Debug, Default)]
pub(super) struct Tree(Vec<Node>);

/// The values inside a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inside<'a> {
    text: &'a str,
    nodes: &'a [Node],
}

impl Tree {
    /// What is inside a text. Nothing is known of one that is no JSON, too long or too deep.
    pub(super) fn of(text: &str) -> Self {
        let walk = || {
            let syntax = Syntax::of(text.as_bytes());
            let mut walked = Walked::default();
            let End::At(end) = syntax.walk(syntax.next(0)?.1, &mut walked)? else { return None };
            syntax.next(end).is_none().then_some(walked.nodes)
        };
        Self(if text.len() > BYTES_MAX { None } else { walk() }.unwrap_or_default())
    }

    /// The text as an object, given the text that it was made of.
    pub(super) fn object<'a>(&'a self, text: &'a str) -> Result<Object<'a>, serde_json::Error> {
        match Raw::first(Inside { text, nodes: &self.0 }).and_then(|(_, raw, _)| raw.object()) {
            Some(object) => Ok(object),
            None => Object::parse(text),
        }
    }
}

impl<'a> Inside<'a> {
    /// The members of an object, in order; of an array its elements, without names.
    pub(super) fn members(mut self) -> impl Iterator<Item = Member<'a>> {
        std::iter::from_fn(move || {
            let (name, value, rest) = Raw::first(self)?;
            self = rest;
            Some(Member { name, value })
        })
    }

    /// The last value whose name is one.
    pub(super) fn last(self, is_name: impl Fn(&[u8]) -> bool) -> Option<Raw<'a>> {
        let (bytes, mut rest, mut last) = (self.text.as_bytes(), self.nodes, None);
        while let Some((node, behind)) = rest.split_first() {
            let (nodes, after) = behind.split_at_checked(node.inside as usize)?;
            if bytes.get(node.name.start as usize..node.name.end as usize).is_some_and(&is_name) {
                last = Some((node, nodes));
            }
            rest = after;
        }
        last.map(|(node, nodes)| Raw::within(self.text(&node.value), Inside { nodes, ..self }))
    }

    fn text(&self, place: &Range<u32>) -> &'a str {
        self.text.get(place.start as usize..place.end as usize).unwrap_or_default()
    }
}

impl<'a> Raw<'a> {
    /// The first of several values, its name, and the others.
    fn first(values: Inside<'a>) -> Option<(&'a str, Self, Inside<'a>)> {
        let (node, behind) = values.nodes.split_first()?;
        let (inside, rest) = behind.split_at_checked(node.inside as usize)?;
        let value = Self::within(values.text(&node.value), Inside { nodes: inside, ..values });
        Some((values.text(&node.name), value, Inside { nodes: rest, ..values }))
    }
}

/// Writes down what a walk over a text meets.
#[derive(Default)]
struct Walked {
    nodes: Vec<Node>,
    /// The containers that are open, each as its place among the nodes.
    open: Vec<usize>,
}

impl Walk for Walked {
    fn begin(&mut self, name: Range<usize>, at: usize) {
        if self.nodes.is_empty() {
            self.nodes.reserve(64);
            self.open.reserve(8);
        }
        self.nodes.push(Node { name: name.start as u32..name.end as u32, value: at as u32..at as u32, inside: 0 });
    }

    fn enter(&mut self) {
        self.open.push(self.nodes.len() - 1);
    }

    fn end(&mut self, at: usize) {
        if let Some(node) = self.nodes.last_mut() {
            node.value.end = at as u32;
        }
    }

    fn leave(&mut self, at: usize) {
        let count = self.nodes.len();
        if let Some(place) = self.open.pop()
            && let Some(node) = self.nodes.get_mut(place)
        {
            node.value.end = at as u32;
            node.inside = (count - place - 1) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::{json, properties};
    use super::*;

    /// A value as it is found by its parts.
    fn built(raw: Raw<'_>) -> Value {
        let key = |name: &str| serde_json::from_str::<String>(&format!("\"{name}\"")).unwrap();
        match raw.get().as_bytes()[0] {
            b'{' => raw.object().unwrap().members().map(|member| (key(member.name), built(member.value))).collect(),
            b'[' => json::elements(raw).into_iter().map(built).collect(),
            _ => serde_json::from_str(raw.get()).unwrap(),
        }
    }

    fn found(text: &str) -> Option<Value> {
        Raw::first(Inside { text, nodes: &Tree::of(text).0 }).map(|(_, raw, _)| built(raw))
    }

    proptest! {
        #[test]
        fn finds_what_serde_json_finds(value in properties::values(), is_pretty in any::<bool>(), cut in any::<prop::sample::Index>()) {
            let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let read = |text: &str| serde_json::from_str::<Value>(text).ok();
            prop_assert_eq!(found(&text), read(&text));
            if let Some(part) = text.get(..cut.index(text.len())).filter(|_| !value.is_number()) {
                prop_assert_eq!(found(part), None);
            }
        }
    }

    #[test]
    fn what_is_not_walked_over_is_read_object_by_object() {
        let long = format!("{{\"a\":[1],\"b\":\"{}\"}}", "x".repeat(BYTES_MAX));
        let deep = format!("{{\"a\":[1],\"b\":{}{}}}", "[".repeat(100), "]".repeat(100));
        for text in [long, deep] {
            let tree = Tree::of(&text);
            assert!(tree.0.is_empty());
            assert_eq!(tree.object(&text).unwrap().array("a").len(), 1);
        }
        for text in ["", "[]", "{", "{} x", "{\"a\":}", "nul", "\"{}\""] {
            assert!(Tree::of(text).object(text).is_err(), "{text}");
        }
    }
}
