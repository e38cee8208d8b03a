//! The newest requests of a range, without reading the rest of it. Pure.
//!
//! Rows lie by client and hour, not by time alone: to find the newest of a range all of it has to be read. So the range is
//! read in pieces, newest first, until there are enough: a page costs what its hours cost, however long the range is.

use schemas::time::Timestamp;

use crate::params::{Cursor, Range};

const HOUR_MICROS: i64 = 3_600_000_000;
/// Each piece is so many times as long as the one before it. Where little matches the pieces soon are long, and few.
const GROWTH: i64 = 4;

/// The pieces of a range before a cursor, newest first: together all of it, cut at full hours.
pub fn pieces(range: Range, before: Option<&Cursor>) -> impl Iterator<Item = Range> {
    // The cursor's own moment may hold more requests than the page before had room for.
    let end = before.map_or(range.to, |cursor| Timestamp::from_micros(cursor.received_at.as_micros() + 1));
    let (mut to, mut length) = (end.min(range.to), HOUR_MICROS);
    std::iter::from_fn(move || {
        if to <= range.from {
            return None;
        }
        let from = to.as_micros() - length;
        let from = Timestamp::from_micros(from - from.rem_euclid(HOUR_MICROS)).max(range.from);
        let piece = Range { from, to };
        (to, length) = (from, length.saturating_mul(GROWTH));
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn told(from: &str, to: &str, cursor: Option<&str>) -> Vec<String> {
        let time = |text: &str| format!("2026-11-{text}:00Z").parse::<Timestamp>().unwrap();
        let range = Range { from: time(from), to: time(to) };
        let cursor = cursor.map(|text| Cursor { range, received_at: time(text), request_id: Uuid::from_u128(7) });
        let text = |time: Timestamp| time.to_string().replace("2026-11-", "").replace(":00.000000Z", "");
        pieces(range, cursor.as_ref()).map(|piece| format!("{}..{}", text(piece.from), text(piece.to))).collect()
    }

    #[test]
    fn the_newest_hours_come_first_and_then_longer_pieces() {
        let all = ["20T11:00..20T12:34", "20T07:00..20T11:00", "19T15:00..20T07:00", "18T03:30..19T15:00"];
        assert_eq!(told("18T03:30", "20T12:34", None), all);
        assert_eq!(told("20T12:00", "20T12:34", None), ["20T12:00..20T12:34"]);
        assert_eq!(told("20T12:34", "20T12:34", None), [""; 0]);
    }

    #[test]
    fn a_page_goes_on_at_the_moment_at_which_the_one_before_ended() {
        assert_eq!(
            told("20T07:00", "20T12:34", Some("20T10:30")),
            ["20T09:00..20T10:30:00.000001Z", "20T07:00..20T09:00"]
        );
        assert_eq!(told("20T07:00", "20T12:34", Some("19T10:30")), [""; 0]);
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole_range_and_few(
            from in 1_700_000_000_000_000i64..1_700_400_000_000_000,
            length in 0i64..400_000_000_000_000,
        ) {
            let range = Range { from: Timestamp::from_micros(from), to: Timestamp::from_micros(from + length) };
            let found: Vec<Range> = pieces(range, None).collect();
            prop_assert_eq!(found.iter().map(|piece| piece.length_micros()).sum::<i64>(), length);
            prop_assert!(found.windows(2).all(|pair| pair[0].from == pair[1].to));
            prop_assert!(found.len() < 12, "{} pieces", found.len());
        }
    }
}
