//! Connections that wait for their next request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;

/// Most connections kept to one origin.
const KEPT_MAX: usize = 256;
/// Kept for so long; providers close theirs after a minute or more.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// In boxes, as answers take them along and bring them back.
type Kept = Box<Connection>;

/// The idle connections to one origin, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Vec<Kept>>);

impl Idle {
    /// A connection that is open as far as can be told.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        loop {
            let mut connection = self.lock().pop()?;
            if connection.idle_since.elapsed() < KEPT_FOR && connection.is_open() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose answer is over, if it can be used again.
    pub(super) fn put(&self, mut connection: Box<Connection>) {
        if connection.is_open() {
            connection.idle_since = Instant::now();
            let mut kept = self.lock();
            if kept.len() < KEPT_MAX {
                kept.push(connection);
            }
        }
    }

    /// Closes what was closed by the provider or has been idle for long.
    pub(super) fn sweep(&self) {
        // Closing a socket is a system call: not under the lock.
        let mut kept = std::mem::take(&mut *self.lock());
        kept.retain_mut(|connection| connection.idle_since.elapsed() < KEPT_FOR && connection.is_open());
        self.lock().splice(0..0, kept);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
