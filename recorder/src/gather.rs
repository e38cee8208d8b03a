//! Messages -> a range: until it is full, old enough, or nothing more comes.

use std::time::Duration;

use schemas::time::Timestamp;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::consume::{self, Envelope, Message, Reader};
use crate::decoding::{Decoding, Reading};
use crate::protocol::{RangeName, RangeNamer};

/// Most bytes of packs in a range; its rows take less.
const BYTES_MAX: usize = 112 << 20;
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

/// A range that was read and is being decoded.
#[derive(Debug)]
pub struct Range {
    /// Its name.
    pub name: RangeName,
    /// What is known of its messages, in order. Their bytes are in the stream until the range is recorded.
    pub messages: Vec<Envelope>,
    /// Its lines.
    pub decoding: Decoding,
}

/// A range that is being read.
#[derive(Debug)]
pub struct Gathering {
    reading: Reading,
    decoding: Option<Decoding>,
    namer: RangeNamer,
    messages: Vec<Envelope>,
    events: usize,
    bytes: usize,
    /// Whether another message did not fit.
    is_full: bool,
}

impl Gathering {
    /// Nothing yet.
    pub fn new(reading: Reading) -> Self {
        Self {
            reading,
            decoding: None,
            namer: RangeNamer::default(),
            messages: Vec::new(),
            events: 0,
            bytes: 0,
            is_full: false,
        }
    }

    /// Takes the message, or gives it back when the range is full without it.
    async fn push(&mut self, message: Message, limits: Limits) -> Result<(), Message> {
        let events = schemas::pack::lines(&message.payload).count();
        let full = self.events + events > limits.max_events || self.bytes + message.payload.len() > BYTES_MAX;
        if full && !self.messages.is_empty() {
            self.is_full = true;
            return Err(message);
        }
        self.events += events;
        self.bytes += message.payload.len();
        self.take(message).await;
        Ok(())
    }

    async fn take(&mut self, message: Message) {
        let Envelope { seq, id, checksum, .. } = &message.envelope;
        self.namer.push(*seq, id, *checksum);
        let decoding = self.decoding.get_or_insert_with(|| Decoding::start(self.reading.clone()));
        self.messages.push(decoding.push(message).await);
    }

    /// The range, if there is a message in it.
    pub fn finish(self) -> Option<Range> {
        Some(Range { name: self.namer.finish()?, messages: self.messages, decoding: self.decoding? })
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

/// Gathers until the range is full or old enough, or nothing more comes. A stop ends it with what is there.
pub async fn next_range(
    reader: &mut Reader,
    gathering: &mut Gathering,
    limits: Limits,
    patience: Patience,
    stop: &CancellationToken,
) -> Result<(), consume::Error> {
    let age_at = |published_at| Instant::now() + patience_left(published_at, Timestamp::now(), limits.max_age);
    let end_at = |oldest: Instant| (Instant::now() + QUIET).max(patience.not_before).min(oldest);
    let mut oldest = gathering.messages.first().map(|message| age_at(message.published_at));
    let mut end = oldest.map_or_else(|| Instant::now() + patience.idle, end_at);
    while !gathering.is_full {
        let message = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sleep_until(end) => break,
            message = reader.next() => message?,
        };
        let published_at = message.envelope.published_at;
        if let Err(surplus) = gathering.push(message, limits).await {
            reader.put_back(surplus);
            break;
        }
        end = end_at(*oldest.get_or_insert_with(|| age_at(published_at)));
    }
    Ok(())
}

/// How long a range may still be gathered after its first message: while a range is being written the next one's messages
/// grow old, and that time is part of their age.
fn patience_left(published_at: Timestamp, now: Timestamp, max_age: Duration) -> Duration {
    let age_ms = now.millis_since(published_at).max(0.0);
    max_age.saturating_sub(Duration::from_secs_f64(age_ms / 1000.0)).max(LEAST.min(max_age))
}

/// Gathers while another range is being written, until this one is full.
pub async fn while_written(
    reader: &mut Reader,
    gathering: &mut Gathering,
    limits: Limits,
    written: &CancellationToken,
) -> Result<(), consume::Error> {
    let patience = Patience { not_before: Instant::now() + FOREVER, idle: FOREVER };
    next_range(reader, gathering, Limits { max_age: FOREVER, ..limits }, patience, written).await
}

/// Reads the messages up to sequence `to`, whatever their size. `None` when the next one is behind it already.
pub async fn exact_range(
    reader: &mut Reader,
    mut gathering: Gathering,
    to: u64,
) -> Result<Option<Range>, consume::Error> {
    loop {
        // That the range is there was checked before: silence says nothing about it.
        let stalled = |_| consume::Error::Broken(format!("no message came for {EXACT_TIMEOUT:?}"));
        let message = timeout(EXACT_TIMEOUT, reader.next()).await.map_err(stalled)??;
        if message.envelope.seq > to {
            reader.put_back(message);
            break;
        }
        let last = message.envelope.seq == to;
        gathering.take(message).await;
        if last {
            break;
        }
    }
    Ok(gathering.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn message(seq: u64, payload: &'static [u8]) -> Message {
        let (id, subject, published_at) = (seq.to_string(), String::new(), Timestamp::from_micros(0));
        let checksum = crc32c::crc32c(payload);
        let envelope = Envelope { seq, id, subject, published_at, pending: 0, replay: None, checksum };
        Message { envelope, payload: Bytes::from_static(payload) }
    }

    fn gathering() -> Gathering {
        Gathering::new(Reading { partition: 0, book: Arc::default() })
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

    #[tokio::test]
    async fn a_message_that_does_not_fit_begins_the_next_range_and_a_huge_one_is_a_range_of_its_own() {
        let limits = Limits { max_events: 3, max_age: Duration::from_secs(1) };
        let mut gathering = self::gathering();
        assert!(gathering.push(message(1, b"{}\n{}\n"), limits).await.is_ok());
        assert_eq!(gathering.push(message(2, b"{}\n{}\n"), limits).await.unwrap_err().envelope.seq, 2);
        assert!(gathering.push(message(3, b"{}\n"), limits).await.is_ok());
        let range = gathering.finish().unwrap();
        assert_eq!((range.name.from, range.name.to, range.name.messages), (1, 3, 2));
        assert_eq!(range.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), [1, 3]);
        let decoded = format!("{:?}", range.decoding.finish().await.unwrap());
        assert_eq!(decoded.matches("Poison {").count(), 3, "{decoded}");

        let mut huge = self::gathering();
        assert!(huge.push(message(1, b"{}\n{}\n{}\n{}\n{}\n"), limits).await.is_ok());
        assert!(huge.push(message(2, b"{}\n"), limits).await.is_err());
        assert!(self::gathering().finish().is_none());
    }
}
