//! A range and the progress before it -> the rows to write: decoded, without what was recorded before, by table and day.
//!
//! The result is a pure function of its input (but for `recorded_at`, which no token and no view looks at), so that a
//! range written a second time gives the same rows under the same tokens.

mod tables;

pub use tables::{ByDay, Cell, Tables};

use std::collections::BTreeMap;

use bytes::Bytes;
use schemas::events::{Event, Head};
use schemas::price::{Book, Memo};
use schemas::progress::SeqSet;
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::consume::Message;
use crate::decode::{self, Identity, Poison};
use crate::protocol::{Admission, Admitter, BOUNDS};
use crate::replay::Replay;
use crate::rows::{DeadLetterRow, Stage};

/// Place of an event in its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Index of the message in the range.
    pub message: usize,
    /// Index of the line in the message.
    pub line: usize,
}

/// What is the same for a whole range.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The partition being recorded.
    pub partition: u16,
    /// The stream's incarnation.
    pub incarnation: u32,
    /// The prices.
    pub book: &'a Book,
    /// The time that rows carry as `recorded_at`.
    pub recorded_at: Timestamp,
}

/// Everything to be written for a range.
#[derive(Debug, Default)]
pub struct Plan {
    /// Events.
    pub rows: Tables,
    /// What is no event.
    pub dead_letters: ByDay<DeadLetterRow>,
    /// Dead letters that came again.
    pub replays: Vec<Replay>,
    admitter: Admitter,
    /// What was found, for the metrics.
    pub tally: Tally,
}

/// Counts of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that become rows.
    pub stored: u64,
    /// Events that were recorded before.
    pub deduplicated: u64,
    /// Lines that become dead letters.
    pub dead_lettered: u64,
    /// Requests whose tokens are known and whose price is not.
    pub unpriced: u64,
    /// Events for which there is no room now: their gateways send them again.
    pub put_off: u64,
}

/// Every line of a range, read and priced, as if none was recorded before: what takes the longest, and depends on nothing
/// but the range.
#[derive(Debug)]
pub struct Decoded {
    lines: Vec<(Origin, Line)>,
    rows: Tables,
}

#[derive(Debug)]
enum Line {
    Event { epoch: Uuid, seq: u64, unpriced: bool },
    Poison(Box<Poison>),
}

/// Reads the lines of a range. Dead letters that came again are no packs.
pub fn decode(messages: &[Message], partition: u16, book: &Book) -> Decoded {
    let (mut prices, mut rows, mut lines) = (Memo::new(book), Tables::default(), Vec::new());
    for (message, pack) in messages.iter().enumerate().filter(|(_, message)| message.replay.is_none()) {
        for (line, text) in schemas::pack::lines(&pack.payload).enumerate() {
            let origin = Origin { message, line };
            let read = match decode::decode(text, partition) {
                Ok(event) => {
                    let (epoch, seq) = (event.head.epoch, event.head.seq);
                    Line::Event { epoch, seq, unpriced: rows.push(&mut prices, event, origin) }
                }
                Err(poison) => Line::Poison(Box::new(poison)),
            };
            lines.push((origin, read));
        }
    }
    Decoded { lines, rows }
}

impl Plan {
    /// Plans a range after the given epochs.
    pub fn new(context: Context<'_>, messages: &[Message], decoded: Decoded, epochs: BTreeMap<Uuid, SeqSet>) -> Self {
        let mut plan = Self { admitter: Admitter::new(epochs, BOUNDS), ..Self::default() };
        for (index, message) in messages.iter().enumerate() {
            if let Some(letter) = &message.replay {
                plan.add_replay(Replay::new(context, **letter, index, &message.payload));
            }
        }
        let Decoded { lines, mut rows } = decoded;
        let mut dropped = Vec::new();
        for (origin, line) in lines {
            match (line, messages.get(origin.message)) {
                (Line::Event { epoch, seq, unpriced }, _) if plan.is_new(epoch, seq) => plan.count(unpriced),
                (Line::Event { .. }, _) => dropped.push(origin),
                (Line::Poison(poison), Some(message)) => plan.add_poison(context, message, origin, &poison),
                (Line::Poison(_), None) => {}
            }
        }
        rows.remove(&dropped);
        rows.record_at(context.recorded_at);
        plan.rows = rows;
        plan
    }

    /// Plans a single event, whether it was recorded before or not.
    pub(crate) fn of_one(context: Context<'_>, event: Event, origin: Origin) -> Self {
        let mut plan = Self::default();
        let unpriced = plan.rows.push(&mut Memo::new(context.book), event, origin);
        plan.count(unpriced);
        plan.rows.record_at(context.recorded_at);
        plan
    }

    fn count(&mut self, unpriced: bool) {
        self.tally.stored += 1;
        self.tally.unpriced += u64::from(unpriced);
    }

    /// The progress's epochs with the range's events added; handed out once.
    pub fn take_epochs(&mut self) -> BTreeMap<Uuid, SeqSet> {
        std::mem::take(&mut self.admitter).into_epochs()
    }

    fn is_new(&mut self, epoch: Uuid, seq: u64) -> bool {
        let admission = self.admitter.admit(epoch, seq);
        self.tally.deduplicated += u64::from(admission == Admission::Known);
        self.tally.put_off += u64::from(admission == Admission::PutOff);
        admission == Admission::New
    }

    /// Whether nothing has to be written.
    pub fn is_empty(&self) -> bool {
        self.tally.stored == 0 && self.tally.dead_lettered == 0 && self.replays.is_empty()
    }

    /// Adds a dead letter that came again. Whether its row is there already is asked when it is written.
    fn add_replay(&mut self, replay: Replay) {
        if let Some((epoch, seq)) = replay.number() {
            self.admitter.admit(epoch, seq);
        }
        self.replays.push(replay);
    }

    fn add_poison(&mut self, context: Context<'_>, message: &Message, origin: Origin, poison: &Poison) {
        // A numbered event counts as recorded, or its gateway would send it again for ever.
        if let Identity { epoch: Some(epoch), partition: Some(partition), seq: Some(seq), .. } = poison.identity
            && partition == context.partition
            && seq > 0
            && !self.is_new(epoch, seq)
        {
            return;
        }
        self.tally.dead_lettered += 1;
        let row = dead_letter(context, message, origin, Fault { stage: Stage::Decode, poison });
        tables::push(&mut self.dead_letters, message.published_at.day(), row, origin);
    }
}

/// The dead letter of an event whose row ClickHouse refused, and its day.
pub fn refused(
    context: Context<'_>,
    messages: &[Message],
    origin: Origin,
    reason: String,
) -> Option<(u32, DeadLetterRow)> {
    let message = messages.get(origin.message)?;
    let line = line_of(message, origin)?;
    let identity = serde_json::from_slice::<Head>(&line).map_or_else(
        |_| Identity::default(),
        |head| Identity {
            epoch: Some(head.epoch),
            partition: Some(head.partition),
            seq: Some(head.seq),
            request_id: Some(head.request_id),
        },
    );
    let poison = Poison { reason, identity };
    let row = dead_letter(context, message, origin, Fault { stage: Stage::Insert, poison: &poison });
    Some((message.published_at.day(), row))
}

struct Fault<'a> {
    stage: Stage,
    poison: &'a Poison,
}

fn dead_letter(context: Context<'_>, message: &Message, origin: Origin, fault: Fault<'_>) -> DeadLetterRow {
    // The numbers of another partition mean nothing here.
    let ours = fault.poison.identity.partition == Some(context.partition);
    let identity = if ours { fault.poison.identity } else { Identity::default() };
    DeadLetterRow {
        partition: context.partition,
        incarnation: context.incarnation,
        stream_seq: message.seq,
        line: u32::try_from(origin.line).unwrap_or(u32::MAX),
        subject: message.subject.clone(),
        message_id: message.id.clone(),
        stage: fault.stage.as_str(),
        reason: fault.poison.reason.clone(),
        epoch: identity.epoch,
        seq: identity.seq,
        request_id: fault.poison.identity.request_id,
        payload: line_of(message, origin).unwrap_or_default(),
        published_at: message.published_at.as_micros(),
        recorded_at: context.recorded_at.as_micros(),
    }
}

/// The bytes of a line, shared with the message.
fn line_of(message: &Message, origin: Origin) -> Option<Bytes> {
    schemas::pack::lines(&message.payload).nth(origin.line).map(|line| message.payload.slice_ref(line))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::opened_row;
