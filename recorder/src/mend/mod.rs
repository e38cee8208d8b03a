//! What a recorder does when ClickHouse has lost rows: a part of a table that cannot be read, or that ClickHouse has set aside.
//!
//! A disk that was full during a merge, or one that is failing, leaves parts of which a file is empty or wrong. Everything
//! that has to look into such a part fails from then on, recorders that start anew among it. The order of things:
//!
//! 1. The table is loaded anew. While it loads, ClickHouse compares every file with its checksum list, sets a broken part
//!    aside and takes the parts back that it was merged of, if they are still there (they are for eight minutes).
//! 2. A part that is damaged all the same is detached. It stays on the disk, in the table's folder `detached`.
//! 3. Every event that was recorded and has no row any more is put into its stream again, as long as that holds it, the way
//!    a dead letter is sent again: the recorder asks ClickHouse for its row before it writes one, so doing this twice, or
//!    by two recorders at once, does no harm.
//! 4. When that has been recorded, the rollups of the open days are made anew where they differ from their rows: rows that
//!    came again are in them twice.
//! 5. What is nowhere any more is counted (`weir_recorder_events_gone`), and missing in the audit.
//!
//! ClickHouse may also take an insert for a repeated one and not have its rows ([`crate::doubt`]): where an insert was repeated it is
//! looked whether they are there, and what is not is recorded anew as above.
//!
//! Rollups may lack rows without any damage: when ClickHouse dies in the middle of an insert and NATS loses what it knew, the
//! rows that are there are recognised, and nobody repeats the insert under its token, which would have reached the views.
//! So rollups of open days are compared with their rows for a while after every loss of NATS' data.
//!
//! Replicated tables mend themselves from their replicas, so that nothing is done about them here.

mod anew;
mod parts;
mod suspicion;

pub use suspicion::Suspicion;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::anew::Sent;
use self::parts::Parts;
use crate::protocol::Numbers;
use crate::record::Shared;
use crate::seal;
use crate::telemetry::with_causes;

/// Parts that ClickHouse has set aside by itself are looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// After damage it is looked so often and in such steps what is still lost: rows that were written before it may be committed
/// after it.
const LOOKS: u32 = 4;
const STEP: Duration = Duration::from_secs(15);
/// After damage and after a loss of NATS' data the rollups are compared until so many comparisons in a row have found no
/// difference: others may write while one is put right.
const CALM: u32 = 2;
/// But no more often than this.
const COMPARISONS: u32 = 20;
/// Before a failed try is repeated.
const PAUSE: Duration = Duration::from_secs(3);

/// Why mending broke off; it begins anew.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
    #[error("ClickHouse did not answer within {0:?}")]
    Late(Duration),
    #[error(transparent)]
    Broker(#[from] crate::broker::Error),
    #[error(transparent)]
    Progress(#[from] crate::commit::Error),
    #[error(transparent)]
    Consume(#[from] crate::consume::Error),
    #[error("the rollups cannot be made anew: {0}")]
    Rollups(#[from] crate::seal::Error),
    #[error("NATS did not take an event: {0}")]
    Publish(String),
}

/// The job.
pub struct Mend {
    shared: Shared,
    parts: Parts,
    /// How often it is still to be looked for what is lost.
    looks: u32,
    /// By partition, how far what was sent again since then has come.
    sent: BTreeMap<u16, Sent>,
    /// Partitions and incarnations that began not long ago: the first ones, or the first after a loss.
    young: BTreeSet<(u16, u32)>,
    /// Comparisons of rollups that are still to come, and how many of the last have found no difference.
    comparisons: u32,
    calm: u32,
    /// Events whose inserts were repeated, until they are committed and it is known whether their rows are there.
    repeated: Vec<(u16, Numbers)>,
}

impl Mend {
    /// A job that has not begun.
    pub fn new(shared: Shared) -> Self {
        let (parts, young, repeated) = (Parts::new(&shared), BTreeSet::new(), Vec::new());
        Self { parts, shared, looks: 0, sent: BTreeMap::new(), young, comparisons: 0, calm: 0, repeated }
    }

    /// Mends what is suspected or set aside, until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        if !self.shared.config.clickhouse.cluster.is_empty() {
            return;
        }
        let mut next = Instant::now();
        let mut words = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(next) => {}
                young = self.shared.suspicion.next_young() => {
                    self.young.extend(young);
                    // Never later than planned: partitions may be opened more often than that.
                    next = next.min(Instant::now() + STEP);
                    continue;
                }
                repeated = self.shared.suspicion.next_repeated() => {
                    self.repeated.extend(repeated);
                    next = next.min(Instant::now() + STEP);
                    continue;
                }
                suspected = self.shared.suspicion.next(), if words.is_none() => words = Some(suspected),
            }
            let looked = tokio::select! {
                looked = self.look(words.as_deref()) => looked,
                () = shutdown.cancelled() => return,
            };
            let wait = match looked {
                Ok(()) => {
                    words = None;
                    if self.looks > 0 || self.comparisons > 0 || !self.repeated.is_empty() { STEP } else { LOOK_EVERY }
                }
                Err(error) => {
                    // A ClickHouse that is away is waited for by everybody, and told by others.
                    tracing::debug!(error = with_causes(&error), "looking for damage broke off: trying again");
                    PAUSE
                }
            };
            next = Instant::now() + wait;
        }
    }

    async fn look(&mut self, words: Option<&str>) -> Result<(), Error> {
        self.parts.attach_tables().await?;
        let mut damaged = 0;
        if let Some(words) = words {
            damaged = self.parts.mend(words).await?;
        }
        // A part that was mended may be among those that were set aside by that.
        damaged = damaged.max(self.parts.newly_set_aside().await?);
        if damaged > 0 {
            tracing::error!(
                parts = damaged,
                "ClickHouse has lost parts of its tables: events whose rows were in them are recorded anew from the stream; \
                 look after its disk"
            );
            self.shared.metrics.parts_damaged(damaged);
            self.looks = LOOKS;
        }
        self.look_for_repeated().await?;
        if self.looks > 0 {
            self.look_for_lost().await?;
        }
        while let Some(young) = self.young.first() {
            if seal::has_rows_from_before(&self.shared, *young).await? {
                self.doubt_rollups();
            }
            self.young.pop_first();
        }
        if self.comparisons > 0 {
            let remade = seal::remake_open_days(&self.shared).await?;
            self.calm = if remade { 0 } else { self.calm + 1 };
            self.comparisons = if self.calm == CALM { 0 } else { self.comparisons - 1 };
        }
        Ok(())
    }

    /// Has recorded anew whatever was lost, and in the end doubts the rollups.
    async fn look_for_lost(&mut self) -> Result<(), Error> {
        let round = anew::record(&self.shared, &mut self.sent).await?;
        if round.is_early {
            return Ok(());
        }
        self.shared.metrics.gone(round.gone);
        self.looks -= 1;
        if self.looks == 0 {
            self.sent.clear();
            self.doubt_rollups();
            if round.gone > 0 {
                tracing::error!(
                    events = round.gone,
                    "ClickHouse has lost the rows of events that the stream does not hold any more: restore its backup"
                );
            }
        }
        Ok(())
    }

    fn doubt_rollups(&mut self) {
        (self.comparisons, self.calm) = (COMPARISONS, 0);
    }

    /// Looks whether the rows of repeated inserts are there: as after damage, what is not is recorded anew.
    async fn look_for_repeated(&mut self) -> Result<(), Error> {
        let mut at = 0;
        while let Some((partition, numbers)) = self.repeated.get(at) {
            let Some(missing) = anew::missing(&self.shared, *partition, numbers).await? else {
                at += 1;
                continue;
            };
            if missing > 0 {
                tracing::warn!(
                    partition,
                    events = missing,
                    "ClickHouse took an insert for a repeated one and does not hold its rows: they are recorded anew"
                );
                self.looks = LOOKS;
            }
            self.repeated.swap_remove(at);
        }
        Ok(())
    }
}
