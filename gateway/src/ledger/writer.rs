//! The end of the ledger that grows, and the accounting of what its segments hold.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use schemas::config::LedgerFsync;
use schemas::events::{Place, Prepared, Receipt};
use schemas::outcome::Kind;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::packer::Boundary;
use super::recovery::{RecoveryError, Scan};
use super::spare::{self, Spare};
use super::trim::{self, SegmentInfo};
use super::{Tail, record, segments};

/// Why an event was not written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The bound is reached.
    #[error("the ledger is full: NATS or ClickHouse has been away for too long, or ledger_max_bytes is too small")]
    Full,
    /// The disk is full.
    #[error("the disk of the ledger is full: make room on it, and the ledger goes on by itself")]
    DiskFull,
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

/// What the events of one request take, generously.
const REQUEST_BYTES: u64 = 8 << 10;

/// Sizes derived from `ledger_max_bytes`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    max_bytes: u64,
    segment_bytes: u64,
    /// Kept free for what remains to be said of requests that were let in, so that they can be settled.
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

/// What a write may take.
struct Claim {
    /// This much must stay free beside it.
    reserve_bytes: u64,
    /// It may wait for the disk, where that is asked for.
    durable: bool,
    /// It may have the room that is kept on a full disk.
    urgent: bool,
}

/// The writer; one per ledger, behind its lock.
#[derive(Debug)]
pub(super) struct Writer {
    dir: PathBuf,
    file: File,
    limits: Limits,
    spare: Spare,
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
            spare: Spare::keep(dir, limits.reserve_bytes),
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
        self.write(self.claim(events)?)?;
        self.last_seq.insert(partition, seq);
        if let Some(info) = self.segments.last_mut() {
            info.saw(partition, seq);
            info.body_bytes += if is_body { self.buffer.len() as u64 } else { 0 };
        }
        self.note_open(events);
        Ok(())
    }

    /// What these events, which are in the buffer, may take: those of a request that was let in more than others. A flood of
    /// requests that are turned away must not take what is kept for them.
    fn claim(&self, events: &[Prepared]) -> Result<Claim, AppendError> {
        if events.iter().all(|event| event.kind == Kind::Body) {
            let bodies: u64 = self.segments.iter().map(|info| info.body_bytes).sum();
            if bodies + self.buffer.len() as u64 > self.limits.body_bytes {
                return Err(AppendError::Full);
            }
            return Ok(Claim { reserve_bytes: self.limits.body_reserve_bytes, durable: false, urgent: false });
        }
        let urgent = events.iter().all(|event| self.open.contains_key(&event.request_id));
        Ok(Claim { reserve_bytes: if urgent { 0 } else { self.limits.reserve_bytes }, durable: true, urgent })
    }

    /// Last number given, per partition.
    pub(super) fn last_seq(&self) -> &BTreeMap<u16, u64> {
        &self.last_seq
    }

    /// Writes a checkpoint; it takes no number.
    pub(super) fn checkpoint(&mut self, request_id: Uuid, so_far: &Receipt) -> Result<(), AppendError> {
        let urgent = self.open.contains_key(&request_id);
        self.control(record::CHECKPOINT, &Checkpoint { request_id, so_far }, urgent)
    }

    /// Writes the boundary of a pack; it takes no number. Without it a pack is only packed differently after a restart.
    pub(super) fn journal(&mut self, boundary: Boundary) -> Result<(), AppendError> {
        self.control(record::PACK, &boundary, false)
    }

    fn control(&mut self, mark: u8, value: &impl Serialize, urgent: bool) -> Result<(), AppendError> {
        self.buffer.clear();
        record::write(&mut self.buffer, |out| {
            out.push(mark);
            serde_json::to_writer(out, value)
        })?;
        self.write(Claim { reserve_bytes: 0, durable: true, urgent })
    }

    /// Writes the buffer, if there is room for what is claimed.
    fn write(&mut self, claim: Claim) -> Result<(), AppendError> {
        let length = self.buffer.len() as u64;
        if self.total_bytes() + length + claim.reserve_bytes > self.limits.max_bytes {
            return Err(AppendError::Full);
        }
        if !claim.urgent && !self.spare.has_room() {
            return Err(AppendError::DiskFull);
        }
        let mut written = self.write_buffer();
        if written.as_ref().is_err_and(spare::is_full) {
            self.spare.note_full();
            if claim.urgent && self.begin_spare()? {
                written = self.write_buffer();
            }
        }
        written.map_err(|error| if spare::is_full(&error) { AppendError::DiskFull } else { error.into() })?;
        if let Some(info) = self.segments.last_mut() {
            info.bytes += length;
        }
        if claim.durable && self.fsync == LedgerFsync::Always {
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// Writes the buffer with one call. On failure the file is cut back to where it was.
    fn write_buffer(&mut self) -> io::Result<()> {
        self.rotate_if_full()?;
        let before = self.tail().len;
        if self.torn {
            return Err(io::Error::other("its last record is torn; restart the gateway to cut it off"));
        }
        // A half-written record in the middle would hide what is appended after it.
        self.file.write_all_at(&self.buffer, before).inspect_err(|_| self.torn = self.file.set_len(before).is_err())
    }

    fn rotate_if_full(&mut self) -> io::Result<()> {
        let tail = self.tail();
        if tail.len < self.limits.segment_bytes || self.spare.is_under(tail.segment, tail.len) {
            return Ok(());
        }
        self.close_segment(tail)?;
        self.open_segment(tail.segment + 1)
    }

    /// Goes on in the room that is kept on the disk; `false` when it is used up.
    pub(super) fn begin_spare(&mut self) -> io::Result<bool> {
        let tail = self.tail();
        self.close_segment(tail)?;
        if !self.spare.become_segment(&self.dir, tail.segment + 1) {
            return Ok(false);
        }
        self.open_segment(tail.segment + 1)?;
        Ok(true)
    }

    /// Before there is a next one: a segment that is not the last must end with its last record, and not with spare room.
    fn close_segment(&self, tail: Tail) -> io::Result<()> {
        self.file.set_len(tail.len)?;
        if self.fsync != LedgerFsync::Never {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn open_segment(&mut self, number: u64) -> io::Result<()> {
        self.file = segments::open(&self.dir, number)?;
        self.segments.push(SegmentInfo::new(number));
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
        let done = trim::done(&self.segments, committed);
        self.segments.drain(..done).map(|info| info.number).collect()
    }

    /// Whether the events of another request fit beside the reserve, and the disk has room for them.
    pub(super) fn has_room(&mut self) -> bool {
        self.total_bytes() + self.limits.reserve_bytes + REQUEST_BYTES <= self.limits.max_bytes && self.spare.has_room()
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
