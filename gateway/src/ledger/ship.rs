//! From the ledger to NATS: packs with acknowledged publishes, retried for ever.
//!
//! The shipper has a thread and a runtime of its own, so that nothing it does (reading files, waiting for NATS) can
//! delay a request. It holds a bounded number of packs in memory; while NATS is away the ledger grows, the memory does not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use schemas::config::Nats;
use schemas::events::Address;
use schemas::progress::Progress;
use schemas::{streams, subjects};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Ledger;
use super::backoff::Backoff;
use super::cursor::Cursor;
use super::heads::Teller;
use super::heal::{self, Fate, Ranges};
use super::packer::{Pack, Packer};
use crate::metrics::Metrics;

/// Packs under way at once; with packs of at most 256 KiB this bounds the shipper's memory at 16 MiB.
const IN_FLIGHT_MAX: usize = 64;
/// After this long an unanswered publish counts as unknown and is sent again under the same id.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the shipper lets events gather before it reads them: woken by each of them, it would cost as much as writing
/// them does. It is a part of the time that a pack may wait.
const GATHER: Duration = Duration::from_millis(5);
/// How often the recorder's progress is read.
const PROGRESS_PERIOD: Duration = Duration::from_secs(2);

/// What a shipper needs.
pub struct ShipperOptions {
    /// The ledger to ship.
    pub ledger: Arc<Ledger>,
    /// Where to.
    pub nats: Nats,
    /// Counts what is published.
    pub metrics: Arc<Metrics>,
    /// Asks the shipper to send what is left and stop.
    pub shutdown: CancellationToken,
    /// How long it may take for that.
    pub grace: Duration,
}

/// The running shipper.
pub struct Shipper {
    thread: JoinHandle<()>,
    connected: Arc<AtomicBool>,
}

impl Shipper {
    /// Whether NATS is connected right now.
    pub fn connected(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.connected)
    }

    /// Waits for the end, without blocking the runtime.
    pub async fn finished(self) {
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the shipper ended badly; what it did not send is still in the ledger");
        }
    }
}

/// Starts the shipper's thread.
pub fn spawn_shipper(options: ShipperOptions) -> io::Result<Shipper> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connected = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&connected);
    let thread = std::thread::Builder::new().name("weir-shipper".to_owned()).spawn(move || {
        runtime.block_on(ship(options, seen));
    })?;
    Ok(Shipper { thread, connected })
}

async fn ship(options: ShipperOptions, connected: Arc<AtomicBool>) {
    let ShipperOptions { ledger, nats, metrics, shutdown, grace } = options;
    // Everything below ends with this token: at once when asked to with nothing left, else when the grace is over.
    let stop = CancellationToken::new();
    let work = async {
        let Some(context) = connect(&nats, Arc::clone(&connected), &stop).await else { return };
        let line = Line {
            ledger: &ledger,
            context: &context,
            nats: &nats,
            metrics: &metrics,
            stop: &stop,
            fate: RefCell::default(),
            again: RefCell::default(),
            wake: Notify::new(),
        };
        let mut teller = Teller::new(&ledger, &context, nats.replicas);
        tokio::join!(follow(&line, &mut teller, &shutdown), line.send_all(&shutdown));
        teller.tell(true).await;
    };
    let deadline = async {
        shutdown.cancelled().await;
        // With NATS away there is nothing to wait for: the next start ships what is left.
        let reachable = connected.load(Ordering::Relaxed);
        tokio::time::sleep(if reachable { grace } else { grace.min(Duration::from_secs(1)) }).await;
        stop.cancel();
    };
    tokio::select! {
        () = work => {}
        () = deadline => tracing::warn!("stopped before all events were published: they are in the ledger and go out at the next start"),
    }
}

/// Connects and makes sure that the streams exist; tries until it succeeds.
async fn connect(nats: &Nats, connected: Arc<AtomicBool>, stop: &CancellationToken) -> Option<jetstream::Context> {
    let mut backoff = Backoff::default();
    let client = loop {
        match connect_nats(nats, Arc::clone(&connected)).await {
            Ok(client) => break client,
            // Only a wrong address or credentials file ends here: an absent server is retried inside the client.
            Err(error) => tracing::error!(%error, "cannot use the configured NATS address; trying again"),
        }
        backoff.wait(stop).await?;
    };
    let mut context = jetstream::new(client);
    context.set_timeout(ACK_TIMEOUT);
    for partition in 0..nats.partitions {
        let mut backoff = Backoff::default();
        while let Err(error) = context.get_or_create_stream(stream_config(nats, partition)).await {
            tracing::warn!(%error, partition, "the JetStream stream is not there yet; trying again");
            backoff.wait(stop).await?;
        }
    }
    Some(context)
}

/// A client that reconnects for ever, the first time included; `connected` tells whether it is connected right now.
pub(crate) async fn connect_nats(nats: &Nats, connected: Arc<AtomicBool>) -> Result<Client, async_nats::ConnectError> {
    async_nats::ConnectOptions::new()
        .name("weir-gateway")
        .retry_on_initial_connect()
        .ping_interval(Duration::from_secs(5))
        .event_callback(move |event| {
            match event {
                async_nats::Event::Connected => connected.store(true, Ordering::Relaxed),
                async_nats::Event::Disconnected | async_nats::Event::Closed => {
                    connected.store(false, Ordering::Relaxed)
                }
                _ => {}
            }
            tracing::info!(%event, "NATS");
            std::future::ready(())
        })
        .connect(nats.url.split(',').map(str::trim).collect::<Vec<_>>())
        .await
}

/// The stream of a partition. The recorder asks for the same; whoever comes first creates it.
pub fn stream_config(nats: &Nats, partition: u16) -> stream::Config {
    let wanted = streams::partition(nats, partition);
    stream::Config {
        name: wanted.name,
        subjects: wanted.subjects,
        retention: stream::RetentionPolicy::Limits,
        discard: match wanted.when_full {
            streams::WhenFull::Refuse => stream::DiscardPolicy::New,
            streams::WhenFull::DropOldest => stream::DiscardPolicy::Old,
        },
        storage: stream::StorageType::File,
        max_bytes: wanted.max_bytes,
        max_age: wanted.max_age,
        duplicate_window: wanted.duplicate_window,
        num_replicas: wanted.replicas,
        allow_direct: true,
        ..stream::Config::default()
    }
}

struct Line<'a> {
    ledger: &'a Ledger,
    context: &'a jetstream::Context,
    nats: &'a Nats,
    metrics: &'a Metrics,
    stop: &'a CancellationToken,
    /// Both halves of the shipper run on one thread and borrow this for moments between awaits only.
    fate: RefCell<Fate>,
    /// Packs of lost events, to be sent again.
    again: RefCell<Vec<Pack>>,
    wake: Notify,
}

impl Line<'_> {
    /// Reads, packs and publishes until asked to stop and nothing is left.
    async fn send_all(&self, shutdown: &CancellationToken) {
        let mut packer = Packer::new(self.ledger.take_journaled());
        let mut flying = FuturesUnordered::new();
        let mut cursor = match Cursor::at_start(self.ledger.dir()) {
            Ok(cursor) => cursor,
            Err(error) => return tracing::error!(%error, "the ledger cannot be read; nothing is shipped"),
        };
        loop {
            let room = IN_FLIGHT_MAX.saturating_sub(flying.len());
            let (mut packs, drained) = self.read(&mut cursor, &mut packer, room);
            packs.extend(self.again.take());
            packs.extend(if drained && shutdown.is_cancelled() { packer.flush() } else { packer.due(Instant::now()) });
            for pack in packs {
                flying.push(self.publish(pack));
            }
            if drained && shutdown.is_cancelled() && flying.is_empty() && packer.next_due().is_none() {
                return;
            }
            if !drained && flying.len() < IN_FLIGHT_MAX {
                tokio::task::yield_now().await;
                continue;
            }
            let due = packer.next_due().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                Some(()) = flying.next() => {}
                () = self.wake.notified() => {}
                () = self.gathered(), if drained => {}
                () = tokio::time::sleep_until(due.into()), if drained => {}
                () = shutdown.cancelled(), if drained && !shutdown.is_cancelled() => {}
            }
        }
    }

    /// Feeds the packer until `room` packs are finished or the tail is reached (then the second value is `true`).
    fn read(&self, cursor: &mut Cursor, packer: &mut Packer, room: usize) -> (Vec<Pack>, bool) {
        let mut packs = Vec::new();
        let (tail, now) = (self.ledger.tail(), Instant::now() - GATHER);
        while packs.len() < room {
            match cursor.next(tail) {
                Ok(Some(payload)) if payload.first() == Some(&b'{') => match Address::of(&payload) {
                    Ok(address) => {
                        packs.extend(packer.push((address.partition, address.kind), address.seq, &payload, now))
                    }
                    Err(error) => {
                        tracing::error!(%error, "an event in the ledger has no readable head and stays there")
                    }
                },
                Ok(Some(_)) => {}
                Ok(None) => return (packs, true),
                Err(error) => {
                    tracing::error!(%error, "the ledger cannot be read further; restart the gateway after repair");
                    return (packs, true);
                }
            }
        }
        (packs, false)
    }

    /// Resolves when something was appended, and a moment has passed for more.
    async fn gathered(&self) {
        self.ledger.changed().await;
        tokio::time::sleep(GATHER).await;
    }

    /// Publishes a pack until it is acknowledged.
    async fn publish(&self, pack: Pack) {
        let boundary = pack.boundary;
        if !pack.journaled
            && let Err(error) = self.ledger.journal(boundary)
        {
            // Without its boundary a restart may pack differently; numbers in the events still keep every row single.
            tracing::warn!(%error, "a pack is published without its boundary in the ledger");
        }
        let id = subjects::message_id(self.ledger.epoch(), boundary.partition, boundary.kind, boundary.first);
        let subject = subjects::subject(boundary.kind, boundary.partition);
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
        let payload = bytes::Bytes::from(pack.bytes);
        let mut backoff = Backoff::default();
        loop {
            match self.publish_once(&subject, &headers, &payload).await {
                Ok(()) => {
                    self.fate.borrow_mut().acknowledged(boundary.partition, &pack.seqs);
                    return self.metrics.events_published(pack.seqs.len() as u64);
                }
                Err(error) => tracing::warn!(%error, %id, "a pack was not acknowledged; it is sent again"),
            }
            if backoff.wait(self.stop).await.is_none() {
                return;
            }
            self.restore_stream(boundary.partition).await;
        }
    }

    /// A store that was wiped has no streams any more.
    async fn restore_stream(&self, partition: u16) {
        let create = self.context.get_or_create_stream(stream_config(self.nats, partition));
        if let Ok(Err(error)) = tokio::time::timeout(ACK_TIMEOUT, create).await {
            tracing::debug!(%error, partition, "the stream cannot be created again yet");
        }
    }

    async fn publish_once(&self, subject: &str, headers: &HeaderMap, payload: &bytes::Bytes) -> Result<(), String> {
        let send = async {
            let sent = self.context.publish_with_headers(subject.to_owned(), headers.clone(), payload.clone()).await;
            sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
        };
        match tokio::time::timeout(ACK_TIMEOUT * 2, send).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

/// Follows the recorder: removes what is committed, and finds what NATS has lost.
async fn follow(line: &Line<'_>, teller: &mut Teller<'_>, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        teller.tell(false).await;
        match tokio::time::timeout(ACK_TIMEOUT * 2, look(line, line.nats.partitions)).await {
            Ok(Ok(lost)) => line.send_again(&lost),
            Ok(Err(error)) => tracing::debug!(%error, "the recorder's progress cannot be read yet"),
            Err(_) => tracing::debug!("the recorder's progress cannot be read in time"),
        }
        let watermarks = line.fate.borrow().watermarks();
        if let Err(error) = line.ledger.trim(&watermarks) {
            tracing::error!(%error, "committed segments of the ledger cannot be removed");
        }
        line.metrics.ledger_bytes(line.ledger.bytes());
        tokio::select! {
            () = tokio::time::sleep(PROGRESS_PERIOD) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Reads the recorder's progress of all partitions. Returns what is lost.
async fn look(line: &Line<'_>, partitions: u16) -> Result<BTreeMap<u16, Ranges>, String> {
    let store = line.context.get_key_value(subjects::PROGRESS_BUCKET).await.map_err(|error| error.to_string())?;
    let mut lost = BTreeMap::new();
    for partition in 0..partitions {
        let value = store.get(subjects::progress_key(partition)).await.map_err(|error| error.to_string())?;
        let Some(value) = value else { continue };
        let progress: Progress = serde_json::from_slice(&value).map_err(|error| error.to_string())?;
        if let Some(seqs) = progress.epochs.get(&line.ledger.epoch()) {
            line.fate.borrow_mut().committed(partition, seqs);
        }
        if line.fate.borrow().is_waiting(partition) {
            let caught_up = line.is_recorded(partition, progress.done).await?;
            let missing = line.fate.borrow_mut().lost(partition, caught_up);
            if !missing.is_empty() {
                lost.insert(partition, missing);
            }
        }
    }
    Ok(lost)
}

impl Line<'_> {
    /// Whether the recorder has recorded all that the stream of a partition holds.
    async fn is_recorded(&self, partition: u16, done: u64) -> Result<bool, String> {
        let stream = self.context.get_stream(subjects::stream(partition)).await.map_err(|error| error.to_string())?;
        Ok(done >= stream.cached_info().state.last_sequence)
    }

    fn send_again(&self, lost: &BTreeMap<u16, Ranges>) {
        if lost.is_empty() {
            return;
        }
        match heal::reread(self.ledger, lost, IN_FLIGHT_MAX) {
            Ok(packs) => {
                let events: usize = packs.iter().map(|pack| pack.seqs.len()).sum();
                tracing::warn!(events, "NATS has lost events that it had acknowledged; they are sent again");
                self.metrics.events_resent(events as u64);
                self.again.borrow_mut().extend(packs);
                self.wake.notify_one();
            }
            Err(error) => tracing::error!(%error, "events that NATS has lost cannot be read from the ledger"),
        }
    }
}
