//! A range and the progress before it -> the rows to write: decoded, without what was recorded before, by table and day.
//!
//! The result is a pure function of its input (but for `recorded_at`, which no token and no view looks at), so that a
//! range written a second time gives the same rows under the same tokens.

use std::collections::BTreeMap;

use bytes::Bytes;
use schemas::events::{Body, Event, Head};
use schemas::price::{Billed, Book};
use schemas::progress::SeqSet;
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::consume::Message;
use crate::decode::{self, Identity, Poison};
use crate::protocol::{Admission, Admitter, BOUNDS};
use crate::replay::Replay;
use crate::rows::{BodiesRow, CandidateRow, DeadLetterRow, OpenedRow, Recording, RequestRow, Stage};

/// Rows of one table by the UTC day that their partition in ClickHouse is named by.
pub type ByDay<R> = BTreeMap<u32, Cell<R>>;

/// The rows of one table and day: one insert, one token.
#[derive(Debug)]
pub struct Cell<R> {
    /// In the order of the stream.
    pub rows: Vec<R>,
    /// Where each row comes from.
    pub origins: Vec<Origin>,
}

impl<R> Default for Cell<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), origins: Vec::new() }
    }
}

/// Place of an event in its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Terminal events.
    pub requests: ByDay<RequestRow>,
    /// Candidate events.
    pub candidates: ByDay<CandidateRow>,
    /// Opened events.
    pub opened: ByDay<OpenedRow>,
    /// Captured bodies.
    pub bodies: ByDay<BodiesRow>,
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

/// Every line of a range, read: what takes the longest and depends on nothing that was recorded before.
pub type Decoded = Vec<(Origin, Result<Event, Poison>)>;

/// Reads the lines of a range. Dead letters that came again are no packs.
pub fn decode(messages: &[Message], partition: u16) -> Decoded {
    let packs = messages.iter().enumerate().filter(|(_, message)| message.replay.is_none());
    let lines = packs.flat_map(|(message, pack)| {
        schemas::pack::lines(&pack.payload).enumerate().map(move |(line, text)| (Origin { message, line }, text))
    });
    lines.map(|(origin, text)| (origin, decode::decode(text, partition))).collect()
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
        for (origin, decoded) in decoded {
            match (decoded, messages.get(origin.message)) {
                (Ok(event), _) => plan.add(context, event, origin),
                (Err(poison), Some(message)) => plan.add_poison(context, message, origin, &poison),
                (Err(_), None) => {}
            }
        }
        plan
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

    /// Adds an event that is not recorded yet; one that is, is counted.
    pub(crate) fn add(&mut self, context: Context<'_>, event: Event, origin: Origin) {
        let Event { head, body } = event;
        if !self.is_new(head.epoch, head.seq) {
            return;
        }
        self.tally.stored += 1;
        let recording = Recording { head: &head, recorded_at: context.recorded_at };
        match body {
            Body::Terminal(receipt) => {
                let priced = context.book.bill(&Billed::from(&*receipt));
                self.tally.unpriced += u64::from(priced.unpriced);
                let day = receipt.received_at.day();
                push(&mut self.requests, day, RequestRow::new(recording, *receipt, priced), origin);
            }
            Body::Candidate(candidate) => {
                let priced = context.book.bill(&Billed::from(&*candidate));
                let day = candidate.received_at.day();
                push(&mut self.candidates, day, CandidateRow::new(recording, *candidate, priced), origin);
            }
            Body::Opened(opened) => {
                let day = opened.received_at.day();
                push(&mut self.opened, day, OpenedRow::new(recording, *opened), origin);
            }
            Body::Bodies(bodies) => {
                let day = bodies.received_at.day();
                push(&mut self.bodies, day, BodiesRow::new(recording, *bodies), origin);
            }
        }
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
        push(&mut self.dead_letters, message.published_at.day(), row, origin);
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

fn push<R>(cells: &mut ByDay<R>, day: u32, row: R, origin: Origin) {
    let cell = cells.entry(day).or_default();
    cell.rows.push(row);
    cell.origins.push(origin);
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::opened_row;
