//! Ascending ranges of numbers as a short text: after a loss there can be tens of thousands of them in one value of NATS
//! KV, which has a bound of 1 MiB.
//!
//! A range is written as its distance from the end of the one before, and, when it holds more than one number, a `+`
//! and how many more: `[(6, 6), (8, 9)]` is `6 2+1`. Earlier releases wrote pairs of JSON; those are still read.

use std::fmt::Write;

use serde::{Deserialize, Deserializer, Serializer};

/// What a value can look like.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Pairs(Vec<(u64, u64)>),
}

/// Writes ranges as text.
pub fn serialize<S: Serializer>(ranges: &[(u64, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(ranges))
}

/// Reads ranges, as text or as pairs.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(u64, u64)>, D::Error> {
    let ranges = match Written::deserialize(deserializer)? {
        Written::Pairs(pairs) => Some(pairs).filter(|pairs| is_ascending(pairs)),
        Written::Text(text) => parse(&text),
    };
    ranges.ok_or_else(|| serde::de::Error::custom("not ascending ranges of numbers"))
}

fn text(ranges: &[(u64, u64)]) -> String {
    let mut text = String::with_capacity(ranges.len() * 4);
    let mut end = 0;
    for (first, last) in ranges {
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _infallible = match last - first {
            0 => write!(text, "{space}{}", first - end),
            more => write!(text, "{space}{}+{more}", first - end),
        };
        end = *last;
    }
    text
}

fn parse(text: &str) -> Option<Vec<(u64, u64)>> {
    let mut end: u64 = 0;
    text.split_ascii_whitespace()
        .map(|range| {
            let (distance, more) = range.split_once('+').unwrap_or((range, "0"));
            let distance = distance.parse::<u64>().ok().filter(|distance| *distance > 0)?;
            let first = end.checked_add(distance)?;
            end = first.checked_add(more.parse().ok()?)?;
            Some((first, end))
        })
        .collect()
}

fn is_ascending(ranges: &[(u64, u64)]) -> bool {
    let mut end = 0;
    ranges.iter().all(|(first, last)| {
        let follows = end < *first && first <= last;
        end = *last;
        follows
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_ascending_range_is_refused() {
        assert_eq!(parse("6 2+1"), Some(vec![(6, 6), (8, 9)]));
        assert_eq!(parse(""), Some(vec![]));
        for wrong in ["0", "x", "5 0", "1+", "18446744073709551615 1", "1+18446744073709551615"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(is_ascending(&[(1, 2), (4, 4)]) && !is_ascending(&[(1, 2), (2, 4)]) && !is_ascending(&[(0, 1)]));
    }

    proptest! {
        #[test]
        fn text_reads_back(steps in proptest::collection::vec((1u64..1000, 0u64..5), 0..40)) {
            let mut end = 0;
            let ranges: Vec<(u64, u64)> = steps
                .into_iter()
                .map(|(distance, more)| {
                    let first = end + distance;
                    end = first + more;
                    (first, end)
                })
                .collect();
            prop_assert_eq!(parse(&text(&ranges)), Some(ranges));
        }
    }
}
