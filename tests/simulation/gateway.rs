//! A gateway: the ledger's own packer, healing and trimming over a ledger in memory.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use ::gateway::ledger::heal::{Again, Fate, Ranges};
use ::gateway::ledger::packer::{Boundary, Pack, Packer};
use ::gateway::ledger::trim::{self, SegmentInfo};
use schemas::outcome::Kind;
use schemas::progress::SeqSet;
use schemas::subjects;
use uuid::Uuid;

use super::nats::{Event, Nats};
use super::sabotage::Sabotage;

/// Events in a segment.
const SEGMENT_EVENTS: usize = 6;
const IN_FLIGHT_MAX: usize = 4;

/// A pack that is published until it is acknowledged.
#[derive(Clone, Debug)]
pub struct Flight {
    pub id: Rc<str>,
    pub events: Rc<[Event]>,
    pub partition: u16,
    seqs: Rc<[u64]>,
}

#[derive(Clone, Debug)]
struct Segment {
    info: SegmentInfo,
    events: Vec<Event>,
    boundaries: Vec<Boundary>,
}

#[derive(Debug)]
pub struct Gateway {
    pub epoch: Uuid,
    /// Its process runs.
    pub is_up: bool,
    segments: Vec<Segment>,
    number: u64,
    pub last: BTreeMap<u16, u64>,
    packer: Packer,
    fate: Fate,
    acked: BTreeMap<u16, SeqSet>,
    /// The next event to be read: segment number and place in it.
    cursor: (u64, usize),
    pub flying: Vec<Flight>,
    again: VecDeque<Pack>,
}

impl Gateway {
    pub fn new(epoch: Uuid) -> Self {
        let first = Segment { info: SegmentInfo::new(1), events: Vec::new(), boundaries: Vec::new() };
        Self {
            epoch,
            is_up: true,
            segments: vec![first],
            number: 1,
            last: BTreeMap::new(),
            packer: Packer::default(),
            fate: Fate::default(),
            acked: BTreeMap::new(),
            cursor: (1, 0),
            flying: Vec::new(),
            again: VecDeque::new(),
        }
    }

    /// Everything but the ledger is gone.
    pub fn crash(&mut self) {
        self.is_up = false;
        (self.packer, self.fate) = (Packer::default(), Fate::default());
        self.acked.clear();
        self.flying.clear();
        self.again.clear();
    }

    pub fn start(&mut self) {
        self.is_up = true;
        let boundaries = self.segments.iter().flat_map(|segment| segment.boundaries.clone()).collect();
        self.packer = Packer::new(boundaries);
        self.cursor = (self.first_segment(), 0);
    }

    fn first_segment(&self) -> u64 {
        self.number + 1 - self.segments.len() as u64
    }

    pub fn append(&mut self, partition: u16, kind: Kind) -> Event {
        if self.segments.last().is_none_or(|segment| segment.events.len() >= SEGMENT_EVENTS) {
            self.number += 1;
            let info = SegmentInfo::new(self.number);
            self.segments.push(Segment { info, events: Vec::new(), boundaries: Vec::new() });
        }
        let last = self.last.entry(partition).or_default();
        *last += 1;
        let event = Event { epoch: self.epoch, partition, seq: *last, kind };
        if let Some(open) = self.segments.last_mut() {
            open.info.saw(partition, event.seq);
            open.events.push(event);
        }
        event
    }

    /// Reads a few events of the ledger and puts the packs on their way that this completes, or that are due.
    pub fn ship(&mut self, events: u64, now: Instant) {
        let mut packs = Vec::new();
        for _ in 0..events {
            if self.flying.len() + packs.len() >= IN_FLIGHT_MAX {
                break;
            }
            let first = self.first_segment();
            if self.cursor.0 < first {
                // Committed in an earlier life, and trimmed before it was read in this one.
                self.cursor = (first, 0);
            }
            let (number, at) = self.cursor;
            let Some(segment) = usize::try_from(number - first).ok().and_then(|at| self.segments.get(at)) else {
                break;
            };
            match segment.events.get(at) {
                Some(event) => {
                    packs.extend(self.packer.push((event.partition, event.kind), event.seq, b"{}", now));
                    self.cursor.1 += 1;
                }
                None if number < self.number => self.cursor = (number + 1, 0),
                None => break,
            }
        }
        packs.extend(self.packer.due(now));
        while self.flying.len() + packs.len() < IN_FLIGHT_MAX {
            let Some(pack) = self.again.pop_front() else { break };
            packs.push(pack);
        }
        for pack in packs {
            self.publish(pack);
        }
    }

    fn publish(&mut self, pack: Pack) {
        let Boundary { partition, kind, first, .. } = pack.boundary;
        if let Some(open) = self.segments.last_mut().filter(|_| !pack.journaled) {
            open.boundaries.push(pack.boundary);
        }
        let event = |seq: &u64| Event { epoch: self.epoch, partition, seq: *seq, kind };
        self.flying.push(Flight {
            id: subjects::message_id(self.epoch, partition, kind, first).into(),
            events: pack.seqs.iter().map(event).collect(),
            partition,
            seqs: pack.seqs.into(),
        });
    }

    pub fn acknowledged(&mut self, at: usize) {
        let flight = self.flying.swap_remove(at);
        self.fate.acknowledged(flight.partition, &flight.seqs);
        let acked = self.acked.entry(flight.partition).or_default();
        for seq in flight.seqs.iter() {
            acked.insert(*seq);
        }
    }

    /// Reads the recorder's progress, and sends again what NATS has lost.
    pub fn look(&mut self, nats: &mut Nats, partitions: u16, now: Instant, sabotage: Sabotage) {
        let mut lost: BTreeMap<u16, Ranges> = BTreeMap::new();
        for partition in 0..partitions {
            let Some((progress, _)) = nats.progress(partition) else { continue };
            if let Some(seqs) = progress.epochs.get(&self.epoch) {
                self.fate.committed(partition, seqs);
            }
            if self.fate.is_waiting(partition) {
                let caught_up = progress.done >= nats.stream(partition).last;
                lost.insert(partition, self.fate.lost(partition, caught_up));
            }
        }
        lost.retain(|_, ranges| !ranges.is_empty());
        if lost.is_empty() || sabotage == Sabotage::NothingHealed {
            return;
        }
        let mut again = Again::new(&lost, IN_FLIGHT_MAX, now);
        for event in self.segments.iter().flat_map(|segment| &segment.events) {
            if again.has_room() {
                again.push((event.partition, event.kind), event.seq, b"{}");
            }
        }
        self.again.extend(again.finish());
    }

    /// Removes what is committed; returns the events that are gone with it.
    pub fn trim(&mut self, sabotage: Sabotage) -> Vec<Event> {
        let watermarks = match sabotage {
            Sabotage::TrimByAcknowledged => self.acked.iter().map(|(at, seqs)| (*at, seqs.contiguous)).collect(),
            _ => self.fate.watermarks(),
        };
        let infos: Vec<SegmentInfo> = self.segments.iter().map(|segment| segment.info.clone()).collect();
        self.segments.drain(..trim::done(&infos, &watermarks)).flat_map(|segment| segment.events).collect()
    }

    /// Whether everything that is left in the ledger is known to be committed.
    pub fn is_settled(&self) -> bool {
        let marks = self.fate.watermarks();
        let is_committed = |event: &Event| marks.get(&event.partition).is_some_and(|mark| *mark >= event.seq);
        self.segments.iter().flat_map(|segment| &segment.events).all(is_committed)
    }
}
