//! The order of things: migrate, then record every partition and seal the rollups, and start again wherever something
//! breaks off.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::migrate;
use crate::record::{Error, Session, Shared};
use crate::retry::Backoff;
use crate::seal::Seal;
use crate::telemetry::with_causes;

/// A range in hand at shutdown has this long to be written and committed. One that is not stays an intent, which the
/// next recorder repeats.
const GRACE: Duration = Duration::from_secs(5);

/// Runs until shutdown. Fails only on what waiting cannot mend.
pub async fn run(shared: Shared, health: Health, shutdown: CancellationToken) -> Result<(), migrate::Error> {
    if !migrate::run(&shared, &shutdown).await? {
        return Ok(());
    }
    let seal = Seal::new(shared.clone(), health.clone());
    if !seal.prepare(&shutdown).await {
        return Ok(());
    }
    health.migrated();
    let mut partitions = JoinSet::new();
    partitions.spawn(seal.run(shutdown.clone()));
    for partition in 0..shared.config.nats.partitions {
        let worker = Worker { shared: shared.clone(), health: health.clone(), partition };
        partitions.spawn(worker.run(shutdown.clone()));
    }
    partitions.join_all().await;
    Ok(())
}

struct Worker {
    shared: Shared,
    health: Health,
    partition: u16,
}

impl Worker {
    async fn run(self, shutdown: CancellationToken) {
        let mut backoff = Backoff::default();
        while !shutdown.is_cancelled() {
            let ended = tokio::select! {
                ended = self.session(&shutdown, &mut backoff) => ended,
                () = after(&shutdown, GRACE) => {
                    tracing::warn!(partition = self.partition, "stopping with a range unfinished: the next start repeats it");
                    return;
                }
            };
            let Err(error) = ended else { return };
            self.health.partition_opened(self.partition, false);
            self.shared.metrics.failed(error.stage());
            let wait = backoff.next_wait();
            if backoff.tries() == 1 {
                tracing::warn!(
                    partition = self.partition,
                    error = with_causes(&error),
                    "recording broke off: starting again from the committed state"
                );
            } else {
                tracing::debug!(
                    partition = self.partition,
                    error = with_causes(&error),
                    tries = backoff.tries(),
                    "recording broke off again"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Records until shutdown, which is heeded between ranges, or until something breaks.
    async fn session(&self, shutdown: &CancellationToken, backoff: &mut Backoff) -> Result<(), Error> {
        let mut session = tokio::select! {
            session = Session::open(self.shared.clone(), self.partition) => session?,
            () = shutdown.cancelled() => return Ok(()),
        };
        self.health.partition_opened(self.partition, true);
        loop {
            session.step(shutdown).await?;
            backoff.reset();
            if shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }
}

async fn after(shutdown: &CancellationToken, grace: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(grace).await;
}
