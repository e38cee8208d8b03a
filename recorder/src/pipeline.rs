//! The order of things: migrate, then seal the rollups and record the partitions that this recorder holds, and start again
//! wherever something breaks off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::lease::{self, Landlord, Tenancy};
use crate::mend::Mend;
use crate::migrate;
use crate::record::{Error, Flow, Session, Shared};
use crate::retry::Backoff;
use crate::seal::Seal;
use crate::telemetry::with_causes;

/// A range in hand at shutdown has this long to be written and committed. One that is not stays an intent, which the
/// next recorder repeats.
const GRACE: Duration = Duration::from_secs(5);

/// Runs until shutdown. Fails only on what waiting cannot mend.
pub async fn run(shared: Shared, health: Health, shutdown: CancellationToken) -> Result<(), migrate::Error> {
    // From the beginning: a damaged part may be what the next lines wait for.
    let mending = tokio::spawn(Mend::new(shared.clone()).run(shutdown.clone()));
    let ended = record(shared, health, &shutdown).await;
    mending.abort();
    ended
}

async fn record(shared: Shared, health: Health, shutdown: &CancellationToken) -> Result<(), migrate::Error> {
    if !migrate::run(&shared, shutdown).await? {
        return Ok(());
    }
    let mut seal = Seal::new(shared.clone(), health.clone());
    if !seal.prepare(shutdown).await {
        return Ok(());
    }
    health.migrated();
    let landlord = Landlord::new(shared.config.nats.partitions);
    let workers_ended = CancellationToken::new();
    let keeper = lease::keep(shared.clone(), landlord.clone(), workers_ended.clone());
    let mut partitions = JoinSet::new();
    partitions.spawn(seal.run(shutdown.clone()));
    for partition in 0..shared.config.nats.partitions {
        let Some(tenancy) = landlord.tenancy(partition) else { continue };
        let worker = Worker { shared: shared.clone(), health: health.clone(), partition, tenancy };
        partitions.spawn(worker.run(shutdown.clone()));
    }
    let workers = async {
        partitions.join_all().await;
        workers_ended.cancel();
    };
    tokio::join!(keeper, workers);
    Ok(())
}

struct Worker {
    shared: Shared,
    health: Health,
    partition: u16,
    tenancy: Tenancy,
}

/// How a session under one lease ended.
enum End {
    /// In order, between two ranges.
    Asked,
    /// The lease ran out or was lost between two writes of rows.
    Lost,
    /// The lease ran out or was lost in the middle of a write.
    CutOff,
    /// Something broke.
    Broken(Error),
}

impl Worker {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut backoff = Backoff::default();
        while !shutdown.is_cancelled() {
            let fence = tokio::select! {
                fence = self.tenancy.granted() => fence,
                () = shutdown.cancelled() => return,
            };
            self.tenancy.is_busy(true);
            let end = tokio::select! {
                end = self.session(fence, &shutdown, &mut backoff) => end,
                () = after(&shutdown, GRACE) => {
                    tracing::warn!(partition = self.partition, "stopping with a range unfinished: the next start repeats it");
                    return;
                }
            };
            self.health.partition_opened(self.partition, None);
            // An insert that was cut off may still take effect for a while: the partition stays busy, so that the lease
            // is not given away, and this recorder waits as others would.
            self.tenancy.is_busy(matches!(end, End::CutOff));
            let wait = match end {
                End::Asked => Duration::ZERO,
                End::Lost => self.lost(Duration::ZERO),
                End::CutOff => self.lost(self.shared.config.recorder.lease.0),
                End::Broken(error) => self.broken(&error, &mut backoff),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => self.tenancy.is_busy(false),
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Records until shutdown, which is heeded between ranges, or until something breaks.
    async fn session(&self, fence: u64, shutdown: &CancellationToken, backoff: &mut Backoff) -> End {
        let stop = shutdown.child_token();
        let writing = AtomicBool::new(false);
        let (mut lost, mut leaving) = (self.tenancy.clone(), self.tenancy.clone());
        let recording = async {
            let opened = Session::open(self.shared.clone(), self.partition, fence);
            let mut session = tokio::select! {
                session = opened => session?,
                () = stop.cancelled() => return Ok(()),
            };
            loop {
                let (gathers, writes) = (session.is_recording(), session.is_writing());
                if gathers {
                    self.health.partition_opened(self.partition, Some(true));
                }
                writing.store(writes, Ordering::Relaxed);
                if session.step(&stop).await? == Flow::Stopped {
                    return Ok(());
                }
                if gathers {
                    backoff.reset();
                }
            }
        };
        tokio::pin!(recording);
        loop {
            // The lease is looked at first: one who wakes up after it has run out does nothing more.
            tokio::select! {
                biased;
                () = lost.lost(fence) => {
                    return if writing.load(Ordering::Relaxed) { End::CutOff } else { End::Lost };
                }
                () = leaving.leaving(), if !stop.is_cancelled() => stop.cancel(),
                ended = &mut recording => return ended.map_or_else(End::Broken, |()| End::Asked),
            }
        }
    }

    fn lost(&self, wait: Duration) -> Duration {
        self.shared.metrics.lease_lost();
        tracing::warn!(partition = self.partition, "the lease of a partition is lost: another recorder may have it");
        wait
    }

    fn broken(&self, error: &Error, backoff: &mut Backoff) -> Duration {
        self.health.partition_opened(self.partition, Some(false));
        self.shared.metrics.failed(error.stage());
        if let Some(fence) = error.higher_fence() {
            self.tenancy.found_fence(fence);
        }
        let (partition, wait) = (self.partition, backoff.next_wait());
        let (error, tries) = (with_causes(error), backoff.tries());
        if tries == 1 {
            tracing::warn!(partition, error, "recording broke off: starting again from the committed state");
        } else {
            tracing::debug!(partition, error, tries, "recording broke off again");
        }
        wait
    }
}

async fn after(shutdown: &CancellationToken, grace: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(grace).await;
}
