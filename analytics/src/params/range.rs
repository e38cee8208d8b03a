//! From when until when, and in which steps.

use schemas::time::Timestamp;

use super::Error;

const SECOND_MICROS: i64 = 1_000_000;
const DAY_MICROS: i64 = 86_400 * SECOND_MICROS;

/// What columns of type `DateTime64(6)` hold with room to spare: 2000-01-01 and 2200-01-01.
const EARLIEST_MICROS: i64 = 946_684_800 * SECOND_MICROS;
const LATEST_MICROS: i64 = LATEST_SECONDS * SECOND_MICROS;
/// The latter in seconds since 1970: later than any row.
pub const LATEST_SECONDS: i64 = 7_258_118_400;

const HOW: &str = "write RFC 3339 like 2026-11-21T09:30:00Z, a day like 2026-11-21 (UTC), or a time before now like -1h (s, m, h, d, w)";

/// `from` is in it, `to` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after.
    pub to: Timestamp,
}

/// The length of a bucket, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// Full minutes.
    Minute,
    /// Full hours.
    Hour,
    /// Days.
    Day,
    /// Calendar months.
    Month,
}

impl Range {
    /// `to` is now and `from` a day before it, where they are not given.
    pub(super) fn parse(from: Option<String>, to: Option<String>, now: Timestamp) -> Result<Self, Error> {
        let to = to.map_or(Ok(now), |text| bound("to", &text, now))?;
        let day_before = minute(Timestamp::from_micros(to.as_micros() - DAY_MICROS));
        let from = from.map_or(Ok(day_before), |text| bound("from", &text, now))?;
        if from >= to {
            return Err(Error::new("from", format!("must be before to, but {from} is not before {to}")));
        }
        Ok(Self { from, to })
    }

    /// How long it is.
    pub fn length_micros(self) -> i64 {
        self.to.as_micros() - self.from.as_micros()
    }
}

/// A bound of a range. So many minutes, hours, days or weeks before now are meant to the minute: a range that begins
/// there is read from rollups alone, where one that begins within a minute needs the rows of its hour too.
fn bound(parameter: &str, text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    let time = instant(parameter, text, now)?;
    let is_exact = !text.starts_with('-') || text.ends_with('s');
    Ok(if is_exact { time } else { minute(time) })
}

fn minute(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.as_micros() - time.as_micros().rem_euclid(60 * SECOND_MICROS))
}

/// A time, in any of the ways it may be written.
pub(super) fn instant(parameter: &str, text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    let wrong = || Error::new(parameter, format!("{text:?} is not a time: {HOW}"));
    let time = if text == "now" {
        now
    } else if let Some(span) = text.strip_prefix('-') {
        let micros = span_micros(span).and_then(|span| now.as_micros().checked_sub(span)).ok_or_else(wrong)?;
        Timestamp::from_micros(micros)
    } else if text.len() == "2026-11-21".len() {
        format!("{text}T00:00:00Z").parse().map_err(|_| wrong())?
    } else {
        // A plus sign that was not written as %2B arrives as a space, and RFC 3339 has no other use for one here.
        text.replace(' ', "+").parse().map_err(|_| wrong())?
    };
    if (EARLIEST_MICROS..=LATEST_MICROS).contains(&time.as_micros()) {
        Ok(time)
    } else {
        Err(Error::new(parameter, format!("{text:?} is out of reach: choose a time from 2000-01-01 to 2200-01-01")))
    }
}

fn span_micros(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    let count: i64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    count.checked_mul(seconds)?.checked_mul(SECOND_MICROS)
}

impl Interval {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "minute" => Ok(Self::Minute),
            "hour" => Ok(Self::Hour),
            "day" => Ok(Self::Day),
            "month" => Ok(Self::Month),
            _ => Err(Error::new("interval", format!("{text:?} is not one of minute, hour, day, month"))),
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The shortest that a bucket can be.
    pub(super) fn shortest_micros(self) -> i64 {
        match self {
            Self::Minute => 60 * SECOND_MICROS,
            Self::Hour => 3600 * SECOND_MICROS,
            Self::Day => DAY_MICROS,
            Self::Month => 28 * DAY_MICROS,
        }
    }
}
