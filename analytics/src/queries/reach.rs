//! Which part of a time range each rollup answers, and which the rows themselves. Pure.
//!
//! Rollups know whole minutes, hours and days, and only some names. The middle of a range is read from the longest
//! buckets that the question allows, its edges from shorter ones, and what is less than a minute from the rows.

use schemas::rollups::{Family, Grain};
use schemas::time::Timestamp;

use crate::params::{Aggregate, Dimension, Interval, Range};

const SECOND_MICROS: i64 = 1_000_000;
/// What was received less than this ago is read from the rows: they are inserted a moment before the views have summed
/// them up, and who has seen a row is to find it in the sums.
const NEW_MICROS: i64 = 120 * SECOND_MICROS;

/// Where a part of an answer is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// In a rollup.
    Rollup(Grain, Vec<Range>),
    /// In the rows.
    Rows(Vec<Range>),
}

/// Whether the rollups can be relied on: they cannot while days from before they were made are being filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollups {
    /// They hold everything.
    Complete,
    /// Some days may be missing.
    Incomplete,
}

/// The pieces that a question is answered from. They do not overlap, and together they are its range.
pub fn pieces(asked: &Aggregate, family: Family, rollups: Rollups) -> Vec<Piece> {
    let all = asked.range;
    // Rollups know what is known now, and not what was known before.
    if rollups == Rollups::Incomplete || asked.as_of.is_some() || !is_known(asked, family) {
        return vec![Piece::Rows(vec![all])];
    }
    let mut pieces = Vec::new();
    let mut rest = all;
    // Each grain's own edges are left to the one before it.
    let mut before = None;
    let new_from = Timestamp::from_micros(asked.asked_at.as_micros().saturating_sub(NEW_MICROS));
    for grain in Grain::ALL {
        let old = Range { from: rest.from, to: rest.to.min(new_from) };
        let Some(whole) = whole(old, grain).filter(|_| suits(grain, asked.interval)) else { break };
        push(&mut pieces, before, edges(rest, whole));
        (rest, before) = (whole, Some(grain));
    }
    push(&mut pieces, before, vec![rest]);
    pieces
}

fn push(pieces: &mut Vec<Piece>, grain: Option<Grain>, ranges: Vec<Range>) {
    if !ranges.is_empty() {
        pieces.push(grain.map_or_else(|| Piece::Rows(ranges.clone()), |grain| Piece::Rollup(grain, ranges.clone())));
    }
}

/// Whether the family's rollups keep apart what the question groups and filters by.
pub(super) fn is_known(asked: &Aggregate, family: Family) -> bool {
    let known = |dimension: &Dimension| dimension.column().is_some_and(|column| family.dimensions().contains(&column));
    asked.group_by.iter().all(known) && asked.filters.iter().all(|filter| known(&filter.dimension))
}

/// Whether buckets of the grain fit into those that are asked for.
fn suits(grain: Grain, interval: Option<Interval>) -> bool {
    match interval {
        Some(Interval::Minute) => grain == Grain::Minute,
        Some(Interval::Hour) => grain != Grain::Day,
        Some(Interval::Day | Interval::Month) | None => true,
    }
}

/// The whole buckets in a range; `None` if there are none.
fn whole(range: Range, grain: Grain) -> Option<Range> {
    let length = grain.seconds() * SECOND_MICROS;
    let (from, to) = (range.from.as_micros(), range.to.as_micros());
    let whole = Range {
        from: Timestamp::from_micros((from + length - 1).div_euclid(length) * length),
        to: Timestamp::from_micros(to.div_euclid(length) * length),
    };
    (whole.from < whole.to).then_some(whole)
}

/// What of a range is not in its inner part.
fn edges(range: Range, inner: Range) -> Vec<Range> {
    let edges = [Range { from: range.from, to: inner.from }, Range { from: inner.to, to: range.to }];
    edges.into_iter().filter(|edge| edge.from < edge.to).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T12:34:56Z".parse().unwrap()
    }

    fn told(query: &str) -> Vec<String> {
        let asked = Aggregate::parse(query, now()).unwrap();
        let text = |ranges: &[Range]| {
            let short = |time: Timestamp| time.to_string().replace("2026-11-", "").replace(".000000Z", "");
            ranges.iter().map(|range| format!(" {}..{}", short(range.from), short(range.to))).collect::<String>()
        };
        let pieces = pieces(&asked, Family::Usage, Rollups::Complete);
        let pieces = pieces.iter().map(|piece| match piece {
            Piece::Rollup(grain, ranges) => format!("{}{}", grain.suffix(), text(ranges)),
            Piece::Rows(ranges) => format!("rows{}", text(ranges)),
        });
        pieces.collect()
    }

    #[test]
    fn the_middle_is_read_from_the_longest_buckets() {
        let range = "from=2026-11-18T22:58:30Z&to=2026-11-21T02:00:00Z";
        let rows = "rows 18T22:58:30..18T22:59:00";
        let minutes = "1m 18T22:59:00..18T23:00:00";
        assert_eq!(
            told(range),
            [rows, minutes, "1h 18T23:00:00..19T00:00:00 21T00:00:00..21T02:00:00", "1d 19T00:00:00..21T00:00:00"]
        );
        let hours = "1h 18T23:00:00..21T02:00:00";
        assert_eq!(told(&format!("{range}&interval=hour&group_by=client,outcome")), [rows, minutes, hours]);
        let all_minutes = "1m 18T22:59:00..21T02:00:00";
        assert_eq!(told(&format!("{range}&interval=minute")), [rows, all_minutes]);
        assert_eq!(told("from=2026-11-01&to=2026-11-03&interval=month"), ["1d 01T00:00:00..03T00:00:00"]);
    }

    #[test]
    fn the_last_minutes_are_read_from_the_rows() {
        // It is 12:34:56.
        let minutes = "1m 21T12:30:00..21T12:32:00";
        assert_eq!(told("from=2026-11-21T12:30:00Z"), ["rows 21T12:32:00..21T12:34:56", minutes]);
        assert_eq!(told("from=2026-11-21T12:30:00Z&to=2027-01-01"), ["rows 21T12:32:00..2027-01-01T00:00:00", minutes]);
        assert_eq!(told("from=-2m"), ["rows 21T12:32:00..21T12:34:56"]);
    }

    #[test]
    fn what_rollups_do_not_know_is_read_from_the_rows() {
        let range = "from=2026-11-01&to=2026-11-03";
        let rows = ["rows 01T00:00:00..03T00:00:00"];
        for more in ["group_by=user", "user=u", "group_by=client,tag:team", "tag:team=x"] {
            assert_eq!(told(&format!("{range}&{more}")), rows, "{more}");
        }
        assert_eq!(told("from=2026-11-01T00:00:10Z&to=2026-11-01T00:00:50Z"), ["rows 01T00:00:10..01T00:00:50"]);
        let asked = Aggregate::parse(range, now()).unwrap();
        assert_eq!(pieces(&asked, Family::Usage, Rollups::Incomplete), [Piece::Rows(vec![asked.range])]);
    }

    proptest! {
        #[test]
        fn pieces_are_the_range_cut_where_buckets_begin(
            from in 1_700_000_000_000_000i64..1_700_400_000_000_000,
            length in 1i64..400_000_000_000,
            interval in prop::option::of(prop::sample::select(vec!["minute", "hour", "day", "month"])),
        ) {
            let range = Range { from: Timestamp::from_micros(from), to: Timestamp::from_micros(from + length) };
            let interval = interval.map(|interval| format!("&interval={interval}")).unwrap_or_default();
            let asked = Aggregate::parse(&format!("from={}&to={}{interval}", range.from, range.to), now()).unwrap();
            let mut ranges = Vec::new();
            for piece in pieces(&asked, Family::Usage, Rollups::Complete) {
                let (length, found) = match piece {
                    Piece::Rows(found) => (1, found),
                    Piece::Rollup(grain, found) => (grain.seconds() * SECOND_MICROS, found),
                };
                for range in &found {
                    prop_assert_eq!((range.from.as_micros() % length, range.to.as_micros() % length), (0, 0));
                }
                ranges.extend(found);
            }
            ranges.sort_by_key(|range| range.from);
            prop_assert_eq!(ranges.first().map(|first| first.from), Some(range.from));
            prop_assert_eq!(ranges.last().map(|last| last.to), Some(range.to));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].to == pair[1].from));
        }
    }
}
