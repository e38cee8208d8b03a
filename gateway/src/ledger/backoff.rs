//! How long the shipper waits before it tries again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Exponential backoff with jitter.
#[derive(Default)]
pub(super) struct Backoff {
    attempt: u32,
}

impl Backoff {
    /// Waits for the next try; `None` when stopped.
    pub(super) async fn wait(&mut self, stop: &CancellationToken) -> Option<()> {
        let ceiling = BACKOFF_MAX.min(BACKOFF_MIN * 2u32.saturating_pow(self.attempt));
        self.attempt = (self.attempt + 1).min(10);
        // The low bits of a fresh UUID are random: jitter without a dependency of its own.
        let (_, random) = uuid::Uuid::now_v7().as_u64_pair();
        let delay = ceiling / 2 + (ceiling / 2).mul_f64((random % 1000) as f64 / 1000.0);
        tokio::select! {
            () = tokio::time::sleep(delay) => Some(()),
            () = stop.cancelled() => None,
        }
    }
}
