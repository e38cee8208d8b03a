//! `budget` and `unpriced` of `[[clients]]`: what a client may spend, and in which window.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Unit};
use serde::Deserialize;

use crate::money::Pico;
use crate::time::Timestamp;

/// `budget = { usd = "100.00", per = "month" }`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How much.
    pub usd: Pico,
    /// In which window.
    pub per: BudgetWindow,
}

/// Calendar windows, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetWindow {
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
}

/// What becomes of a request whose cost cannot be told beforehand, because the price book does not know its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// It is refused.
    Deny,
    /// It is let in and counts nothing.
    Allow,
}

impl BudgetWindow {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The word in the configuration and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The window that a time is in: its first moment, and that of the next one.
    pub fn bounds(self, at: Timestamp) -> (Timestamp, Timestamp) {
        let date = at.date();
        let (first, length) = match self {
            Self::Day => (date, 1.day()),
            Self::Week => {
                let since_monday = i64::from(date.weekday().to_monday_zero_offset());
                (date.saturating_sub(since_monday.days()), 7.days())
            }
            Self::Month => (date.first_of_month(), 1.month()),
        };
        (midnight(first), midnight(first.saturating_add(length)))
    }
}

/// The beginning of a day in UTC.
fn midnight(date: Date) -> Timestamp {
    // Every civil midnight is a moment in UTC; only the ends of the calendar, thousands of years away, are not.
    let moment = date.to_zoned(TimeZone::UTC).and_then(|zoned| zoned.round(Unit::Second));
    moment.map_or_else(|_| Timestamp::default(), |moment| Timestamp::from_micros(moment.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_turn_at_midnight_on_monday_and_on_the_first() {
        for (window, at, from, to) in [
            (BudgetWindow::Day, "2026-11-27T23:59:59.999999Z", "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z"),
            (BudgetWindow::Day, "2026-11-28T00:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"),
            // The 27th is a Friday.
            (BudgetWindow::Week, "2026-11-27T12:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (BudgetWindow::Week, "2026-11-29T23:59:59Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (BudgetWindow::Week, "2027-01-01T00:00:00Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"),
            (BudgetWindow::Month, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            (BudgetWindow::Month, "2028-02-29T08:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ] {
            let time = |text: &str| text.parse::<Timestamp>().unwrap();
            assert_eq!(window.bounds(time(at)), (time(from), time(to)), "{window:?} {at}");
        }
    }
}
