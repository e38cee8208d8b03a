//! The ledger protocol's decisions, as pure functions of what is known: no clock, no client, no I/O.
//!
//! A range of a stream is named before it is written (the intent), written under tokens made of that name, and then
//! committed. Each step is a compare-and-set of the whole [`Progress`]; whoever finds an intent repeats it. The rows of
//! an intent depend on nothing but the range and the progress it was made from, so a token never names two sets of rows.
//! The order of the steps is [`Recording`].

mod admit;
mod recording;

pub use admit::{Admission, Admitter, BOUNDS, Bounds, RETIRE_AFTER, created, keep_within, look_up, retire};
pub use recording::{Recording, Since, Stop, Task, Told};

use std::collections::BTreeMap;

use schemas::progress::{Intent, Progress, SeqSet, count};
use schemas::time::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What the server says about a partition's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFacts {
    /// When it was created.
    pub created: String,
    /// Sequence of its first message still there.
    pub first: u64,
    /// Sequence of its last message.
    pub last: u64,
    /// Id of the message at [`Progress::done`]; `None` when that message is gone.
    pub id_at_done: Option<String>,
    /// Whether the last message of the intent is there; `true` without an intent.
    pub intent_end_found: bool,
}

/// Why a stream is not the one that the progress was made from: its sequences may name other messages now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Departure {
    /// Deleted and made again, for example because the server's store was wiped.
    #[error("the stream was created anew")]
    Recreated,
    /// It ends before what was recorded from it.
    #[error("the stream ends before the recorded position")]
    RolledBack,
    /// Another message stands where the last recorded one was.
    #[error("the message at the recorded position is another one")]
    Rewritten,
    /// The messages of a range that was about to be written are gone or others.
    #[error("the range that was being written cannot be read again as it was")]
    RangeChanged,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read exactly this range again and write it with the same tokens.
    Repeat(Intent),
    /// Gather a new range that begins here.
    Gather(u64),
}

/// The name of a range and what is needed to recognise it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeName {
    /// First stream sequence.
    pub from: u64,
    /// Last stream sequence, inclusive.
    pub to: u64,
    /// Messages in it.
    pub messages: u64,
    /// Hash over sequences, ids and payloads, in order.
    pub fingerprint: String,
    /// Id of the last message.
    pub last_id: String,
}

/// Collects a range's name while its messages arrive.
#[derive(Clone, Debug, Default)]
pub struct RangeNamer {
    from: Option<u64>,
    to: u64,
    messages: u64,
    last_id: String,
    hash: Sha256,
}

impl RangeNamer {
    /// Adds the next message. The checksum of its payload belongs to its name: after a loss the same id can stand at the
    /// same place with fewer events, when only those were lost and sent again.
    pub fn push(&mut self, seq: u64, id: &str, payload_checksum: u32) {
        self.from.get_or_insert(seq);
        self.to = seq;
        self.messages += 1;
        self.hash.update(seq.to_be_bytes());
        self.hash.update(id.as_bytes());
        self.hash.update([0]);
        self.hash.update(payload_checksum.to_be_bytes());
        id.clone_into(&mut self.last_id);
    }

    /// The finished name; `None` without a message.
    pub fn finish(self) -> Option<RangeName> {
        let digest = self.hash.finalize();
        let fingerprint = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Some(RangeName { from: self.from?, to: self.to, messages: self.messages, fingerprint, last_id: self.last_id })
    }
}

/// Whether the stream is the one that `progress` was made from.
pub fn verify(progress: &Progress, facts: &StreamFacts) -> Result<(), Departure> {
    if facts.created != progress.stream_created {
        return Err(Departure::Recreated);
    }
    if facts.last < progress.done {
        return Err(Departure::RolledBack);
    }
    if progress.done > 0 && facts.id_at_done.as_ref().is_some_and(|id| *id != progress.done_id) {
        return Err(Departure::Rewritten);
    }
    match &progress.intent {
        Some(intent) if facts.last < intent.to => Err(Departure::RolledBack),
        Some(intent) if facts.first > intent.from || !facts.intent_end_found => Err(Departure::RangeChanged),
        _ => Ok(()),
    }
}

/// The next step from here.
pub fn next(progress: &Progress) -> Step {
    match &progress.intent {
        Some(intent) => Step::Repeat(intent.clone()),
        None => Step::Gather(progress.done + 1),
    }
}

/// Whether a range that was read again is the intended one.
pub fn confirm(intent: &Intent, range: &RangeName) -> Result<(), Departure> {
    let same = (intent.from, intent.to, intent.messages) == (range.from, range.to, range.messages)
        && intent.fingerprint == range.fingerprint;
    if same { Ok(()) } else { Err(Departure::RangeChanged) }
}

/// The right to record a partition, as long as the lease lasts that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The partition.
    pub partition: u16,
    /// The recorder.
    pub owner: String,
    /// Higher than that of every lease of the partition before.
    pub fence: u64,
    /// A random number: the nonces of this tenure's intents follow it.
    pub salt: u64,
}

/// The state was written under a later lease than ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the partition was taken over: its fence is {found}, this recorder's is {own}")]
pub struct Fenced {
    /// The fence in the state.
    pub found: u64,
    /// Ours.
    pub own: u64,
}

/// The state as its new owner writes it before doing anything else: from then on every write of an earlier owner is
/// refused. `None` when it is ours already. When the rows were written that it knows of does not change by that.
pub fn take(progress: &Progress, tenure: &Tenure) -> Result<Option<Progress>, Fenced> {
    let Tenure { owner, fence, .. } = tenure;
    let is_later = progress.fence > *fence || (progress.fence == *fence && progress.owner != *owner);
    if is_later && progress.fence > 0 {
        return Err(Fenced { found: progress.fence, own: *fence });
    }
    if (progress.fence, &progress.owner) == (*fence, owner) {
        return Ok(None);
    }
    Ok(Some(Progress { owner: owner.clone(), fence: *fence, ..progress.clone() }))
}

/// The state of a partition that nobody has recorded from, or whose state was lost.
///
/// The incarnation starts at the clock's seconds and not at 0: when NATS was wiped with the bucket, tokens of the life
/// before must not come back for other rows.
pub fn begin(tenure: &Tenure, stream_created: &str, now: Timestamp) -> Progress {
    Progress {
        incarnation: seconds(now),
        stream_created: stream_created.to_owned(),
        owner: tenure.owner.clone(),
        fence: tenure.fence,
        updated_at: now,
        ..Progress::default()
    }
}

/// The state after the stream turned out to be another one: everything in it is read, what was recorded is recognised
/// by the events' own numbers, and no token is ever used again.
pub fn start_over(progress: &Progress, tenure: &Tenure, stream_created: &str, now: Timestamp) -> Progress {
    Progress {
        incarnation: seconds(now).max(progress.incarnation.saturating_add(1)),
        epochs: progress.epochs.clone(),
        ..begin(tenure, stream_created, now)
    }
}

fn seconds(now: Timestamp) -> u32 {
    u32::try_from(now.as_micros() / 1_000_000).unwrap_or(0)
}

/// The state in which a range is about to be written.
pub fn intend(progress: &Progress, range: &RangeName, nonce: u64, now: Timestamp) -> Progress {
    let RangeName { from, to, messages, fingerprint, .. } = range.clone();
    let intent = Intent { from, to, messages, fingerprint, nonce };
    Progress { intent: Some(intent), updated_at: now, ..progress.clone() }
}

/// The state in which a range is written; `epochs` is the progress's own with the range's events added.
pub fn commit(progress: &Progress, range: &RangeName, epochs: BTreeMap<Uuid, SeqSet>, now: Timestamp) -> Progress {
    Progress {
        incarnation: progress.incarnation,
        stream_created: progress.stream_created.clone(),
        done: range.to,
        done_id: range.last_id.clone(),
        intent: None,
        owner: progress.owner.clone(),
        fence: progress.fence,
        updated_at: now,
        epochs,
    }
}

/// Numbers of one epoch that ClickHouse holds: every one from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The gateway ledger.
    pub epoch: Uuid,
    /// The first number.
    pub first: u64,
    /// The last number, inclusive.
    pub last: u64,
}

/// Numbers of events, by ledger.
pub type Numbers = BTreeMap<Uuid, SeqSet>;

/// The numbers that are in the second and not in the first.
pub fn added(before: &Numbers, after: &Numbers) -> Numbers {
    let nothing = SeqSet::default();
    let added = after.iter().map(|(epoch, seqs)| {
        let added = seqs.without(before.get(epoch).unwrap_or(&nothing));
        (*epoch, SeqSet::of_ranges(&added))
    });
    added.filter(|(_, seqs)| seqs.highest() > 0).collect()
}

/// Adds what ClickHouse holds to what the progress knows. Returns how many numbers were not known: more than none means
/// that the state in KV had fallen behind.
pub fn add_stored(epochs: &mut BTreeMap<Uuid, SeqSet>, stored: &[Stored]) -> u64 {
    let mut added = 0;
    for run in stored {
        let set = epochs.entry(run.epoch).or_default();
        let before = count(set.ranges());
        *set = with_run(set, run.first.max(1), run.last);
        added += count(set.ranges()) - before;
    }
    added
}

fn with_run(set: &SeqSet, first: u64, last: u64) -> SeqSet {
    let known = set.ahead.iter().copied();
    let mut runs: Vec<(u64, u64)> =
        known.chain([(1, set.contiguous), (first, last)]).filter(|run| run.0 <= run.1).collect();
    runs.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(runs.len());
    for run in runs {
        match joined.last_mut() {
            Some(left) if run.0 <= left.1.saturating_add(1) => left.1 = left.1.max(run.1),
            _ => joined.push(run),
        }
    }
    let contiguous = joined.first().filter(|run| run.0 == 1).map_or(0, |run| run.1);
    joined.retain(|run| run.0 > contiguous);
    SeqSet { contiguous, ahead: joined }
}

/// How many numbers are missing below the highest known ones.
pub fn missing(epochs: &BTreeMap<Uuid, SeqSet>) -> u64 {
    count(epochs.values().flat_map(SeqSet::gaps))
}

/// The names of what an intent writes: the part of a token that is the same for all its tables and days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBase {
    partition: u16,
    incarnation: u32,
    from: u64,
    to: u64,
    nonce: u64,
}

impl TokenBase {
    /// The base for an intent that was made in the stream's incarnation.
    pub fn new(partition: u16, incarnation: u32, intent: &Intent) -> Self {
        Self { partition, incarnation, from: intent.from, to: intent.to, nonce: intent.nonce }
    }

    /// The token of one table's rows of one day.
    pub fn cell(&self, table: &str, day: u32) -> String {
        let Self { partition, incarnation, from, to, nonce } = self;
        // An intent of an earlier release has none, and keeps its tokens.
        let nonce = if *nonce == 0 { String::new() } else { format!(".{nonce:016x}") };
        format!("v1:{partition}:{from}-{to}:{table}:{incarnation}{nonce}:{day}")
    }
}

#[cfg(test)]
mod tests;
