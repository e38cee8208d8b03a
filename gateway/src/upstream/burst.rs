//! When to let the upstream's connection run before writing, so that what came together goes out together.
//!
//! The HTTP client reads a connection in a task of its own and hands over one chunk at a time: it puts the next one
//! down only after the last has been taken. So more may have arrived than can be seen. To let that task run costs a
//! fraction of a microsecond, a write of its own costs several.

use std::task::Context;
use std::time::{Duration, Instant};

/// Joined up to this size.
const BYTES_MAX: usize = 64 << 10;
/// Joined for no longer than this, on a machine so busy that it matters.
const TIME_MAX: Duration = Duration::from_millis(1);
/// Chunks that come closer together may be parts of a burst; pauses between generated tokens are far longer.
const GAP_MAX: Duration = Duration::from_micros(200);

/// Follows how the chunks of one answer come. Never waits for the network: only for a task that could run already.
#[derive(Debug)]
pub struct Burst {
    last_chunk: Instant,
    /// Whether the last chunks came together. An answer begins as a burst: short ones often come in one piece.
    is_dense: bool,
    /// Something has come since the connection was last let run.
    has_grown: bool,
    /// What has been gathered since the last write.
    bytes: usize,
    /// When gathering began.
    since: Option<Instant>,
}

impl Burst {
    /// At the beginning of an answer.
    pub fn new(now: Instant) -> Self {
        Self { last_chunk: now, is_dense: true, has_grown: true, bytes: 0, since: None }
    }

    /// A chunk has come.
    pub fn chunk(&mut self, bytes: usize) {
        let now = Instant::now();
        self.is_dense |= now - self.last_chunk < GAP_MAX;
        self.last_chunk = now;
        self.has_grown = true;
        self.bytes += bytes;
    }

    /// When the last chunk came.
    pub fn last_chunk(&self) -> Instant {
        self.last_chunk
    }

    /// Whether no more may be gathered before it is written.
    pub fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX
    }

    /// Whether to let the connection run before writing; then the task is woken again right after. Ask when something is
    /// there to be written and nothing more can be seen.
    pub fn wants_more(&mut self, context: &mut Context<'_>) -> bool {
        if !std::mem::take(&mut self.has_grown) {
            // The connection had its turn and nothing came: single events from here on.
            self.is_dense = false;
        }
        let now = Instant::now();
        let is_late = now - *self.since.get_or_insert(now) > TIME_MAX;
        if !self.is_dense || self.is_full() || is_late {
            return false;
        }
        context.waker().wake_by_ref();
        true
    }

    /// Everything that was there has been taken to be written.
    pub fn taken(&mut self) {
        self.bytes = 0;
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn gathers_while_something_comes_and_asks_no_more_once_nothing_did() {
        let mut context = Context::from_waker(Waker::noop());
        let mut burst = Burst::new(Instant::now());
        assert!(burst.wants_more(&mut context), "the beginning may be all of it");
        burst.chunk(10);
        assert!(burst.wants_more(&mut context));
        assert!(!burst.wants_more(&mut context), "nothing came");
        let long_ago = Instant::now() - Duration::from_millis(20);
        for _ in 0..3 {
            burst.last_chunk = long_ago;
            burst.chunk(10);
            assert!(!burst.wants_more(&mut context), "a single event goes out at once");
        }
    }

    #[test]
    fn is_bounded_in_size_and_time() {
        let mut context = Context::from_waker(Waker::noop());
        let mut burst = Burst::new(Instant::now());
        burst.chunk(BYTES_MAX);
        assert!(burst.is_full() && !burst.wants_more(&mut context));
        burst.taken();
        assert!(!burst.is_full());
        burst.is_dense = true;
        burst.chunk(1);
        burst.since = Some(Instant::now() - TIME_MAX * 2);
        assert!(!burst.wants_more(&mut context));
    }
}
