//! A range and the progress before it -> the rows to write: decoded, without what was recorded before, by table and day.
//!
//! The result is a pure function of its input (but for `recorded_at`, which no token and no view looks at), so that a
//! range written a second time gives the same rows under the same tokens.

mod tables;
mod lines;

pub use lines::{Decoded, Decoder};
pub use tables::{ByDay, Cell, Tables};

use std::collections::BTreeMap;

use bytes::Bytes;
use schemas::events::{Event, Head};
use schemas::price::{Book, Memo};
use schemas::progress::SeqSet;
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::consume::Envelope;
use crate::decode::{Identity, Poison};
use crate::protocol::{Admission, Admitter, BOUNDS};
use crate::replay::Replay;
use crate::rows::{DeadLetterRow, Stage};
use lines::Line;

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

/// Dead letters by the UTC day on which their messages were published.
pub type Letters = BTreeMap<u32, Vec<DeadLetterRow>>;

/// Everything to be written for a range.
#[derive(Debug, Default)]
pub struct Plan {
    /// Events; none before [`Plan::settle`].
    pub rows: Tables,
    /// What is no event.
    pub dead_letters: Letters,
    /// Dead letters that came again.
    pub replays: Vec<Replay>,
    admitter: Admitter,
    /// Events that do not become rows, in the order of the stream.
    dropped: Vec<Origin>,
    recorded_at: Timestamp,
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

impl Plan {
    /// Plans a range after the given epochs. The same lines may be planned again, when more is known to be recorded.
    pub fn new(context: Context<'_>, messages: &[Envelope], decoded: &Decoded, epochs: BTreeMap<Uuid, SeqSet>) -> Self {
        let recorded_at = context.recorded_at;
        let mut plan = Self { admitter: Admitter::new(epochs, BOUNDS), recorded_at, ..Self::default() };
        for (message, letter, payload) in &decoded.replays {
            plan.add_replay(Replay::new(context, *letter, *message, payload));
        }
        for (origin, line) in &decoded.lines {
            match (line, messages.get(origin.message)) {
                (Line::Event { epoch, seq, unpriced }, _) if plan.is_new(*epoch, *seq) => plan.count(*unpriced),
                (Line::Event { .. }, _) => plan.dropped.push(*origin),
                (Line::Poison(poison), Some(message)) => plan.add_poison(context, message, *origin, poison),
                (Line::Poison(_), None) => {}
            }
        }
        plan
    }

    /// Takes over the rows that were planned: from now on they can be written.
    pub fn settle(&mut self, decoded: Decoded) {
        let mut rows = decoded.rows;
        rows.remove(&self.dropped);
        rows.record_at(self.recorded_at);
        self.rows = rows;
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

    fn add_poison(
        &mut self,
        context: Context<'_>,
        message: &Envelope,
        origin: Origin,
        (poison, payload): &(Poison, Bytes),
    ) {
        // A numbered event counts as recorded, or its gateway would send it again for ever.
        if let Identity { epoch: Some(epoch), partition: Some(partition), seq: Some(seq), .. } = poison.identity
            && partition == context.partition
            && seq > 0
            && !self.is_new(epoch, seq)
        {
            return;
        }
        self.tally.dead_lettered += 1;
        let fault = Fault { stage: Stage::Decode, poison, payload: payload.clone() };
        let row = dead_letter(context, message, origin, fault);
        self.dead_letters.entry(message.published_at.day()).or_default().push(row);
    }
}

/// The dead letter of an event whose row ClickHouse refused, and its day; it came in this message.
pub fn refused(
    context: Context<'_>,
    (message, payload): (&Envelope, &Bytes),
    origin: Origin,
    reason: String,
) -> Option<(u32, DeadLetterRow)> {
    let line = schemas::pack::lines(payload).nth(origin.line).map(|line| payload.slice_ref(line))?;
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
    let fault = Fault { stage: Stage::Insert, poison: &poison, payload: line };
    Some((message.published_at.day(), dead_letter(context, message, origin, fault)))
}

struct Fault<'a> {
    stage: Stage,
    poison: &'a Poison,
    /// The line.
    payload: Bytes,
}

fn dead_letter(context: Context<'_>, message: &Envelope, origin: Origin, fault: Fault<'_>) -> DeadLetterRow {
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
        payload: fault.payload,
        published_at: message.published_at.as_micros(),
        recorded_at: context.recorded_at.as_micros(),
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::opened_row;
