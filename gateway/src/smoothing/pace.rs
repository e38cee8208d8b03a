//! What waits to go out, and when it may. Knows no clock: the time is given.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::smoother::Part;

/// No byte goes out later than this after it has come: when it is reached, the rest of an event goes out whole. Less than
/// what a gateway that stops leaves its connections to write what is settled.
pub(super) const LAG_MAX: Duration = Duration::from_millis(1_500);

/// When this much waits, nothing is paused for: memory per stream is bounded, and the relay is always asked for more, so
/// that its time limits hold.
pub(super) const WAITING_MAX_BYTES: usize = 64 << 10;

/// Parts of the stream in order.
#[derive(Debug)]
pub(super) struct Pace {
    /// With the time at which each came.
    parts: VecDeque<(Instant, Part)>,
    waiting_bytes: usize,
    pause: Duration,
    /// When the last piece of the event at the front went out.
    last_piece: Option<Instant>,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These bytes are due.
    Send(Bytes),
    /// Nothing is due before.
    Wait(Instant),
    /// There is nothing.
    Nothing,
}

impl Pace {
    pub(super) fn new(pause: Duration) -> Self {
        // Timers have no finer grain.
        let pause = pause.max(Duration::from_millis(1));
        Self { parts: VecDeque::new(), waiting_bytes: 0, pause, last_piece: None }
    }

    /// Adds a part that has come now.
    pub(super) fn add(&mut self, now: Instant, part: Part) {
        self.waiting_bytes += part.len();
        self.parts.push_back((now, part));
    }

    /// Whether more may be read.
    pub(super) fn has_room(&self) -> bool {
        self.waiting_bytes < WAITING_MAX_BYTES
    }

    /// Decides what is due. Pauses lie between the pieces of an event, and nowhere else (S114).
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let has_room = self.has_room();
        let Some((came, part)) = self.parts.front_mut() else { return Next::Nothing };
        let part_bytes = part.len();
        let (bytes, is_done) = match part {
            Part::Verbatim(bytes) => (Some(std::mem::take(bytes)), true),
            Part::Cut(cut) => {
                let limit = *came + LAG_MAX;
                let due = self.last_piece.map(|last| (last + self.pause).min(limit));
                let bytes = if now >= limit || !has_room {
                    cut.rest()
                } else if let Some(due) = due.filter(|due| now < *due) {
                    return Next::Wait(due);
                } else {
                    cut.next_piece()
                };
                (bytes, cut.is_done())
            }
        };
        self.last_piece = (!is_done).then_some(now);
        if is_done {
            self.parts.pop_front();
            self.waiting_bytes = self.waiting_bytes.saturating_sub(part_bytes);
        }
        // What is done is dropped at once, so that there always are bytes.
        bytes.map_or(Next::Nothing, Next::Send)
    }
}
