//! What `/v1/audit` asks for, and what is too much.

use schemas::time::Timestamp;

use super::arguments::Arguments;
use super::{Error, Interval, Range};

/// How far an audit may look back: `opened` and `bodies` forget after 30 days, and their numbers would seem missing.
const DAYS_MAX: i64 = 28;
const DAY_MICROS: i64 = 86_400_000_000;

/// What `/v1/audit` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Requests of this time; of ledgers, everything recorded since its beginning.
    pub range: Range,
    /// Whether every minute is to be told, and not only those in which something does not add up.
    pub all_minutes: bool,
}

impl Audit {
    /// Reads a URL's query.
    pub fn parse(query: &str, now: Timestamp) -> Result<Self, Error> {
        let mut arguments = Arguments::new(query);
        let range = Range::parse(arguments.one("from")?, arguments.one("to")?, now)?;
        let interval = arguments.one("interval")?.map(|text| Interval::parse(&text)).transpose()?;
        arguments.finish()?;
        if interval.is_some_and(|interval| interval != Interval::Minute) {
            let message = "an audit has minutes only: write minute, or leave it out for those that do not add up";
            return Err(Error::new("interval", message));
        }
        let days = range.length_micros() / DAY_MICROS;
        if days > DAYS_MAX || (now.as_micros() - range.from.as_micros()) / DAY_MICROS > DAYS_MAX {
            let message = format!("is more than {DAYS_MAX} days ago: events that opened a request are kept no longer");
            return Err(Error::new("from", message));
        }
        Ok(Self { range, all_minutes: interval.is_some() })
    }

    /// Refuses a range since whose beginning more events were recorded than can be read, and says what to ask instead.
    pub fn bound(&self, events: u64, most: u64, now: Timestamp) -> Result<(), Error> {
        if events <= most {
            return Ok(());
        }
        let ago_micros = now.as_micros().saturating_sub(self.range.from.as_micros()).max(0);
        // With some room, for an even flow of events.
        let minutes = i128::from(ago_micros) * i128::from(most) / i128::from(events) / 60_000_000 * 9 / 10;
        let from = match minutes {
            120.. => format!("-{}h", minutes / 60),
            minutes => format!("-{}m", minutes.max(1)),
        };
        let message = format!(
            "{events} events were recorded since then, and one audit reads at most {most}: ask for a later time, like {from}"
        );
        Err(Error::new("from", message))
    }

    /// Refuses more minutes than an answer may have.
    pub fn bound_minutes(&self, minutes: usize, most: usize) -> Result<(), Error> {
        if minutes <= most {
            return Ok(());
        }
        let message = format!(
            "there are {minutes} minutes of ledgers since then, and an answer has at most {most}: choose a later from, or \
             leave interval out for those that do not add up"
        );
        Err(Error::new("interval", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_told_with_what_to_ask_instead() {
        let now = Timestamp::from_micros(20_000 * DAY_MICROS);
        let audit = Audit::parse("from=-1d", now).unwrap();
        assert_eq!((audit.bound(10, 10, now), audit.bound_minutes(5, 5)), (Ok(()), Ok(())));
        let error = audit.bound(40, 10, now).unwrap_err();
        assert_eq!(error.parameter, "from");
        assert!(error.message.ends_with("ask for a later time, like -5h"), "{error}");
        let hour = Audit::parse("from=-1h", now).unwrap();
        assert!(hour.bound(120, 10, now).unwrap_err().message.ends_with("like -4m"));
        assert!(hour.bound(u64::MAX, 10, now).unwrap_err().message.ends_with("like -1m"));
        assert_eq!(audit.bound_minutes(6, 5).unwrap_err().parameter, "interval");
    }

    #[test]
    fn it_looks_back_as_far_as_there_are_events_and_has_minutes_only() {
        let now = Timestamp::from_micros(20_000 * DAY_MICROS);
        assert_eq!(Audit::parse("from=-29d", now).unwrap_err().parameter, "from");
        assert_eq!(Audit::parse("interval=hour", now).unwrap_err().parameter, "interval");
        assert!(Audit::parse("interval=minute", now).unwrap().all_minutes);
        assert!(!Audit::parse("", now).unwrap().all_minutes);
    }
}
