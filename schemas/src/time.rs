//! Points in time, in whole microseconds: what events carry and `DateTime64(6, 'UTC')` stores.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 with six fractional digits, always in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text was not an RFC 3339 time.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a time: write it as RFC 3339, like 2026-11-21T09:30:00Z")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// The wall clock's present time.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// A time from microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch, the number that `DateTime64(6)` stores.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The UTC day as `yyyymmdd`, the partition that ClickHouse's `toYYYYMMDD` gives this time.
    pub fn day(self) -> u32 {
        let date = self.date();
        // Years are within -9999..=9999 by jiff's types; events before year 0 do not exist.
        u32::try_from(date.year()).unwrap_or(0) * 10_000
            + u32::try_from(date.month()).unwrap_or(0) * 100
            + u32::try_from(date.day()).unwrap_or(0)
    }

    /// Milliseconds from `earlier` to this time; negative when the clock was set back in between.
    pub fn millis_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1000.0
    }

    /// The UTC day.
    pub(crate) fn date(self) -> jiff::civil::Date {
        self.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.to_jiff())
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp(text.to_owned()))?;
        Ok(Self(time.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_six_digits_and_reads_back() {
        let time = Timestamp::from_micros(1_767_225_600_000_120);
        assert_eq!(time.to_string(), "2026-01-01T00:00:00.000120Z");
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        assert_eq!(time.day(), 20_260_101);
    }

    #[test]
    fn other_offsets_are_converted_and_garbage_is_refused() {
        assert_eq!(
            "2026-01-01T01:00:00+01:00".parse::<Timestamp>().unwrap().to_string(),
            "2026-01-01T00:00:00.000000Z"
        );
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
