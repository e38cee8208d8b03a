//! Reads a body that was cut off its head.
//!
//! What is read by the rules names no field twice. Between a head and a body that are read apart only this can see to it:
//! a body in which a field of the head stands again is refused here, and the rules say why.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Unexpected, Visitor,
};

/// The fields of [`super::Head`]; a test compares.
const HEAD: [&str; 9] = ["v", "kind", "phase", "epoch", "partition", "seq", "at", "request_id", "gateway"];

/// Reads an object that has no field of a head.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let body = T::deserialize(Body(&mut json))?;
    json.end()?;
    Ok(body)
}

/// Each part hands on to the one inside of it; only a key is looked at.
struct Body<T>(T);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Body<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Body(visitor))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        Err(D::Error::invalid_type(Unexpected::Other("a body"), &visitor))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Body<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Body(map))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Body<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(Key(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

struct Key<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<S::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Key<S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<S::Value, E> {
        if HEAD.contains(&key) {
            return Err(E::custom(format_args!("a field of the head: {key}")));
        }
        self.0.deserialize(key.into_deserializer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Head, Phase};
    use crate::outcome::Kind;
    use crate::time::Timestamp;

    #[test]
    fn all_fields_of_a_head_are_known() {
        let head = Head {
            v: 1,
            kind: Kind::Stream,
            phase: Some(Phase::Opened),
            epoch: uuid::Uuid::nil(),
            partition: 0,
            seq: 1,
            at: Timestamp::default(),
            request_id: uuid::Uuid::nil(),
            gateway: String::new(),
        };
        let serde_json::Value::Object(fields) = serde_json::to_value(head).unwrap() else { panic!() };
        let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
        let mut known = HEAD.to_vec();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
