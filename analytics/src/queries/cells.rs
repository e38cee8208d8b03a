//! What columns hold, and how it is written in a reply: times as RFC 3339, money as decimal text, nothing as null.

use std::collections::BTreeMap;

use schemas::money::{Factor, Pico};
use schemas::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A `String` column in which the empty string stands for a value that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Text(pub String);

/// A `DateTime64(6)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Instant(pub i64);

/// A `Decimal(38, 12)` of US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Money(pub i128);

/// A `Decimal(18, 9)`: a factor on prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Multiplier(pub i64);

/// A `UUID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub Uuid);

/// A `Map(String, String)`.
pub type Tags = BTreeMap<String, String>;

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() { serializer.serialize_none() } else { serializer.serialize_str(&self.0) }
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Timestamp::from_micros(self.0).serialize(serializer)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Pico(self.0).serialize(serializer)
    }
}

impl Serialize for Multiplier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nano = self.0.unsigned_abs();
        let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
        // Written the way events write it; a value that no event can hold is written out in full.
        match text.parse::<Factor>() {
            Ok(factor) if self.0 >= 0 => factor.serialize(serializer),
            _ => serializer.serialize_str(&format!("{}{text}", if self.0 < 0 { "-" } else { "" })),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ::clickhouse::serde::uuid::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.hyphenated())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json<T: Serialize>(value: T) -> String {
        serde_json::to_string(&value).unwrap()
    }

    #[test]
    fn money_keeps_every_digit() {
        assert_eq!(json(Money(1)), r#""0.000000000001""#);
        assert_eq!(json(Money(-12_500_000_000_000)), r#""-12.500000000000""#);
        // One more than what a double can tell from its neighbour.
        assert_eq!(json(Money(9_007_199_254_740_993)), r#""9007.199254740993""#);
        assert_eq!(json(None::<Money>), "null");
    }

    #[test]
    fn factors_are_written_as_events_write_them() {
        assert_eq!(json(Multiplier(1_000_000_000)), r#""1.0""#);
        assert_eq!(json(Multiplier(850_000_000)), r#""0.85""#);
        assert_eq!(json(Multiplier(-1)), r#""-0.000000001""#);
    }

    #[test]
    fn nothing_is_null_and_times_are_rfc_3339() {
        assert_eq!(json(Text(String::new())), "null");
        assert_eq!(json(Text("a".into())), r#""a""#);
        assert_eq!(json(Instant(1_767_225_600_000_120)), r#""2026-01-01T00:00:00.000120Z""#);
        assert_eq!(json(Id(Uuid::from_u128(7))), r#""00000000-0000-0000-0000-000000000007""#);
    }
}
