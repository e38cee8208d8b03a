//! Which days are due, and which hours differ.

use schemas::time::Timestamp;

use super::days::{Changed, Day, Due, closed, due, open};
use super::fresh::{Digest, differing};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn seconds(text: &str) -> i64 {
    at(text).as_micros() / 1_000_000
}

const NEW: Changed =
    Changed { day: 20_261_120, fingerprint: 7, is_equal: false, sealed_fingerprint: 0, sealed_until: 0 };

#[test]
fn a_day_begins_and_ends_where_its_number_says() {
    let day = Day::from_number(20_240_229).unwrap();
    assert_eq!((day.start(), day.end()), (seconds("2024-02-29T00:00:00Z"), seconds("2024-03-01T00:00:00Z")));
    assert_eq!(Day::from_number(20_230_229), None);
    assert_eq!(Day::from_number(0), None);
}

#[test]
fn hours_are_checked_when_they_are_closed_and_not_before() {
    let until = |now: &str| due(vec![NEW], at(now)).first().map(|due| due.closed_until);
    assert_eq!(until("2026-11-19T23:00:00Z"), None, "a clock that is ahead");
    assert_eq!(until("2026-11-20T01:04:59Z"), None, "rows of the first hour may still be on their way");
    assert_eq!(until("2026-11-20T01:05:00Z"), Some(seconds("2026-11-20T01:00:00Z")));
    assert_eq!(until("2026-11-21T00:04:59Z"), Some(seconds("2026-11-20T23:00:00Z")));
    assert_eq!(until("2026-11-21T00:05:00Z"), Some(seconds("2026-11-21T00:00:00Z")));
    assert_eq!(until("2027-03-01T00:00:00Z"), Some(seconds("2026-11-21T00:00:00Z")));
}

#[test]
fn what_was_found_equal_is_checked_again_only_if_it_changed() {
    let is_due = |stored: Changed, now: &str| !due(vec![stored], at(now)).is_empty();
    let whole = seconds("2026-11-21T00:00:00Z");
    let sealed = Changed { is_equal: true, sealed_fingerprint: 7, sealed_until: whole, ..NEW };
    let later = "2026-11-25T00:00:00Z";
    assert!(!is_due(sealed, later));
    assert!(is_due(Changed { fingerprint: 8, ..sealed }, later), "rows came late");
    assert!(is_due(Changed { is_equal: false, ..sealed }, later), "what was replaced is checked once more");
    assert!(is_due(Changed { sealed_until: whole - 3600, ..sealed }, later), "its last hour has closed since");
    let partly = Changed { sealed_until: seconds("2026-11-20T10:00:00Z"), ..sealed };
    assert!(!is_due(Changed { fingerprint: 9, ..partly }, "2026-11-20T10:59:00Z"), "today rows come all the time");
    assert!(is_due(partly, "2026-11-20T11:05:00Z"));
}

#[test]
fn a_day_is_open_until_its_last_hour_is_closed() {
    let days = vec![NEW, Changed { day: 20_261_119, ..NEW }];
    let numbers = |now: &str| open(days.clone(), at(now)).into_iter().map(Day::number).collect::<Vec<_>>();
    assert_eq!(numbers("2026-11-20T00:01:00Z"), [20_261_120, 20_261_119]);
    assert_eq!(numbers("2026-11-20T00:06:00Z"), [20_261_120]);
    assert!(numbers("2026-11-21T00:06:00Z").is_empty());
    let kept = Due {
        day: Day::from_number(20_261_120).unwrap(),
        closed_until: seconds("2026-11-21T00:00:00Z"),
        fingerprint: 7,
    };
    let both = due(days, at("2026-11-20T12:06:00Z"));
    assert_eq!((both.len(), closed(&both).map(Day::number).collect::<Vec<_>>()), (2, vec![20_261_119]));
    assert_eq!(due(vec![NEW], at("2026-11-21T00:06:00Z")), [kept]);
}

#[test]
fn hours_differ_when_either_side_lacks_what_the_other_has() {
    let digest = |hour, digest| Digest { hour, digest, counted: 1 };
    let used = [digest(1, 10), digest(2, 20), digest(4, 40)];
    let fresh = [digest(1, 10), digest(2, 21), digest(3, 30)];
    let mut hours = differing(&used, &fresh);
    hours.sort_unstable();
    hours.dedup();
    assert_eq!(hours, [2, 3, 4]);
    assert!(differing(&used, &used).is_empty());
}
