//! The ledger: every event is numbered and written to a local file before the client sees the end of its answer.
//!
//! It is the truth; everything behind it is replication. A record is one `write` into the open segment, so it survives
//! a killed process without any fsync. What has been committed to ClickHouse is trimmed, everything else is sent again
//! until it is (DESIGN section 7).
//!
//! Deliberately absent: a queue in memory between the request and the file, and a position of the shipper on disk. What
//! was shipped is told by the recorder's watermark alone.

mod record;
mod segments;
mod recovery;
mod spare;
mod writer;
mod cursor;
pub mod packer;
mod backoff;
pub mod heal;
pub mod trim;
mod heads;
mod ship;

pub use recovery::RecoveryError;
pub(crate) use ship::connect_nats;
pub use ship::{ShipperOptions, spawn_shipper, stream_config};
pub use writer::AppendError;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemas::config::{LedgerFsync, OnLedgerFull};
use schemas::events::{Prepared, Receipt};
use tokio::sync::Notify;
use uuid::Uuid;

use self::packer::Boundary;
use self::writer::{Limits, Writer};

/// How a ledger is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder; made if it does not exist. One gateway at a time.
    pub dir: PathBuf,
    /// Bound of all segments together.
    pub max_bytes: u64,
    /// When records reach the disk.
    pub fsync: LedgerFsync,
    /// What to do when the bound is reached.
    pub on_full: OnLedgerFull,
    /// Number of partitions events are spread over.
    pub partitions: u16,
    /// The gateway's name in events.
    pub gateway: String,
}

/// An open ledger. All methods are cheap and never wait for the network.
#[derive(Debug)]
pub struct Ledger {
    epoch: Uuid,
    dir: PathBuf,
    partitions: u16,
    gateway: String,
    on_full: OnLedgerFull,
    fsync: LedgerFsync,
    writer: Mutex<Writer>,
    /// Wakes the shipper after an append.
    appended: Notify,
    /// Boundaries of packs that an earlier process published or was about to.
    journaled: Mutex<Vec<Boundary>>,
    /// Held for the life of the ledger, so that no second process writes into it.
    _lock: File,
}

/// What recovery found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Events found in the ledger.
    pub events: u64,
    /// Bytes cut from a torn tail.
    pub torn_bytes: u64,
    /// Requests that the dead process left open and that were settled as interrupted.
    pub settled: u64,
}

/// Where the written part of the ledger ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Number of the open segment.
    pub(crate) segment: u64,
    /// Bytes written to it.
    pub(crate) len: u64,
}

impl Ledger {
    /// Opens the ledger of a folder, or creates one with a new epoch. Settles every request that a dead process left open.
    pub fn open(options: Options) -> Result<(Self, Recovered), RecoveryError> {
        let lock = segments::lock(&options.dir)?;
        let epoch = segments::epoch(&options.dir)?;
        let scan = recovery::scan(&options.dir)?;
        let orphans = recovery::orphans(&scan);
        let mut recovered = Recovered { events: scan.events, torn_bytes: scan.torn_bytes, settled: 0 };
        let limits = Limits::new(options.max_bytes);
        let journaled = scan.boundaries.clone();
        let writer = Writer::resume(&options.dir, limits, options.fsync, scan)?;
        let ledger = Self {
            epoch,
            dir: options.dir,
            partitions: options.partitions,
            gateway: options.gateway,
            on_full: options.on_full,
            fsync: options.fsync,
            writer: Mutex::new(writer),
            appended: Notify::new(),
            journaled: Mutex::new(journaled),
            _lock: lock,
        };
        for (partition, terminal) in orphans {
            ledger.append_to(partition, &[terminal])?;
            recovered.settled += 1;
        }
        Ok((ledger, recovered))
    }

    /// The identity of this ledger, in every event's head.
    pub fn epoch(&self) -> Uuid {
        self.epoch
    }

    /// Numbers and writes the events of one request, in one write.
    pub fn append(&self, events: &[Prepared]) -> Result<(), AppendError> {
        let Some(first) = events.first() else { return Ok(()) };
        self.append_to(schemas::subjects::partition_of(first.request_id, self.partitions), events)
    }

    fn append_to(&self, partition: u16, events: &[Prepared]) -> Result<(), AppendError> {
        self.lock().append(self.epoch, &self.gateway, partition, events)?;
        self.appended.notify_one();
        Ok(())
    }

    /// Writes down what a request has used so far, for recovery to settle it with should this process die.
    pub fn checkpoint(&self, request_id: Uuid, so_far: &Receipt) -> Result<(), AppendError> {
        self.lock().checkpoint(request_id, so_far)
    }

    /// Whether a new request may be let in: always under `shed`, only while there is room under `refuse`.
    pub fn admits(&self) -> bool {
        !self.must_account() || self.lock().has_room()
    }

    /// Whether a request that cannot be written down must not be served.
    pub(crate) fn must_account(&self) -> bool {
        self.on_full == OnLedgerFull::Refuse
    }

    /// Bytes in all segments.
    pub fn bytes(&self) -> u64 {
        self.lock().total_bytes()
    }

    /// Makes everything appended so far survive power loss. Blocks for as long as the disk takes.
    pub fn sync(&self) -> std::io::Result<()> {
        let file = self.lock().handle()?;
        file.sync_data()
    }

    /// When records reach the disk.
    pub fn fsync(&self) -> LedgerFsync {
        self.fsync
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The gateway's name.
    pub(crate) fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Last number given, per partition.
    pub(crate) fn last_seq(&self) -> BTreeMap<u16, u64> {
        self.lock().last_seq().clone()
    }

    pub(crate) fn tail(&self) -> Tail {
        self.lock().tail()
    }

    /// Writes down which events a pack holds, so that a retry after a restart sends identical bytes under its id.
    pub(crate) fn journal(&self, boundary: Boundary) -> Result<(), AppendError> {
        self.lock().journal(boundary)
    }

    /// Boundaries journaled by an earlier process, handed out once.
    pub(crate) fn take_journaled(&self) -> Vec<Boundary> {
        std::mem::take(&mut self.journaled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Removes the oldest segments of which nothing is needed any more: all events are committed, no request of theirs is
    /// open. Returns how many.
    pub(crate) fn trim(&self, committed: &BTreeMap<u16, u64>) -> std::io::Result<usize> {
        // Removing a large file takes a while, which no request must wait for: not under the lock. A file that is
        // left over by a crash in between is read again at the next start, and trimmed then.
        let numbers = self.lock().trim(committed);
        for number in &numbers {
            match std::fs::remove_file(segments::path(&self.dir, *number)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(numbers.len())
    }

    /// Resolves after an append.
    pub(crate) async fn changed(&self) {
        self.appended.notified().await;
    }

    /// A panic elsewhere while the lock was held leaves the writer usable: every append restores its state on error.
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
