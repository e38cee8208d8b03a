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
        // Two of these are read for every request with limits: nothing but the clock, without a calendar.
        let micros = |since: std::time::Duration| i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => Self(micros(since)),
            Err(error) => Self(-micros(error.duration())),
        }
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
        if (0..YEAR_9999).contains(&self.0)
            && let (year, month, day) = civil(self.0 / DAY)
            && let Ok(day) = u32::try_from(year * 10_000 + month * 100 + day)
        {
            return day;
        }
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

    /// RFC 3339 by hand: seven of these are written for every request, and a general formatter takes ten times as long.
    /// A year beyond 0 to 9999, which no clock shows, is written as the nearest one.
    pub(crate) fn to_text(self) -> [u8; 27] {
        let micros = self.0.clamp(YEAR_0, YEAR_10000 - 1);
        let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
        let (year, month, day) = civil(days);
        let (second, micro) = ((rest / 1_000_000) as u32, (rest % 1_000_000) as u32);
        let pair = |number: u32| [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        let (year, month, day) = (year as u32, month as u32, day as u32);
        let ([y0, y1], [y2, y3], [m0, m1], [d0, d1]) = (pair(year / 100), pair(year % 100), pair(month), pair(day));
        let ([h0, h1], [n0, n1], [s0, s1]) = (pair(second / 3600), pair(second / 60 % 60), pair(second % 60));
        let ([u0, u1], [u2, u3], [u4, u5]) = (pair(micro / 10_000), pair(micro / 100 % 100), pair(micro % 100));
        [
            y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1, b'.', u0, u1, u2, u3,
            u4, u5, b'Z',
        ]
    }

    /// Reads what [`Self::to_text`] writes, for the same reason by hand. `None` is for a general reader: another spelling,
    /// or no such time.
    fn of_text(text: &[u8]) -> Option<Self> {
        let text: &[u8; 27] = text.try_into().ok()?;
        // No early end: the compiler compares all bytes at once.
        let other = |byte: u8, mark: u8| if mark == b'0' { byte.wrapping_sub(b'0') > 9 } else { byte != mark };
        if text.iter().zip(SHAPE).fold(false, |found, (byte, mark)| found | other(*byte, *mark)) {
            return None;
        }
        let pair = |at: usize| i64::from(text[at] & 15) * 10 + i64::from(text[at + 1] & 15);
        let date = (pair(0) * 100 + pair(2), pair(5), pair(8));
        let (hour, minute, second) = (pair(11), pair(14), pair(17));
        let days = days_until(date);
        if civil(days) != date || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let micros = days * DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000;
        let micros = micros + (pair(20) * 100 + pair(22)) * 100 + pair(24);
        (0..YEAR_9999).contains(&micros).then_some(Self(micros))
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// What every character of a text is like: a digit, or itself.
const SHAPE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;
/// The first microseconds of the years 0, 9999 and 10000.
const YEAR_0: i64 = -62_167_219_200_000_000;
const YEAR_9999: i64 = 253_370_764_800_000_000;
const YEAR_10000: i64 = 253_402_300_800_000_000;

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar: eras of 400 years, and years that
/// begin in March, so that a leap day is a year's last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil`]. Of a date that does not exist it makes another one's day.
fn days_until((year, month, day): (i64, i64, i64)) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(time) = Self::of_text(text.as_bytes()) {
            return Ok(time);
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp(text.to_owned()))?;
        Ok(Self(time.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(crate::text::Parsed::default())
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
    fn text_is_what_a_general_formatter_writes() {
        let day: i64 = 86_400_000_000;
        // Every day from 1600 to 2400, each at another time, and the limits.
        let days = (-135_140_i64..157_054).map(|at| at * day + (at * 7_919_000_003).rem_euclid(day));
        // The last of them is the last whole hour that the other formatter knows.
        let limits = [YEAR_0, YEAR_0 + 1, -1, 0, 1, 253_402_207_199_999_999];
        for micros in days.chain(limits) {
            let time = Timestamp::from_micros(micros);
            let text = format!("{:.6}", time.to_jiff());
            assert_eq!(time.to_string(), text, "{micros}");
            assert_eq!(text.parse::<Timestamp>().unwrap(), time);
            assert_eq!(time.day().to_string(), text[..10].replace('-', "").trim_start_matches('0'), "{micros}");
        }
        for (micros, nearest) in [(i64::MIN, YEAR_0), (i64::MAX, YEAR_10000 - 1)] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), Timestamp::from_micros(nearest).to_string());
        }
    }

    #[test]
    fn now_is_what_a_general_clock_tells() {
        let (before, now, after) = (jiff::Timestamp::now(), Timestamp::now(), jiff::Timestamp::now());
        assert!((before.as_microsecond()..=after.as_microsecond()).contains(&now.as_micros()), "{now}");
    }

    #[test]
    fn other_offsets_are_converted_and_garbage_is_refused() {
        assert_eq!(
            "2026-01-01T01:00:00+01:00".parse::<Timestamp>().unwrap().to_string(),
            "2026-01-01T00:00:00.000000Z"
        );
        // What the quick reader leaves to the general one, which knows best.
        for text in ["2026-02-29T00:00:00.000000Z", "2026-13-01T00:00:00.000000Z", "2026-01-00T00:00:00.000000Z"] {
            assert!(Timestamp::of_text(text.as_bytes()).is_none() && text.parse::<Timestamp>().is_err(), "{text}");
        }
        for text in ["2026-01-01T24:00:00.000000Z", "2026-01-01T00:60:00.000000Z", "2026-01-01 00:00:00.000000x"] {
            assert!(Timestamp::of_text(text.as_bytes()).is_none() && text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
