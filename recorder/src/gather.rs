//! Messages -> a range: until it is full, old enough, or nothing more comes.

use std::time::Duration;

use schemas::time::Timestamp;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::consume::{self, Message, Reader};
use crate::protocol::{RangeName, RangeNamer};

/// Most bytes of packs in a range.
const BYTES_MAX: usize = 32 << 20;
/// A range ends when nothing has arrived for this long: with little load nobody waits for the full age.
const QUIET: Duration = Duration::from_millis(100);
/// A range whose messages are old already is gathered for this long all the same: they come from a backlog, and small
/// ranges would not reduce it.
const LEAST: Duration = Duration::from_millis(100);
/// Longer than any write lasts.
const FOREVER: Duration = Duration::from_secs(86_400);
/// Longest wait for the next message of a range that is known to be there.
const EXACT_TIMEOUT: Duration = Duration::from_secs(10);

/// When a range is full.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most events, as long as a single message does not hold more.
    pub max_events: usize,
    /// Longest time after its first message.
    pub max_age: Duration,
}

/// A range in memory.
#[derive(Debug)]
pub struct Range {
    /// Its name.
    pub name: RangeName,
    /// Its messages, in order.
    pub messages: Vec<Message>,
    /// Whether another message would not have fitted.
    pub is_full: bool,
}

#[derive(Default)]
struct Gathering {
    namer: RangeNamer,
    messages: Vec<Message>,
    events: usize,
    bytes: usize,
    is_full: bool,
}

impl Gathering {
    /// Takes the message, or gives it back when the range is full without it.
    fn push(&mut self, message: Message, limits: Limits) -> Result<(), Message> {
        let events = schemas::pack::lines(&message.payload).count();
        let full = self.events + events > limits.max_events || self.bytes + message.payload.len() > BYTES_MAX;
        if full && !self.messages.is_empty() {
            self.is_full = true;
            return Err(message);
        }
        self.events += events;
        self.bytes += message.payload.len();
        self.take(message);
        Ok(())
    }

    fn take(&mut self, message: Message) {
        self.namer.push(message.seq, &message.id, crc32c::crc32c(&message.payload));
        self.messages.push(message);
    }

    fn finish(self) -> Option<Range> {
        Some(Range { name: self.namer.finish()?, messages: self.messages, is_full: self.is_full })
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A range does not end before this because of silence: ranges are kept apart under a trickle, since every range
    /// costs ClickHouse a part per table.
    pub not_before: Instant,
    /// Longest wait for a first message.
    pub idle: Duration,
}

/// Gathers the next range; `None` when no message came in time. A stop ends the range with what is there.
pub async fn next_range(
    reader: &mut Reader,
    limits: Limits,
    patience: Patience,
    stop: &CancellationToken,
) -> Result<Option<Range>, consume::Error> {
    let mut gathering = Gathering::default();
    let mut end = Instant::now() + patience.idle;
    let mut oldest = None;
    loop {
        let message = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sleep_until(end) => break,
            message = reader.next() => message?,
        };
        let published_at = message.published_at;
        if let Err(surplus) = gathering.push(message, limits) {
            reader.put_back(surplus);
            break;
        }
        let now = Instant::now();
        let oldest = *oldest.get_or_insert_with(|| now + patience_left(published_at, Timestamp::now(), limits.max_age));
        end = (now + QUIET).max(patience.not_before).min(oldest);
    }
    Ok(gathering.finish())
}

/// How long a range may still be gathered after its first message: while a range is being written the next one's messages
/// grow old, and that time is part of their age.
fn patience_left(published_at: Timestamp, now: Timestamp, max_age: Duration) -> Duration {
    let age_ms = now.millis_since(published_at).max(0.0);
    max_age.saturating_sub(Duration::from_secs_f64(age_ms / 1000.0)).max(LEAST.min(max_age))
}

/// Gathers the next range while another one is being written, if it gets full in that time. Otherwise the reader has its
/// messages again.
pub async fn next_full_range(
    reader: &mut Reader,
    limits: Limits,
    written: &CancellationToken,
) -> Result<Option<Range>, consume::Error> {
    let forever = Instant::now() + FOREVER;
    let patience = Patience { not_before: forever, idle: FOREVER };
    let limits = Limits { max_age: FOREVER, ..limits };
    let range = next_range(reader, limits, patience, written).await?;
    Ok(range.and_then(|range| {
        if range.is_full {
            return Some(range);
        }
        range.messages.into_iter().rev().for_each(|message| reader.put_back(message));
        None
    }))
}

/// Reads the messages up to sequence `to`, whatever their size. `None` when the next one is behind it already.
pub async fn exact_range(reader: &mut Reader, to: u64) -> Result<Option<Range>, consume::Error> {
    let mut gathering = Gathering::default();
    loop {
        // That the range is there was checked before: silence says nothing about it.
        let stalled = |_| consume::Error::Broken(format!("no message came for {EXACT_TIMEOUT:?}"));
        let message = timeout(EXACT_TIMEOUT, reader.next()).await.map_err(stalled)??;
        if message.seq > to {
            reader.put_back(message);
            break;
        }
        let last = message.seq == to;
        gathering.take(message);
        if last {
            break;
        }
    }
    Ok(gathering.finish())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(seq: u64, payload: &'static [u8]) -> Message {
        let published_at = Timestamp::from_micros(0);
        let payload = Bytes::from_static(payload);
        Message { seq, id: seq.to_string(), subject: String::new(), published_at, pending: 0, replay: None, payload }
    }

    #[test]
    fn the_age_of_a_range_begins_when_its_first_message_was_published() {
        let (second, at) = (Duration::from_secs(1), |ms: i64| Timestamp::from_micros(ms * 1000));
        let left_ms = |published: i64, now: i64| patience_left(at(published), at(now), second).as_millis();
        assert_eq!(left_ms(0, 0), 1000);
        assert_eq!(left_ms(0, 300), 700);
        assert_eq!(left_ms(0, 950), 100, "a backlog is not read in crumbs");
        assert_eq!(left_ms(0, 90_000), 100);
        assert_eq!(left_ms(500, 0), 1000, "the server's clock may be ahead");
        assert_eq!(patience_left(at(0), at(90_000), Duration::from_millis(20)), Duration::from_millis(20));
    }

    #[test]
    fn a_message_that_does_not_fit_begins_the_next_range_and_a_huge_one_is_a_range_of_its_own() {
        let limits = Limits { max_events: 3, max_age: Duration::from_secs(1) };
        let mut gathering = Gathering::default();
        assert!(gathering.push(message(1, b"{}\n{}\n"), limits).is_ok());
        assert_eq!(gathering.push(message(2, b"{}\n{}\n"), limits).unwrap_err().seq, 2);
        assert!(gathering.push(message(3, b"{}\n"), limits).is_ok());
        let range = gathering.finish().unwrap();
        assert_eq!((range.name.from, range.name.to, range.name.messages), (1, 3, 2));

        let mut huge = Gathering::default();
        assert!(huge.push(message(1, b"{}\n{}\n{}\n{}\n{}\n"), limits).is_ok());
        assert!(huge.push(message(2, b"{}\n"), limits).is_err());
        assert!(Gathering::default().finish().is_none());
    }
}
