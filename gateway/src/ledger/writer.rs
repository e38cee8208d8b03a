//! The end of the ledger that grows, and the accounting of what its segments hold.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use schemas::config::LedgerFsync;
use schemas::events::{Place, Prepared, Receipt};
use schemas::outcome::Kind;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::packer::Boundary;
use super::recovery::{RecoveryError, Scan};
use super::{Tail, record, segments};

/// Why an event was not written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The bound is reached.
    #[error("the ledger is full: NATS or ClickHouse has been away for too long, or ledger_max_bytes is too small")]
    Full,
    /// The file system refused.
    #[error("the ledger cannot be written: {0}")]
    Io(#[from] io::Error),
    /// The event could not be serialised.
    #[error("the event cannot be serialised: {0}")]
    Json(#[from] serde_json::Error),
}

/// A checkpoint as it stands in the ledger.
#[derive(Serialize, Deserialize)]
pub(super) struct Checkpoint<R> {
    pub(super) request_id: Uuid,
    pub(super) so_far: R,
}

/// What a segment holds, for trimming.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SegmentInfo {
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// The part of `bytes` that captured bodies take.
    pub(super) body_bytes: u64,
    /// Highest number of each partition.
    last_seq: BTreeMap<u16, u64>,
    /// Requests opened here that have no terminal event yet.
    pub(super) open_requests: usize,
}

impl SegmentInfo {
    pub(super) fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    pub(super) fn saw(&mut self, partition: u16, seq: u64) {
        let last = self.last_seq.entry(partition).or_default();
        *last = (*last).max(seq);
    }

    fn is_done(&self, committed: &BTreeMap<u16, u64>) -> bool {
        let covered = |(partition, last): (&u16, &u64)| committed.get(partition).is_some_and(|seq| seq >= last);
        self.open_requests == 0 && self.last_seq.iter().all(covered)
    }
}

/// What the events of one request take, generously.
const REQUEST_BYTES: u64 = 8 << 10;

/// Sizes derived from `ledger_max_bytes`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    max_bytes: u64,
    segment_bytes: u64,
    /// Kept free for terminal events, so that what was let in can be settled.
    reserve_bytes: u64,
    /// What captured bodies may take: a share of their own, so that an outage finds room for what is billed.
    body_bytes: u64,
    /// Kept free of captured bodies: of all events they are the first to go.
    body_reserve_bytes: u64,
}

impl Limits {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            segment_bytes: (max_bytes / 16).clamp(64 << 10, 64 << 20),
            reserve_bytes: (max_bytes / 10).min(64 << 20),
            body_bytes: max_bytes / 4,
            body_reserve_bytes: max_bytes / 2,
        }
    }
}

/// The writer; one per ledger, behind its lock.
#[derive(Debug)]
pub(super) struct Writer {
    dir: PathBuf,
    file: File,
    limits: Limits,
    fsync: LedgerFsync,
    /// Last number given, per partition.
    last_seq: BTreeMap<u16, u64>,
    /// All segments, the open one last.
    segments: Vec<SegmentInfo>,
    /// Open requests and the segment of their opened event.
    open: HashMap<Uuid, u64>,
    buffer: Vec<u8>,
    /// A write failed half-way and could not be undone: nothing may be appended behind it.
    torn: bool,
}

impl Writer {
    /// Goes on after what a scan found.
    pub(super) fn resume(dir: &Path, limits: Limits, fsync: LedgerFsync, scan: Scan) -> Result<Self, RecoveryError> {
        let mut segments = scan.segments;
        if segments.is_empty() {
            segments.push(SegmentInfo::new(1));
        }
        let number = segments.last().map_or(1, |info| info.number);
        let path = segments::path(dir, number);
        let file = segments::open(dir, number).map_err(|error| RecoveryError::io("open", &path, error))?;
        let open = scan.open.into_iter().map(|(id, (_, segment, _))| (id, segment)).collect();
        Ok(Self {
            dir: dir.to_owned(),
            file,
            limits,
            fsync,
            last_seq: scan.last_seq,
            segments,
            open,
            buffer: Vec::with_capacity(16 << 10),
            torn: false,
        })
    }

    /// Numbers and writes events of one partition, all or none.
    pub(super) fn append(
        &mut self,
        epoch: Uuid,
        gateway: &str,
        partition: u16,
        events: &[Prepared],
    ) -> Result<(), AppendError> {
        let before = self.last_seq.get(&partition).copied().unwrap_or(0);
        self.buffer.clear();
        let mut seq = before;
        for event in events {
            seq += 1;
            let place = Place { epoch, partition, seq, gateway };
            record::write(&mut self.buffer, |out| event.seal_into(place, out))?;
        }
        let is_body = events.iter().all(|event| event.kind == Kind::Body);
        self.write(self.reserve_bytes(events)?, !is_body)?;
        self.last_seq.insert(partition, seq);
        if let Some(info) = self.segments.last_mut() {
            info.saw(partition, seq);
            info.body_bytes += if is_body { self.buffer.len() as u64 } else { 0 };
        }
        self.note_open(events);
        Ok(())
    }

    /// How much must stay free beside these events, which are in the buffer.
    fn reserve_bytes(&self, events: &[Prepared]) -> Result<u64, AppendError> {
        if events.iter().any(|event| event.settles) {
            return Ok(0);
        }
        if !events.iter().all(|event| event.kind == Kind::Body) {
            return Ok(self.limits.reserve_bytes);
        }
        let bodies: u64 = self.segments.iter().map(|info| info.body_bytes).sum();
        if bodies + self.buffer.len() as u64 > self.limits.body_bytes {
            return Err(AppendError::Full);
        }
        Ok(self.limits.body_reserve_bytes)
    }

    /// Last number given, per partition.
    pub(super) fn last_seq(&self) -> &BTreeMap<u16, u64> {
        &self.last_seq
    }

    /// Writes a checkpoint; it takes no number.
    pub(super) fn checkpoint(&mut self, request_id: Uuid, so_far: &Receipt) -> Result<(), AppendError> {
        self.control(record::CHECKPOINT, &Checkpoint { request_id, so_far })
    }

    /// Writes the boundary of a pack; it takes no number.
    pub(super) fn journal(&mut self, boundary: Boundary) -> Result<(), AppendError> {
        self.control(record::PACK, &boundary)
    }

    fn control(&mut self, mark: u8, value: &impl Serialize) -> Result<(), AppendError> {
        self.buffer.clear();
        record::write(&mut self.buffer, |out| {
            out.push(mark);
            serde_json::to_writer(out, value)
        })?;
        self.write(0, true)
    }

    /// Writes the buffer with one call. On failure the file is cut back to where it was. `durable`: it may wait for the
    /// disk, where that is asked for.
    fn write(&mut self, reserve_bytes: u64, durable: bool) -> Result<(), AppendError> {
        let length = self.buffer.len() as u64;
        if self.total_bytes() + length + reserve_bytes > self.limits.max_bytes {
            return Err(AppendError::Full);
        }
        self.rotate_if_full()?;
        let before = self.tail().len;
        if self.torn {
            return Err(io::Error::other("its last record is torn; restart the gateway to cut it off").into());
        }
        if let Err(error) = self.file.write_all(&self.buffer) {
            // A half-written record in the middle would hide what is appended after it.
            self.torn = self.file.set_len(before).is_err();
            return Err(error.into());
        }
        if let Some(info) = self.segments.last_mut() {
            info.bytes += length;
        }
        if durable && self.fsync == LedgerFsync::Always {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn rotate_if_full(&mut self) -> io::Result<()> {
        let tail = self.tail();
        if tail.len < self.limits.segment_bytes {
            return Ok(());
        }
        if self.fsync != LedgerFsync::Never {
            self.file.sync_data()?;
        }
        self.file = segments::open(&self.dir, tail.segment + 1)?;
        self.segments.push(SegmentInfo::new(tail.segment + 1));
        Ok(())
    }

    /// Keeps count of the requests whose opened event must stay until their terminal one is written.
    fn note_open(&mut self, events: &[Prepared]) {
        let here = self.tail().segment;
        for event in events {
            let segment = match (event.opens, event.settles) {
                (true, _) => self.open.insert(event.request_id, here).or(Some(here)),
                (false, true) => self.open.remove(&event.request_id),
                (false, false) => None,
            };
            let info = segment.and_then(|segment| self.segments.iter_mut().find(|info| info.number == segment));
            if let Some(info) = info {
                info.open_requests =
                    if event.opens { info.open_requests + 1 } else { info.open_requests.saturating_sub(1) };
            }
        }
    }

    /// Forgets segments from the front while nothing of them is needed; the caller removes their files.
    pub(super) fn trim(&mut self, committed: &BTreeMap<u16, u64>) -> Vec<u64> {
        let done = self.segments.iter().take_while(|info| info.is_done(committed)).count();
        // The open segment stays, whatever it holds.
        let done = done.min(self.segments.len().saturating_sub(1));
        self.segments.drain(..done).map(|info| info.number).collect()
    }

    /// Whether the events of another request fit beside the reserve.
    pub(super) fn has_room(&self) -> bool {
        self.total_bytes() + self.limits.reserve_bytes + REQUEST_BYTES <= self.limits.max_bytes
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.segments.iter().map(|info| info.bytes).sum()
    }

    pub(super) fn tail(&self) -> Tail {
        self.segments.last().map_or(Tail { segment: 1, len: 0 }, |info| Tail { segment: info.number, len: info.bytes })
    }

    pub(super) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}
