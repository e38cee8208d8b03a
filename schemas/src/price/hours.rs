//! Hours of the week in which an entry holds: providers that charge more while many are at work.

use serde::Deserialize;

use crate::time::{DAY as DAY_MICROS, Timestamp};

const MINUTE_MICROS: i64 = 60_000_000;
const DAY_MINUTES: i64 = 24 * 60;

/// The names of the days, in the order of the week.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Spans of some days of the week, in UTC, but for days of the calendar on which they do not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Whether they hold on that day of the week, Monday first.
    days: [bool; 7],
    /// First minute of the day, and the first one after it.
    spans: Vec<(i64, i64)>,
    /// Days since 1970-01-01 on which none of them holds.
    except: Vec<i64>,
}

/// `{ days = ["mon"], utc = ["01:00-04:00"], except = ["2026-10-01"] }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoursFile {
    /// All seven unless given.
    days: Option<Vec<String>>,
    utc: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
}

impl HoursFile {
    /// The hours, or what is wrong with them.
    pub(super) fn resolve(&self) -> Result<Hours, String> {
        let mut days = [self.days.is_none(); 7];
        for name in self.days.iter().flatten() {
            let at = DAYS.iter().position(|day| day == name);
            let day = at.and_then(|at| days.get_mut(at)).ok_or_else(|| format!("{name:?} is none of {DAYS:?}"))?;
            *day = true;
        }
        let spans = self.utc.iter().map(|text| span(text).ok_or_else(|| not_a_span(text)));
        let spans: Vec<_> = spans.collect::<Result<_, _>>()?;
        if spans.is_empty() || !days.contains(&true) {
            return Err("hours name no time at all".to_owned());
        }
        let except = self.except.iter().map(|day| date(day).ok_or_else(|| format!("{day:?} is not a day")));
        Ok(Hours { days, spans, except: except.collect::<Result<_, _>>()? })
    }
}

impl Hours {
    /// Whether a time is within them; a span's last minute is the one before its end.
    pub fn contains(&self, at: Timestamp) -> bool {
        let (day, minute) = day_and_minute(at);
        self.days.get(weekday(day)).is_some_and(|holds| *holds)
            && self.spans.iter().any(|(from, to)| (*from..*to).contains(&minute))
            && !self.except.contains(&day)
    }

    /// Whether some minute of a week is within both, days of the calendar aside.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let share_day = self.days.iter().zip(other.days).any(|(here, there)| *here && there);
        share_day
            && self.spans.iter().any(|(from, to)| other.spans.iter().any(|(since, until)| from < until && since < to))
    }

    /// As a book holds them: `days = [...], utc = [...]`.
    pub(super) fn to_toml(&self) -> String {
        let quoted = |texts: Vec<String>| texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
        let mut fields = Vec::new();
        if self.days.contains(&false) {
            fields.push(format!("days = [{}]", quoted(self.day_names().map(str::to_owned).collect())));
        }
        fields.push(format!("utc = [{}]", quoted(self.span_texts().collect())));
        if !self.except.is_empty() {
            let days = self.except.iter().map(|day| Timestamp::from_micros(day * DAY_MICROS).to_string());
            let days = days.map(|text| text.chars().take("2026-01-01".len()).collect::<String>());
            fields.push(format!("except = [{}]", quoted(days.collect())));
        }
        format!("{{ {} }}", fields.join(", "))
    }

    fn day_names(&self) -> impl Iterator<Item = &'static str> {
        DAYS.iter().zip(self.days).filter(|(_, holds)| *holds).map(|(name, _)| *name)
    }

    fn span_texts(&self) -> impl Iterator<Item = String> {
        let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        self.spans.iter().map(move |(from, to)| format!("{}-{}", clock(*from), clock(*to)))
    }
}

impl std::fmt::Display for Hours {
    /// `01:00-04:00, 06:00-10:00 UTC on mon, tue, wed, thu, fri, but for 10 days`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.span_texts().collect::<Vec<_>>().join(", "))?;
        f.write_str(" UTC")?;
        if self.days.contains(&false) {
            write!(f, " on {}", self.day_names().collect::<Vec<_>>().join(", "))?;
        }
        if !self.except.is_empty() {
            write!(f, ", but for {} days", self.except.len())?;
        }
        Ok(())
    }
}

fn not_a_span(text: &str) -> String {
    format!("{text:?} is not a span like \"01:00-04:00\"; write one that passes midnight as two, the first until 24:00")
}

fn span(text: &str) -> Option<(i64, i64)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (clock(from)?, clock(to)?);
    (from < to).then_some((from, to))
}

/// `00:00` to `24:00` in minutes.
fn clock(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str| (part.len() == 2).then(|| part.parse::<u8>().ok()).flatten().map(i64::from);
    let (hour, minute) = (digits(hour)?, digits(minute)?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= DAY_MINUTES).then_some(all)
}

fn date(text: &str) -> Option<i64> {
    let midnight: Timestamp = format!("{text}T00:00:00Z").parse().ok()?;
    Some(midnight.as_micros() / DAY_MICROS)
}

fn day_and_minute(at: Timestamp) -> (i64, i64) {
    let micros = at.as_micros();
    (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS) / MINUTE_MICROS)
}

/// Monday is 0. The first of January 1970 was a Thursday.
fn weekday(day: i64) -> usize {
    usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Result<Hours, String> {
        toml::from_str::<HoursFile>(text).map_err(|error| error.to_string())?.resolve()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const PEAK: &str = "days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]\nutc = [\"01:00-04:00\", \"06:00-10:00\"]\n\
                        except = [\"2026-09-25\", \"2026-10-01\"]";

    #[test]
    fn spans_hold_from_their_first_minute_to_before_their_last() {
        let peak = hours(PEAK).unwrap();
        // A Friday.
        for (clock, holds) in [
            ("00:59:59.999999", false),
            ("01:00:00", true),
            ("03:59:59.999999", true),
            ("04:00:00", false),
            ("05:59:59", false),
            ("06:00:00", true),
            ("09:59:59", true),
            ("10:00:00", false),
        ] {
            assert_eq!(peak.contains(at(&format!("2026-11-27T{clock}Z"))), holds, "{clock}");
        }
    }

    #[test]
    fn other_days_of_the_week_and_days_that_are_excepted_do_not_count() {
        let peak = hours(PEAK).unwrap();
        let holds = |day: &str| peak.contains(at(&format!("{day}T02:00:00Z")));
        let week = ["2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27", "2026-11-28", "2026-11-29"];
        assert_eq!(week.map(holds), [true, true, true, true, true, false, false]);
        assert_eq!(["2026-09-24", "2026-09-25", "2026-10-01", "2026-10-02"].map(holds), [true, false, false, true]);
        let daily = hours("utc = [\"00:00-24:00\"]").unwrap();
        assert!(week.iter().all(|day| daily.contains(at(&format!("{day}T23:59:59Z")))));
    }

    #[test]
    fn the_day_of_the_week_is_that_of_a_calendar() {
        for day in (-200_000_i64..200_000).step_by(97) {
            let time = Timestamp::from_micros(day * DAY_MICROS);
            let monday_one = time.date().weekday().to_monday_one_offset();
            assert_eq!(weekday(day) + 1, usize::try_from(monday_one).unwrap(), "{time}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in [
            "utc = []",
            "days = []\nutc = [\"01:00-02:00\"]",
            "days = [\"monday\"]\nutc = [\"01:00-02:00\"]",
            "utc = [\"22:00-02:00\"]",
            "utc = [\"1:00-2:00\"]",
            "utc = [\"01:60-02:00\"]",
            "utc = [\"23:00-24:01\"]",
            "utc = [\"01:00-02:00\"]\nexcept = [\"2026-02-30\"]",
            "utc = [\"01:00-02:00\"]\ntimezone = \"Asia/Shanghai\"",
        ] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hours_that_share_a_minute_of_the_week_meet() {
        let of = |days: &str, utc: &str| hours(&format!("days = [{days}]\nutc = [\"{utc}\"]")).unwrap();
        let monday = of("\"mon\"", "01:00-04:00");
        assert!(monday.meets(&of("\"sun\", \"mon\"", "03:59-05:00")));
        assert!(!monday.meets(&of("\"mon\"", "04:00-05:00")) && !monday.meets(&of("\"tue\"", "01:00-04:00")));
    }
}
