//! Whether the rollups can be relied on. Once they can, they can for good.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::clickhouse::ClickHouse;
use crate::queries::{self, Rollups};

/// While they cannot, this often is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is known of the rollups.
pub struct Backfill {
    wanted: bool,
    complete: AtomicBool,
    asked_at: Mutex<Option<Instant>>,
}

impl Backfill {
    /// Nothing is known yet. Where they are not wanted, nothing ever will be.
    pub fn new(wanted: bool) -> Self {
        Self { wanted, complete: AtomicBool::new(false), asked_at: Mutex::default() }
    }

    /// The rollups, as far as they can be relied on. Where ClickHouse does not say, they cannot: what is asked of the rows
    /// instead meets the same fault and tells it.
    pub async fn state(&self, clickhouse: &ClickHouse) -> Rollups {
        if !self.wanted {
            return Rollups::Incomplete;
        }
        if self.complete.load(Ordering::Relaxed) {
            return Rollups::Complete;
        }
        let mut asked_at = self.asked_at.lock().await;
        if asked_at.is_some_and(|at| at.elapsed() < AGAIN_AFTER) && !self.complete.load(Ordering::Relaxed) {
            return Rollups::Incomplete;
        }
        let state = queries::rollups(clickhouse).await.unwrap_or(Rollups::Incomplete);
        self.complete.store(state == Rollups::Complete, Ordering::Relaxed);
        *asked_at = Some(Instant::now());
        state
    }
}
