//! The recording of one partition as a machine: it says what to do, is told what came of it, and says what is next.
//!
//! It does no I/O and has no clock, so that a simulation can run it through every order of faults; the recorder runs the
//! same machine over NATS and ClickHouse. A fault is not told to it: whoever meets one drops the machine and starts a
//! new one, which begins at [`Task::Load`]. Everything that must outlive that is in KV.

use std::collections::{BTreeMap, BTreeSet};

use schemas::progress::{Intent, Progress, SeqSet};
use schemas::time::Timestamp;
use uuid::Uuid;

use super::{
    BOUNDS, Departure, Fenced, Numbers, RangeName, Step, Stored, StreamFacts, Tenure, TokenBase, add_stored, added,
    begin, commit, confirm, intend, keep_within, look_up, next, retire, start_over, take, verify,
};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Read the state from KV.
    Load,
    /// Ask the server about the stream.
    AskStream,
    /// Ask ClickHouse which events of the partition it holds.
    AskStored(Since),
    /// Wait until no insert that somebody has begun before can still take effect.
    Settle,
    /// Write the state to KV, over this revision or, with none, only if there is no state.
    Save(Box<Progress>, Option<u64>),
    /// Read the next range, which begins here. There may be none yet.
    Gather(u64),
    /// Read exactly this range again.
    Reread(Intent),
    /// Find out which events of the range that was read are to be recorded.
    Plan,
    /// Ask ClickHouse which events of these ledgers it holds.
    LookUp(BTreeSet<Uuid>),
    /// Write what was planned, under these tokens, until it is known to be written.
    Write(TokenBase),
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Told {
    /// The state and its revision, if there is one.
    Loaded(Option<(Progress, u64)>),
    /// What the server says.
    Stream(StreamFacts),
    /// What ClickHouse holds.
    Stored(Vec<Stored>),
    /// It is safe to trust what ClickHouse says.
    Settled,
    /// The state is in KV, under this revision.
    Saved(u64),
    /// A range was read.
    Gathered(RangeName),
    /// The range was read again; `None` when it is not there.
    Reread(Option<RangeName>),
    /// What is recorded once the range is, and whether it holds anything to be written.
    Planned {
        /// The epochs with the range's events added.
        epochs: BTreeMap<Uuid, SeqSet>,
        /// Whether there is something to write.
        writes: bool,
    },
    /// Everything is written.
    Written,
}

/// Since when a progress may have missed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It was last written then.
    Progress(Timestamp),
    /// There is none.
    Ever,
}

/// Why a machine cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The partition belongs to somebody else.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// What was told does not answer the task: a fault of ours.
    #[error("the recording was told something that it did not ask for")]
    Astray,
}

/// What an answer of ClickHouse is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    /// To make the first state.
    Begin { settled: bool },
    /// To go on from a state that may have fallen behind.
    Learn,
    /// To read the stream anew.
    StartOver,
}

/// What a state is saved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saving {
    Take,
    Begin,
    Intend,
    Commit,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Recording {
    tenure: Tenure,
    task: Task,
    progress: Progress,
    revision: Option<u64>,
    /// When the state was written that this machine has found.
    found_at: Since,
    /// Whether ClickHouse has been asked since then whether it holds more.
    asked: bool,
    asking: Asking,
    saving: Saving,
    stream_created: String,
    range: RangeName,
    looked_up: bool,
    /// The epochs once the range in hand is recorded.
    planned: BTreeMap<Uuid, SeqSet>,
    finished: BTreeMap<Uuid, u64>,
    /// Intents that were made under this tenure.
    intents: u64,
    departed: Option<Departure>,
}

impl Recording {
    /// Begins under a lease.
    pub fn new(tenure: Tenure) -> Self {
        Self {
            tenure,
            task: Task::Load,
            progress: Progress::default(),
            revision: None,
            found_at: Since::Ever,
            asked: false,
            asking: Asking::Learn,
            saving: Saving::Take,
            stream_created: String::new(),
            range: RangeName::default(),
            looked_up: false,
            planned: BTreeMap::new(),
            finished: BTreeMap::new(),
            intents: 0,
            departed: None,
        }
    }

    /// What is to be done now.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The state as it is known.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The events that the range in hand adds, from its plan to its commit.
    pub fn in_hand(&self) -> Numbers {
        added(&self.progress.epochs, &self.planned)
    }

    /// Why the stream is being read anew; handed out once.
    pub fn take_departure(&mut self) -> Option<Departure> {
        self.departed.take()
    }

    /// These ledgers have ended, with these last numbers: once they are recorded they need not be remembered.
    pub fn finished(&mut self, ledgers: BTreeMap<Uuid, u64>) {
        self.finished = ledgers;
    }

    /// Takes what came of the task.
    pub fn tell(&mut self, told: Told, now: Timestamp) -> Result<(), Stop> {
        let task = std::mem::replace(&mut self.task, Task::Load);
        self.task = match (task, told) {
            (Task::Load, Told::Loaded(None)) => Task::AskStream,
            (Task::Load, Told::Loaded(Some((progress, revision)))) => self.found(progress, revision)?,
            (Task::AskStream, Told::Stream(facts)) => self.checked(facts),
            (Task::Settle, Told::Settled) => Task::AskStored(self.found_at),
            (Task::AskStored(_), Told::Stored(runs)) => self.learned(&runs, now),
            (Task::Save(progress, _), Told::Saved(revision)) => self.saved(*progress, revision),
            (Task::Gather(_), Told::Gathered(range)) => self.read(range),
            (Task::Reread(intent), Told::Reread(range)) => match range {
                Some(range) if confirm(&intent, &range).is_ok() => self.read(range),
                _ => self.abandon(Departure::RangeChanged),
            },
            (Task::Plan, Told::Planned { epochs, writes }) => self.planned(epochs, writes, now),
            (Task::LookUp(_), Told::Stored(runs)) => {
                add_stored(&mut self.progress.epochs, &runs);
                Task::Plan
            }
            (Task::Write(_), Told::Written) => self.commit(now),
            _ => return Err(Stop::Astray),
        };
        Ok(())
    }

    /// The fence is raised before anything else is looked at: from then on nobody before us can change the state.
    fn found(&mut self, progress: Progress, revision: u64) -> Result<Task, Stop> {
        self.found_at = Since::Progress(progress.updated_at);
        let taken = take(&progress, &self.tenure)?;
        (self.progress, self.revision) = (progress, Some(revision));
        Ok(match taken {
            Some(taken) => self.save(taken, Saving::Take),
            None => Task::AskStream,
        })
    }

    fn checked(&mut self, facts: StreamFacts) -> Task {
        let verdict = verify(&self.progress, &facts);
        self.stream_created = facts.created;
        match (self.revision, verdict) {
            (None, _) => self.ask(Asking::Begin { settled: false }),
            (Some(_), Err(departure)) => self.abandon(departure),
            (Some(_), Ok(())) => match next(&self.progress) {
                // An intent must be repeated from the state that it was made in, whatever else is stored.
                Step::Repeat(intent) => Task::Reread(intent),
                Step::Gather(_) => self.ask(Asking::Learn),
            },
        }
    }

    fn ask(&mut self, asking: Asking) -> Task {
        self.asking = asking;
        Task::AskStored(self.found_at)
    }

    /// The tokens of a range that cannot be repeated will not be used again. Nobody may still be writing under them when
    /// ClickHouse is asked what it holds.
    fn abandon(&mut self, departure: Departure) -> Task {
        self.departed = Some(departure);
        self.asking = Asking::StartOver;
        if self.progress.intent.is_some() { Task::Settle } else { Task::AskStored(self.found_at) }
    }

    fn learned(&mut self, runs: &[Stored], now: Timestamp) -> Task {
        self.asked = true;
        let mut progress = match self.asking {
            // The state was lost, and with it perhaps the intent of somebody who is still writing.
            Asking::Begin { settled: false } if !runs.is_empty() => {
                self.asking = Asking::Begin { settled: true };
                return Task::Settle;
            }
            Asking::Begin { .. } => begin(&self.tenure, &self.stream_created, now),
            Asking::StartOver => start_over(&self.progress, &self.tenure, &self.stream_created, now),
            Asking::Learn => {
                // Written with the next intent.
                add_stored(&mut self.progress.epochs, runs);
                return Task::Gather(self.progress.done + 1);
            }
        };
        add_stored(&mut progress.epochs, runs);
        if progress.epochs.len() > BOUNDS.epochs {
            keep_within(&mut progress.epochs, BOUNDS, now);
        }
        self.save(progress, Saving::Begin)
    }

    fn read(&mut self, range: RangeName) -> Task {
        self.range = range;
        self.looked_up = false;
        Task::Plan
    }

    fn planned(&mut self, epochs: BTreeMap<Uuid, SeqSet>, writes: bool, now: Timestamp) -> Task {
        let intended = self.progress.intent.is_some();
        if !intended && !self.looked_up {
            self.looked_up = true;
            let unknown = look_up(epochs.keys(), &self.progress.epochs, now);
            if !unknown.is_empty() {
                return Task::LookUp(unknown);
            }
        }
        self.planned = epochs;
        match (&self.progress.intent, writes) {
            (Some(intent), _) => self.write(intent),
            (None, true) => {
                self.intents += 1;
                let nonce = self.tenure.salt.wrapping_add(self.intents);
                self.save(intend(&self.progress, &self.range, nonce, now), Saving::Intend)
            }
            (None, false) => self.commit(now),
        }
    }

    fn write(&self, intent: &Intent) -> Task {
        Task::Write(TokenBase::new(self.tenure.partition, self.progress.incarnation, intent))
    }

    fn commit(&mut self, now: Timestamp) -> Task {
        let mut epochs = std::mem::take(&mut self.planned);
        retire(&mut epochs, &self.finished, now);
        self.save(commit(&self.progress, &self.range, epochs, now), Saving::Commit)
    }

    fn save(&mut self, progress: Progress, saving: Saving) -> Task {
        self.saving = saving;
        Task::Save(Box::new(progress), self.revision)
    }

    fn saved(&mut self, progress: Progress, revision: u64) -> Task {
        (self.progress, self.revision) = (progress, Some(revision));
        match self.saving {
            Saving::Take => Task::AskStream,
            Saving::Intend => self.progress.intent.as_ref().map_or(Task::Load, |intent| self.write(intent)),
            // A state with an intent may itself have been behind: a KV that was rolled back knows nothing of what was
            // recorded after it.
            Saving::Commit if !self.asked => self.ask(Asking::Learn),
            Saving::Begin | Saving::Commit => Task::Gather(self.progress.done + 1),
        }
    }
}
