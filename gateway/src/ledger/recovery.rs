//! Reading a ledger that another process has left behind.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemas::events::{Body, ErrorNote, Event, NORMALISER_VERSION, Opened, Prepared, Receipt};
use schemas::money::Factor;
use schemas::outcome::{ErrorClass, Outcome, UsageSource};
use schemas::time::Timestamp;
use schemas::usage::Usage;
use uuid::Uuid;

use super::packer::Boundary;
use super::record::{self, Read};
use super::segments;
use super::trim::SegmentInfo;
use super::writer::{AppendError, Checkpoint};

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A file operation failed.
    #[error("ledger: cannot {action} {path}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// Another process has it.
    #[error("ledger: {0} is in use by another process: give every gateway a ledger_dir of its own")]
    Locked(PathBuf),
    /// The epoch is missing or unreadable though there are segments.
    #[error(
        "ledger: {0} is missing or not a UUID though the folder holds segments: restore it, or move the folder away"
    )]
    Epoch(PathBuf),
    /// A record in the middle is damaged: what follows cannot be trusted, and silently dropping it would lose requests.
    #[error("ledger: {path} is damaged at byte {at}, before its end: move the folder away and keep it for repair")]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Offset of the damaged record.
        at: u64,
    },
    /// The requests left open could not be settled.
    #[error("ledger: cannot settle the requests that were left open: {0}")]
    Settle(#[from] AppendError),
}

impl RecoveryError {
    pub(super) fn io(action: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), error }
    }
}

/// What a scan of all segments found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) events: u64,
    pub(super) torn_bytes: u64,
    /// Last number given, per partition.
    pub(super) last_seq: BTreeMap<u16, u64>,
    pub(super) segments: Vec<SegmentInfo>,
    pub(super) boundaries: Vec<Boundary>,
    /// Requests without a terminal event: partition, segment of the opened event, and how they were opened.
    pub(super) open: HashMap<Uuid, (u16, u64, Box<Opened>)>,
    checkpoints: HashMap<Uuid, Box<Receipt>>,
}

/// Reads every segment, cuts a torn tail off the last one, and remembers what is needed to go on.
pub(super) fn scan(dir: &Path) -> Result<Scan, RecoveryError> {
    let mut scan = Scan::default();
    let numbers = segments::list(dir)?;
    for number in &numbers {
        let path = segments::path(dir, *number);
        let bytes = fs::read(&path).map_err(|error| RecoveryError::io("read", &path, error))?;
        let mut info = SegmentInfo::new(*number);
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match record::read(rest) {
                Read::Record(payload, length) => {
                    scan.take(payload, &mut info);
                    at += length;
                }
                Read::Short | Read::Broken if rest.is_empty() => break,
                // Only the last segment can have been torn by a crash; in any other the disk has lost something.
                Read::Short | Read::Broken if numbers.last() == Some(number) => {
                    // Zeros are spare room that was not used.
                    scan.torn_bytes = if rest.iter().all(|byte| *byte == 0) { 0 } else { rest.len() as u64 };
                    truncate(&path, at as u64)?;
                    break;
                }
                Read::Short | Read::Broken => return Err(RecoveryError::Damaged { path, at: at as u64 }),
            }
        }
        info.bytes = at as u64;
        scan.segments.push(info);
    }
    scan.checkpoints.retain(|id, _| scan.open.contains_key(id));
    for (_, segment, _) in scan.open.values() {
        if let Some(info) = scan.segments.iter_mut().find(|info| info.number == *segment) {
            info.open_requests += 1;
        }
    }
    Ok(scan)
}

fn truncate(path: &Path, len: u64) -> Result<(), RecoveryError> {
    let file = fs::OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.set_len(len)).map_err(|error| RecoveryError::io("cut the torn tail of", path, error))
}

impl Scan {
    fn take(&mut self, payload: &[u8], info: &mut SegmentInfo) {
        match payload.split_first() {
            Some((&record::PACK, rest)) => self.boundaries.extend(Boundary::decode(rest)),
            Some((&record::CHECKPOINT, rest)) => {
                if let Ok(checkpoint) = serde_json::from_slice::<Checkpoint<Box<Receipt>>>(rest) {
                    self.checkpoints.insert(checkpoint.request_id, checkpoint.so_far);
                }
            }
            _ => self.take_event(payload, info),
        }
    }

    fn take_event(&mut self, payload: &[u8], info: &mut SegmentInfo) {
        // The checksum held, so this is what an earlier gateway wrote. Should it not be readable by this version, it
        // is still shipped as it is: the recorder dead-letters what it cannot read.
        let Ok(event) = Event::decode(payload) else { return };
        self.events += 1;
        let (partition, seq) = (event.head.partition, event.head.seq);
        let last = self.last_seq.entry(partition).or_default();
        *last = (*last).max(seq);
        info.saw(partition, seq);
        match event.body {
            Body::Opened(opened) => {
                self.open.insert(event.head.request_id, (partition, info.number, opened));
            }
            Body::Terminal(_) => {
                self.open.remove(&event.head.request_id);
            }
            Body::Candidate(_) => {}
            Body::Bodies(_) => info.body_bytes += (payload.len() + record::HEADER_BYTES) as u64,
        }
    }
}

/// The terminal events of the requests that were left open: interrupted, `gateway_died`, with the usage seen so far.
pub(super) fn orphans(scan: &Scan) -> Vec<(u16, Prepared)> {
    let now = Timestamp::now();
    scan.open
        .iter()
        .filter_map(|(id, (partition, _, opened))| {
            let mut receipt = match scan.checkpoints.get(id) {
                Some(checkpoint) => Receipt::clone(checkpoint),
                None => unknown_end(opened),
            };
            receipt.outcome = Outcome::Interrupted;
            receipt.duration_ms = now.millis_since(receipt.received_at).max(0.0);
            let message = "the gateway died while this request was running";
            receipt.error = Some(ErrorNote::new(ErrorClass::GatewayDied, "", message));
            Prepared::new(*id, now, &Body::Terminal(Box::new(receipt))).ok().map(|terminal| (*partition, terminal))
        })
        .collect()
}

/// The receipt of a request of which only its opening is known.
fn unknown_end(opened: &Opened) -> Receipt {
    Receipt {
        outcome: Outcome::Interrupted,
        client: opened.client.clone(),
        user: opened.user.clone(),
        tags: opened.tags.clone(),
        format: opened.format,
        operation: opened.operation,
        is_stream: opened.is_stream,
        provider: String::new(),
        endpoint: String::new(),
        key: String::new(),
        model_requested: opened.model_requested.clone(),
        model: opened.model.clone(),
        model_upstream: String::new(),
        model_reported: String::new(),
        status: 502,
        upstream_status: None,
        error: None,
        stop_reason: None,
        attempts: 0,
        received_at: opened.received_at,
        ttft_ms: None,
        duration_ms: 0.0,
        usage: Usage::UNKNOWN,
        usage_source: UsageSource::None,
        delivered_output: None,
        raw_usage: None,
        normaliser: NORMALISER_VERSION,
        cost_multiplier: Factor::ONE,
        request_bytes: opened.request_bytes,
        response_bytes: 0,
        stream_events: 0,
        client_request_id: opened.client_request_id.clone(),
        upstream_request_id: None,
        user_agent: opened.user_agent.clone(),
    }
}
