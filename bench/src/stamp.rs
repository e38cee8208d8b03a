//! Events that say when they were sent, so that whoever gets them knows how long they were under way.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use memchr::memmem;

/// Stands in an event's text; the digits are overwritten with microseconds since 1970.
pub const PLACEHOLDER: &str = "t=0000000000000000";
/// What stands before the digits.
const MARK: &[u8] = b"t=0000";

/// Where the digits stand.
pub fn places(text: &[u8]) -> Vec<Range<usize>> {
    let found = memmem::find_iter(text, MARK);
    found.map(|at| at + 2..at + PLACEHOLDER.len()).collect()
}

/// The present time, as an event tells it.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// An event with the present time in its place; the event itself if it has none.
pub fn stamped(event: &Bytes) -> Bytes {
    let places = places(event);
    if places.is_empty() {
        return event.clone();
    }
    let mut bytes = event.to_vec();
    // Beginning with zeros, so that the mark before them stays one.
    let digits = format!("{:016}", now_us() % 1_000_000_000_000);
    for place in places {
        bytes[place].copy_from_slice(digits.as_bytes());
    }
    bytes.into()
}

/// How long an event was under way, in microseconds, from its digits.
pub fn lag_us(digits: &[u8]) -> Option<u64> {
    let sent: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((now_us() % 1_000_000_000_000).saturating_sub(sent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_when_it_was_sent() {
        let event = Bytes::from(format!("data: {{\"text\":\"{PLACEHOLDER} word\"}}\n\n"));
        let sent = stamped(&event);
        assert_eq!(sent.len(), event.len());
        let [place] = &places(&sent)[..] else { panic!("{sent:?}") };
        assert!(lag_us(&sent[place.clone()]).unwrap() < 1_000_000);
        assert_eq!(stamped(&Bytes::from_static(b"data: [DONE]\n\n")), "data: [DONE]\n\n");
    }
}
