//! A JetStream server as far as the protocol sees it: streams with sequences and message ids, KV with revisions, and
//! everything that it can lose.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use recorder::lease::Board;
use recorder::protocol::StreamFacts;
use schemas::outcome::Kind;
use schemas::progress::Progress;
use schemas::subjects;
use uuid::Uuid;

/// A full stream refuses what is published.
const STREAM_MAX: usize = 40;

/// An event, as the protocol sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    pub epoch: Uuid,
    pub partition: u16,
    pub seq: u64,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub id: Rc<str>,
    pub events: Rc<[Event]>,
    at_ms: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Stream {
    pub created: String,
    pub last: u64,
    pub messages: BTreeMap<u64, Message>,
    /// The message ids that are remembered, and since when.
    ids: BTreeMap<Rc<str>, u64>,
}

impl Stream {
    fn first(&self) -> u64 {
        self.messages.keys().next().copied().unwrap_or(self.last + 1)
    }
}

/// What a crash of the server's machine can take back.
#[derive(Clone, Debug, Default)]
struct Store {
    streams: BTreeMap<u16, Stream>,
    progress: BTreeMap<u16, (Rc<Progress>, u64)>,
    board: Option<(Rc<Board>, u64)>,
    revision: u64,
}

#[derive(Debug, Default)]
pub struct Nats {
    store: Store,
    earlier: VecDeque<Store>,
    created: u64,
    /// Raised with every connection that clients had to make anew.
    pub connection: u64,
}

impl Nats {
    /// Remembers the present state as one to be rolled back to.
    pub fn remember(&mut self) {
        self.earlier.push_back(self.store.clone());
        if self.earlier.len() > 6 {
            self.earlier.pop_front();
        }
    }

    pub fn restart(&mut self) {
        self.connection += 1;
    }

    pub fn wipe(&mut self) {
        self.restart();
        self.store = Store::default();
        self.earlier.clear();
    }

    /// The tail of everything is lost, as by a power loss. Message ids are learnt again from the messages left.
    pub fn roll_back(&mut self, choose: impl FnOnce(usize) -> usize) {
        self.restart();
        if self.earlier.is_empty() {
            return;
        }
        let chosen = choose(self.earlier.len());
        self.earlier.truncate(chosen + 1);
        self.store = self.earlier.back().cloned().unwrap_or_default();
        for stream in self.store.streams.values_mut() {
            stream.ids = stream.messages.values().map(|message| (message.id.clone(), message.at_ms)).collect();
        }
    }

    pub fn lose_kv(&mut self) {
        self.restart();
        (self.store.progress, self.store.board) = (BTreeMap::new(), None);
        self.earlier.clear();
    }

    pub fn stream(&mut self, partition: u16) -> &mut Stream {
        let created = &mut self.created;
        self.store.streams.entry(partition).or_insert_with(|| {
            *created += 1;
            Stream { created: format!("created-{created}"), ..Stream::default() }
        })
    }

    /// `true`: acknowledged, as new or as known.
    pub fn publish(&mut self, partition: u16, id: &Rc<str>, events: &Rc<[Event]>, now_ms: u64) -> bool {
        let stream = self.stream(partition);
        let window_ms = subjects::DUPLICATE_WINDOW.as_millis() as u64;
        if stream.ids.get(id).is_some_and(|at_ms| now_ms - at_ms < window_ms) {
            return true;
        }
        if stream.messages.len() >= STREAM_MAX {
            return false;
        }
        stream.last += 1;
        stream.ids.insert(id.clone(), now_ms);
        stream.messages.insert(stream.last, Message { id: id.clone(), events: events.clone(), at_ms: now_ms });
        true
    }

    /// What the recorder does when a stream is half full.
    pub fn purge_recorded(&mut self, partition: u16, done: u64) {
        let stream = self.stream(partition);
        if stream.messages.len() > STREAM_MAX / 2 {
            stream.messages = stream.messages.split_off(&done);
        }
    }

    pub fn facts(&mut self, partition: u16, progress: &Progress) -> StreamFacts {
        let stream = self.stream(partition);
        StreamFacts {
            created: stream.created.clone(),
            first: stream.first(),
            last: stream.last,
            id_at_done: stream.messages.get(&progress.done).map(|message| message.id.to_string()),
            intent_end_found: progress.intent.as_ref().is_none_or(|intent| stream.messages.contains_key(&intent.to)),
        }
    }

    pub fn progress(&self, partition: u16) -> Option<(Rc<Progress>, u64)> {
        self.store.progress.get(&partition).cloned()
    }

    pub fn save_progress(&mut self, partition: u16, progress: Progress, over: Option<u64>) -> Option<u64> {
        if self.store.progress.get(&partition).map(|(_, revision)| *revision) != over {
            return None;
        }
        self.store.revision += 1;
        self.store.progress.insert(partition, (Rc::new(progress), self.store.revision));
        Some(self.store.revision)
    }

    pub fn board(&self) -> (Board, Option<u64>) {
        self.store.board.as_ref().map_or_else(Default::default, |(board, at)| (Board::clone(board), Some(*at)))
    }

    pub fn save_board(&mut self, board: Board, over: Option<u64>) -> bool {
        if self.store.board.as_ref().map(|(_, revision)| *revision) != over {
            return false;
        }
        self.store.revision += 1;
        self.store.board = Some((Rc::new(board), self.store.revision));
        true
    }
}
