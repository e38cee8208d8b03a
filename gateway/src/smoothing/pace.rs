//! What waits to go out, and when it may. Knows no clock: the time is given.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::smoother::Part;

/// No byte goes out later than this after it has come: when it is reached, the rest of an event goes out whole. Less
/// than what a gateway that stops leaves its connections to write what is settled.
pub(super) const LAG_MAX: Duration = Duration::from_millis(1_500);

/// When this much waits, nothing is paused for: memory per stream is bounded, and the relay is always asked for more,
/// so that its time limits hold.
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

#[cfg(test)]
mod tests {
    use schemas::outcome::Format;

    use super::*;
    use crate::smoothing::smoother::Smoother;

    const PAUSE: Duration = Duration::from_millis(8);

    /// An event of ten pieces, a comment behind it.
    fn stream() -> Bytes {
        Bytes::from_static(b"data: {\"type\":\"response.output_text.delta\",\"delta\":\"0123456789\"}\n\n: end\n\n")
    }

    fn added(pause: Duration, now: Instant, streams: usize) -> Pace {
        let mut pace = Pace::new(pause);
        let mut smoother = Smoother::new(Format::OpenaiResponses, 1);
        for _ in 0..streams {
            smoother.push(&stream(), |part| pace.add(now, part));
        }
        pace
    }

    /// Every piece, with the time at which it went out when nothing but `pace` is waited for.
    fn play(pace: &mut Pace, mut now: Instant) -> Vec<(Instant, Bytes)> {
        let mut sent = Vec::new();
        loop {
            match pace.next(now) {
                Next::Send(bytes) => sent.push((now, bytes)),
                Next::Wait(due) => {
                    assert!(due > now);
                    now = due;
                }
                Next::Nothing => return sent,
            }
        }
    }

    #[test]
    fn pauses_lie_between_the_pieces_of_an_event_only() {
        let begin = Instant::now();
        let sent = play(&mut added(PAUSE, begin, 2), begin);
        let pauses: Vec<u32> =
            sent.iter().map(|(at, _)| ((*at - begin).as_millis() / PAUSE.as_millis()) as u32).collect();
        let expected: Vec<u32> = (0..10).chain([9]).chain(9..19).chain([18]).collect();
        assert_eq!(pauses, expected);
    }

    #[test]
    fn a_slow_client_is_not_kept_waiting_as_well() {
        let begin = Instant::now();
        let mut pace = added(PAUSE, begin, 1);
        for step in 0..5 {
            // It asks again only after ten pauses.
            assert!(matches!(pace.next(begin + step * 10 * PAUSE), Next::Send(_)));
        }
    }

    #[test]
    fn no_byte_is_late_beyond_the_limit() {
        let begin = Instant::now();
        let mut pace = added(Duration::from_secs(1), begin, 3);
        let sent = play(&mut pace, begin);
        assert!(sent.iter().all(|(at, _)| *at <= begin + LAG_MAX));
        // Two pieces in time, then the rest; the other two events whole.
        assert_eq!(sent.len(), 3 + 3 + 2);
        assert_eq!(sent[4].1, stream().slice(..stream().len() - 7));
        assert!(sent[7].1 == ": end\n\n" && pace.has_room());
    }

    #[test]
    fn a_full_queue_is_emptied_at_once() {
        let begin = Instant::now();
        let events = 1 + WAITING_MAX_BYTES / stream().len();
        let mut pace = added(PAUSE, begin, events);
        assert!(!pace.has_room());
        assert_eq!(pace.next(begin), Next::Send(stream().slice(..stream().len() - 7)), "whole");
        while !pace.has_room() {
            assert!(matches!(pace.next(begin), Next::Send(_)));
        }
        let sent = play(&mut pace, begin);
        assert!(sent.len() > events, "dealt out again once there is room");
        assert_eq!(pace.waiting_bytes, 0);
    }
}
