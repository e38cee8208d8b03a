//! A recorder: the real leases and the real recording machines, one request at a time over a world that fails.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ::recorder::lease::{Board, Keeper, Times};
use ::recorder::protocol::{
    Admission, Admitter, Bounds, RangeName, RangeNamer, Recording, Stored, Task, Tenure, TokenBase, Told,
};
use schemas::outcome::Kind;
use schemas::progress::{Intent, SeqSet};
use schemas::time::Timestamp;
use uuid::Uuid;

use super::clickhouse::{ClickHouse, Fate};
use super::nats::{Event, Message, Nats};
use super::rng::Rng;
use super::sabotage::Sabotage;

pub const LEASE: Duration = Duration::from_secs(8);
/// What was sent to ClickHouse takes effect within this time, or not at all.
pub const LATE_MS: u64 = 6_000;
/// Small ones, so that events are put off.
const BOUNDS: Bounds = Bounds { ranges: 5, epochs: 5 };

/// What a recorder acts on.
pub struct World<'a> {
    pub nats: &'a mut Nats,
    pub clickhouse: &'a mut ClickHouse,
    pub rng: &'a mut Rng,
    pub now_ms: u64,
    pub now: Instant,
    pub sabotage: Sabotage,
    /// How many requests in a thousand fail at NATS, and how many at ClickHouse.
    pub nats_faults: u64,
    pub clickhouse_faults: u64,
    /// The ledgers of gateways that have ended, with their last numbers per partition.
    pub ended: &'a BTreeMap<Uuid, BTreeMap<u16, u64>>,
}

impl World<'_> {
    fn timestamp(&self) -> Timestamp {
        // A second of the clock lasts long here, so that what rests on seconds being different is found out.
        Timestamp::from_micros(1_795_000_000_000_000 + i64::try_from(self.now_ms / 30 * 1000).unwrap_or(0))
    }

    fn nats_fails(&mut self) -> bool {
        self.rng.one_in_thousand(self.nats_faults)
    }
}

#[derive(Debug)]
struct Hand {
    messages: Vec<Message>,
    cells: Vec<(Rc<str>, Rc<[Event]>)>,
    rows: Vec<Event>,
}

#[derive(Debug)]
struct Worker {
    fence: u64,
    connection: u64,
    recording: Recording,
    hand: Option<Hand>,
    settled_at: Option<u64>,
    /// With the sabotage that commits first: a commit that still has to be written.
    owes: Vec<(Rc<str>, Rc<[Event]>)>,
}

/// A board that was read and what is to be made of it.
#[derive(Debug)]
struct Proposal {
    before: Board,
    revision: Option<u64>,
    connection: u64,
    after: Board,
}

#[derive(Debug)]
pub struct Recorder {
    pub frozen_until: u64,
    keeper: Keeper,
    beat_at: u64,
    proposal: Option<Proposal>,
    workers: BTreeMap<u16, Worker>,
    /// Partitions whose write was cut off, until the time that they may be worked on again.
    quarantine: BTreeMap<u16, u64>,
    partitions: u16,
    pub stopping: bool,
}

impl Recorder {
    pub fn new(name: String, partitions: u16) -> Self {
        Self {
            frozen_until: 0,
            keeper: Keeper::new(name, partitions, Times::of(LEASE)),
            beat_at: 0,
            proposal: None,
            workers: BTreeMap::new(),
            quarantine: BTreeMap::new(),
            partitions,
            stopping: false,
        }
    }

    /// Does one thing.
    pub fn step(&mut self, world: &mut World<'_>) {
        if world.now_ms >= self.beat_at || self.proposal.is_some() {
            return self.beat(world);
        }
        self.drop_lost(world);
        let partition = u16::try_from(world.rng.below(u64::from(self.partitions))).unwrap_or(0);
        let held = self.keeper.held().find(|(held, _, leaving)| *held == partition && !leaving);
        if !self.workers.contains_key(&partition)
            && let Some((_, fence, _)) = held
            && self.is_valid(world)
            && !self.quarantine.contains_key(&partition)
            && !self.stopping
        {
            self.workers.insert(partition, Worker::new(partition, self.keeper.me(), fence, world));
        }
        let leaving = self.stopping || self.keeper.held().any(|(held, _, leaving)| held == partition && leaving);
        let Some(worker) = self.workers.get_mut(&partition) else { return };
        let between_ranges = matches!(worker.recording.task(), Task::Load | Task::AskStream | Task::Gather(_));
        if leaving && between_ranges {
            self.workers.remove(&partition);
            return;
        }
        match worker.step(partition, world) {
            Ok(()) => {}
            Err(Failure::Fenced(fence)) => {
                self.keeper.found_fence(partition, fence);
                self.workers.remove(&partition);
            }
            Err(Failure::Broken) => drop(self.workers.remove(&partition)),
        }
    }

    fn is_valid(&self, world: &World<'_>) -> bool {
        self.keeper.valid_until().is_some_and(|until| world.now < until)
            || matches!(world.sabotage, Sabotage::LeaseOutlived | Sabotage::NoFence)
    }

    /// What a worker sees first whenever it comes to do something.
    fn drop_lost(&mut self, world: &World<'_>) {
        self.quarantine.retain(|_, until| world.now_ms < *until);
        if matches!(world.sabotage, Sabotage::LeaseOutlived | Sabotage::NoFence) {
            return;
        }
        let valid = self.is_valid(world);
        let held: BTreeMap<u16, u64> = self.keeper.held().map(|(partition, fence, _)| (partition, fence)).collect();
        let is_lost = |partition: &u16, worker: &Worker| !valid || held.get(partition) != Some(&worker.fence);
        let lost: Vec<u16> =
            self.workers.iter().filter(|(at, worker)| is_lost(at, worker)).map(|(partition, _)| *partition).collect();
        for partition in lost {
            let cut =
                self.workers.remove(&partition).is_some_and(|gone| matches!(gone.recording.task(), Task::Write(_)));
            if cut {
                self.quarantine.insert(partition, world.now_ms + LEASE.as_millis() as u64);
            }
        }
    }

    fn idle(&self) -> BTreeSet<u16> {
        let is_busy = |partition: &u16| self.workers.contains_key(partition) || self.quarantine.contains_key(partition);
        (0..self.partitions).filter(|partition| !is_busy(partition)).collect()
    }

    /// Reads the board at one step and writes it at the next, so that others come in between.
    fn beat(&mut self, world: &mut World<'_>) {
        self.beat_at = world.now_ms + 1000;
        let Some(proposal) = self.proposal.take() else {
            if world.nats_fails() {
                return;
            }
            let (before, revision) = world.nats.board();
            self.keeper.look(&before, world.now);
            let after = match self.stopping {
                true => self.keeper.farewell(&before, &self.idle()),
                false => self.keeper.propose(&before, &self.idle(), world.now),
            };
            self.proposal = Some(Proposal { before, revision, connection: world.nats.connection, after });
            return;
        };
        // The time counts from when the request is sent, which is now; the answer may come much later.
        let sent_at = world.now;
        if proposal.connection != world.nats.connection || world.nats_fails() {
            return;
        }
        let won = world.nats.save_board(proposal.after.clone(), proposal.revision);
        let heard = !world.nats_fails();
        if won && heard && !self.stopping {
            self.keeper.written(&proposal.before, &proposal.after, sent_at);
        }
    }

    /// Whether it has ended in order.
    pub fn has_left(&self, nats: &Nats) -> bool {
        self.stopping && self.workers.is_empty() && !nats.board().0.members.contains_key(self.keeper.me())
    }
}

enum Failure {
    Fenced(u64),
    Broken,
}

impl Worker {
    fn new(partition: u16, owner: &str, fence: u64, world: &mut World<'_>) -> Self {
        let fence_shown = if world.sabotage == Sabotage::NoFence { u64::MAX } else { fence };
        let owner = if world.sabotage == Sabotage::NoFence { String::new() } else { owner.to_owned() };
        let salt = world.rng.next();
        Self {
            fence,
            connection: world.nats.connection,
            recording: Recording::new(Tenure { partition, owner, fence: fence_shown, salt }),
            hand: None,
            settled_at: None,
            owes: Vec::new(),
        }
    }

    fn step(&mut self, partition: u16, world: &mut World<'_>) -> Result<(), Failure> {
        let task = self.recording.task().clone();
        let asks_clickhouse =
            matches!(task, Task::AskStored(_) | Task::LookUp(_) | Task::Write(_) | Task::Plan | Task::Settle);
        if !asks_clickhouse && (self.connection != world.nats.connection || world.nats_fails()) {
            return Err(Failure::Broken);
        }
        let Some(told) = self.act(partition, task, world)? else { return Ok(()) };
        self.recording.tell(told, world.timestamp()).map_err(|stop| match stop {
            ::recorder::protocol::Stop::Fenced(fenced) => Failure::Fenced(fenced.found),
            ::recorder::protocol::Stop::Astray => panic!("astray"),
        })?;
        if self.recording.take_departure().is_some() {
            self.hand = None;
        }
        Ok(())
    }

    fn act(&mut self, partition: u16, task: Task, world: &mut World<'_>) -> Result<Option<Told>, Failure> {
        Ok(Some(match task {
            Task::Load => Told::Loaded(world.nats.progress(partition).map(|(found, at)| (found.as_ref().clone(), at))),
            Task::AskStream => Told::Stream(world.nats.facts(partition, self.recording.progress())),
            Task::AskStored(_) => Told::Stored(self.stored(partition, world, |_| true)?),
            Task::LookUp(_) if world.sabotage == Sabotage::RetiredForgotten => Told::Stored(Vec::new()),
            Task::LookUp(ledgers) => Told::Stored(self.stored(partition, world, |run| ledgers.contains(&run.epoch))?),
            Task::Settle => match self.settled_at {
                Some(at) if world.now_ms >= at => Told::Settled,
                Some(_) => return Ok(None),
                None => {
                    let unwilling = matches!(world.sabotage, Sabotage::NoSettling | Sabotage::LeaseOutlived);
                    let wait_ms = if unwilling { 0 } else { LEASE.as_millis() as u64 };
                    self.settled_at = Some(world.now_ms + wait_ms);
                    return Ok(None);
                }
            },
            Task::Save(progress, over) => {
                let progress = *progress;
                let saved = world.nats.save_progress(partition, progress, over).ok_or(Failure::Broken)?;
                if world.nats_fails() {
                    // It is written and this recorder does not know.
                    return Err(Failure::Broken);
                }
                for (token, rows) in self.owes.drain(..) {
                    world.clickhouse.insert(&token, &rows, Fate::Well, 0, world.sabotage);
                }
                Told::Saved(saved)
            }
            Task::Gather(from) => match self.gather(partition, from, world)? {
                Some(name) => Told::Gathered(name),
                None => return Ok(None),
            },
            Task::Reread(intent) => Told::Reread(self.reread(partition, &intent, world)?),
            Task::Plan => self.plan(world),
            Task::Write(base) => match self.write(&base, world) {
                true => Told::Written,
                false => return Ok(None),
            },
        }))
    }

    fn stored(
        &self,
        partition: u16,
        world: &mut World<'_>,
        wanted: impl Fn(&Stored) -> bool,
    ) -> Result<Vec<Stored>, Failure> {
        if world.rng.one_in_thousand(world.clickhouse_faults) {
            return Err(Failure::Broken);
        }
        if world.sabotage == Sabotage::NothingLearnt {
            return Ok(Vec::new());
        }
        Ok(world.clickhouse.stored(partition).into_iter().filter(wanted).collect())
    }

    fn gather(&mut self, partition: u16, from: u64, world: &mut World<'_>) -> Result<Option<RangeName>, Failure> {
        let progress = self.recording.progress();
        world.nats.purge_recorded(partition, progress.done);
        if world.nats.stream(partition).created != progress.stream_created {
            return Err(Failure::Broken);
        }
        let ended = world.ended.iter().filter_map(|(epoch, last)| Some((*epoch, *last.get(&partition)?)));
        self.recording.finished(ended.collect());
        let most = 1 + world.rng.index(6);
        let stream = world.nats.stream(partition);
        let messages: Vec<(u64, Message)> =
            stream.messages.range(from..).take(most).map(|(seq, message)| (*seq, message.clone())).collect();
        Ok(self.take(messages))
    }

    /// The messages up to the intended end. The sabotage reads on and says that it did not.
    fn reread(&mut self, partition: u16, intent: &Intent, world: &mut World<'_>) -> Result<Option<RangeName>, Failure> {
        let stream = world.nats.stream(partition);
        let rebuilt = world.sabotage == Sabotage::RangeRebuilt;
        let to = if rebuilt { stream.last.max(intent.to) } else { intent.to };
        if stream.last < intent.to {
            return Err(Failure::Broken);
        }
        let messages = stream.messages.range(intent.from..=to).map(|(seq, message)| (*seq, message.clone())).collect();
        let name = self.take(messages);
        Ok(name.map(|name| match rebuilt {
            true => RangeName {
                from: intent.from,
                to: intent.to,
                messages: intent.messages,
                fingerprint: intent.fingerprint.clone(),
                last_id: name.last_id,
            },
            false => name,
        }))
    }

    fn take(&mut self, messages: Vec<(u64, Message)>) -> Option<RangeName> {
        let mut namer = RangeNamer::default();
        messages.iter().for_each(|(seq, message)| namer.push(*seq, &message.id, checksum(&message.events)));
        let messages = messages.into_iter().map(|(_, message)| message).collect();
        self.hand = Some(Hand { messages, cells: Vec::new(), rows: Vec::new() });
        namer.finish()
    }

    fn plan(&mut self, world: &World<'_>) -> Told {
        let epochs = self.recording.progress().epochs.clone();
        let mut admitter = Admitter::new(epochs, BOUNDS);
        let Some(hand) = &mut self.hand else { panic!("a plan without a range") };
        let events = hand.messages.iter().flat_map(|message| message.events.iter());
        let forgetful = world.sabotage == Sabotage::NumbersForgotten;
        hand.rows = events
            .filter(|event| {
                let admission = admitter.admit(event.epoch, event.seq);
                admission == Admission::New || (forgetful && admission == Admission::Known)
            })
            .copied()
            .collect();
        let epochs: BTreeMap<Uuid, SeqSet> = admitter.into_epochs();
        Told::Planned { epochs, writes: !hand.rows.is_empty() }
    }

    /// Writes one cell of the range, as the next of several that are under way at once; `true` when nothing is left.
    fn write(&mut self, base: &TokenBase, world: &mut World<'_>) -> bool {
        let Some(hand) = &mut self.hand else { panic!("a write without a range") };
        if !hand.rows.is_empty() {
            let mut cells: BTreeMap<(Kind, u32), Vec<Event>> = BTreeMap::new();
            for event in hand.rows.drain(..) {
                cells.entry((event.kind, u32::from(event.seq % 5 == 0))).or_default().push(event);
            }
            let token = |(kind, day): (Kind, u32)| match world.sabotage {
                Sabotage::TokenOfRangeAlone => forget_the_intent(&base.cell(&kind.to_string(), day)),
                _ => base.cell(&kind.to_string(), day).into(),
            };
            hand.cells = cells.into_iter().map(|(cell, rows)| (token(cell), rows.into())).collect();
        }
        if world.sabotage == Sabotage::CommitBeforeWrite {
            self.owes.append(&mut hand.cells);
            return true;
        }
        if hand.cells.is_empty() {
            return true;
        }
        let at = world.rng.index(hand.cells.len());
        let fate = match world.rng.one_in_thousand(world.clickhouse_faults) {
            false => Fate::Well,
            true => [Fate::ErrorBefore, Fate::ErrorBetween, Fate::ErrorAfter, Fate::Late][world.rng.index(4)],
        };
        let (token, rows) = &hand.cells[at];
        let token = match world.sabotage {
            Sabotage::FreshTokens => format!("{token}:{}", world.rng.next()).into(),
            _ => token.clone(),
        };
        let due_ms = world.now_ms + world.rng.below(LATE_MS);
        if world.clickhouse.insert(&token, rows, fate, due_ms, world.sabotage) {
            hand.cells.swap_remove(at);
        }
        hand.cells.is_empty()
    }
}

/// Stands for the checksum of the payload: the events are all of it.
fn checksum(events: &[Event]) -> u32 {
    events.iter().fold(7, |sum: u32, event| sum.wrapping_mul(31).wrapping_add(event.seq as u32))
}

/// `v1:0:3-9:stream:1795000000.000000000000002a:1` without the part that tells one intent from another.
fn forget_the_intent(token: &str) -> Rc<str> {
    let parts: Vec<&str> = token.split(':').collect();
    [parts[..4].join(":"), parts[5..].join(":")].join(":").into()
}
