//! What the worker of a partition sees of its lease, and what the keeper sees of the workers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use super::Keeper;

/// A lease in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grant {
    fence: u64,
    leaving: bool,
    valid_until: Instant,
}

/// The keeper's side: grants and takes back.
#[derive(Clone)]
pub struct Landlord(Arc<Inner>);

struct Inner {
    grants: Vec<watch::Sender<Option<Grant>>>,
    workers: Mutex<Workers>,
    reported: Notify,
}

#[derive(Default)]
struct Workers {
    busy: BTreeSet<u16>,
    fences: BTreeMap<u16, u64>,
}

impl Landlord {
    /// Nothing is granted yet.
    pub fn new(partitions: u16) -> Self {
        let grants = (0..partitions).map(|_| watch::channel(None).0).collect();
        Self(Arc::new(Inner { grants, workers: Mutex::default(), reported: Notify::new() }))
    }

    /// The worker's side for a partition.
    pub fn tenancy(&self, partition: u16) -> Option<Tenancy> {
        let grant = self.0.grants.get(usize::from(partition))?.subscribe();
        Some(Tenancy { landlord: self.clone(), partition, grant })
    }

    /// Tells the workers what the keeper holds.
    pub(super) fn publish(&self, keeper: &Keeper) {
        let held: BTreeMap<u16, (u64, bool)> =
            keeper.held().map(|(partition, fence, leaving)| (partition, (fence, leaving))).collect();
        for (partition, sender) in (0..).zip(&self.0.grants) {
            let grant = held.get(&partition).zip(keeper.valid_until()).map(|((fence, leaving), valid_until)| Grant {
                fence: *fence,
                leaving: *leaving,
                valid_until,
            });
            sender.send_if_modified(|current| {
                let changed = *current != grant;
                *current = grant;
                changed
            });
        }
    }

    /// The partitions on which nobody works.
    pub(super) fn idle(&self) -> BTreeSet<u16> {
        let workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
        (0..).zip(&self.0.grants).map(|(partition, _)| partition).filter(|p| !workers.busy.contains(p)).collect()
    }

    /// Higher fences that workers have found since the last call.
    pub(super) fn take_fences(&self) -> BTreeMap<u16, u64> {
        std::mem::take(&mut self.0.workers.lock().unwrap_or_else(PoisonError::into_inner).fences)
    }

    /// Resolves when a worker has stopped working or has found a fence.
    pub(super) async fn reported(&self) {
        self.0.reported.notified().await;
    }

    fn report(&self, change: impl FnOnce(&mut Workers)) {
        change(&mut self.0.workers.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.reported.notify_one();
    }
}

/// The worker's side: one partition.
#[derive(Clone)]
pub struct Tenancy {
    landlord: Landlord,
    partition: u16,
    grant: watch::Receiver<Option<Grant>>,
}

impl Tenancy {
    /// Waits for a lease that may be used, and returns its fence.
    pub async fn granted(&mut self) -> u64 {
        loop {
            let grant = *self.grant.borrow_and_update();
            if let Some(Grant { fence, leaving: false, valid_until }) = grant
                && valid_until > Instant::now()
            {
                return fence;
            }
            self.changed().await;
        }
    }

    /// Resolves when the lease with this fence may not be used any more.
    pub async fn lost(&mut self, fence: u64) {
        loop {
            let grant = *self.grant.borrow_and_update();
            let Some(Grant { valid_until, .. }) = grant.filter(|grant| grant.fence == fence) else { return };
            tokio::select! {
                biased;
                () = self.changed() => {}
                () = tokio::time::sleep_until(valid_until.into()) => return,
            }
        }
    }

    /// Resolves when the partition is to be given to another recorder.
    pub async fn leaving(&mut self) {
        while !self.grant.borrow_and_update().is_some_and(|grant| grant.leaving) {
            self.changed().await;
        }
    }

    /// Tells whether this worker is at work on the partition.
    pub fn is_busy(&self, busy: bool) {
        let partition = self.partition;
        self.landlord.report(|workers| {
            let _known = if busy { workers.busy.insert(partition) } else { workers.busy.remove(&partition) };
        });
    }

    /// Tells that the partition's state holds a higher fence than this lease's.
    pub fn found_fence(&self, fence: u64) {
        let partition = self.partition;
        self.landlord.report(|workers| {
            workers.fences.insert(partition, fence);
        });
    }

    /// The landlord lives as long as its workers; were it gone, nothing would ever change.
    async fn changed(&mut self) {
        if self.grant.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
