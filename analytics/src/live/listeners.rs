//! Who listens, and how far each has read. Nothing here waits for a slow one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemas::events::Receipt;
use tokio::sync::{Notify, mpsc};

use super::matching::matches;
use crate::params::Filter;

/// Most listeners at once.
pub const LISTENERS_MAX: usize = 64;
/// Events that wait for one listener, of about a kilobyte each and shared with the others.
pub const QUEUE_MAX: usize = 1024;

/// What a listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// From here on every event comes.
    Listening,
    /// A request has ended; a line of JSON.
    Ended(Arc<str>),
    /// Events that it would have been told, had it read faster; `None` when nobody knows how many.
    Dropped(Option<u64>),
    /// NATS is away: events may be missed until [`Told::Resumed`].
    Interrupted,
    /// NATS is back, after that long.
    Resumed(Duration),
}

/// The connection to NATS, as listeners see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not known yet.
    #[default]
    Connecting,
    Following,
    Away(Instant),
}

struct Place {
    filters: Vec<Filter>,
    queue: mpsc::Sender<Told>,
    missed: u64,
    uncounted: bool,
    /// What it must be told of the connection as soon as there is room; the newest only.
    notice: Option<Told>,
}

#[derive(Default)]
struct Room {
    places: Vec<Place>,
    state: State,
    closed: bool,
}

/// All of them.
#[derive(Default)]
pub struct Listeners {
    room: Mutex<Room>,
    taken: Arc<AtomicUsize>,
    wanted: Notify,
}

/// The reader's end of one place. Dropping it leaves.
pub struct Listener {
    queue: mpsc::Receiver<Told>,
    taken: Arc<AtomicUsize>,
}

impl Listener {
    /// What comes next; `None` when the service stops.
    pub async fn next(&mut self) -> Option<Told> {
        self.queue.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place {
    /// Tells what is owed first, then this; whichever finds no room is owed from now on.
    fn tell(&mut self, told: Told) {
        if !self.settle() || self.queue.try_send(told.clone()).is_err() {
            match told {
                Told::Ended(_) => self.missed += 1,
                notice => self.notice = Some(notice),
            }
        }
    }

    /// Whether nothing is owed any more.
    fn settle(&mut self) -> bool {
        if self.missed > 0 || self.uncounted {
            let count = (!self.uncounted).then_some(self.missed);
            if self.queue.try_send(Told::Dropped(count)).is_err() {
                return false;
            }
            (self.missed, self.uncounted) = (0, false);
        }
        match self.notice.take() {
            Some(notice) if self.queue.try_send(notice.clone()).is_err() => {
                self.notice = Some(notice);
                false
            }
            _ => true,
        }
    }
}

impl Listeners {
    /// A place, unless all are taken or the service stops.
    pub fn join(&self, filters: Vec<Filter>) -> Option<Listener> {
        let free = |taken: usize| (taken < LISTENERS_MAX).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        // From here on the place is given back whatever happens.
        let listener = Listener { queue, taken: self.taken.clone() };
        let mut room = self.room();
        if room.closed {
            return None;
        }
        let mut place = Place { filters, queue: sender, missed: 0, uncounted: false, notice: None };
        match room.state {
            State::Connecting => {}
            State::Following => place.tell(Told::Listening),
            State::Away(_) => place.tell(Told::Interrupted),
        }
        room.places.push(place);
        drop(room);
        self.wanted.notify_one();
        Some(listener)
    }

    /// Waits until somebody listens.
    pub(super) async fn wanted(&self) {
        while !self.any() {
            self.wanted.notified().await;
        }
    }

    fn any(&self) -> bool {
        !self.room().places.is_empty()
    }

    /// Forgets those that have left, and tells those that have read what they are owed. If nobody is left, the next one
    /// to come waits for a new connection.
    pub(super) fn still_wanted(&self) -> bool {
        let mut room = self.room();
        room.places.retain_mut(|place| {
            place.settle();
            !place.queue.is_closed()
        });
        if room.places.is_empty() {
            room.state = State::Connecting;
        }
        !room.places.is_empty()
    }

    /// Tells everybody whose filters it passes. The line is made when the first of them is found.
    pub(super) fn tell(&self, receipt: &Receipt, line: impl FnOnce() -> Option<Arc<str>>) {
        let mut room = self.room();
        let mut places = room.places.iter_mut().filter(|place| matches(&place.filters, receipt)).peekable();
        if places.peek().is_none() {
            return;
        }
        let Some(line) = line() else { return };
        places.for_each(|place| place.tell(Told::Ended(line.clone())));
    }

    /// Events were lost on the way here, nobody knows whose.
    pub(super) fn missed_some(&self) {
        self.room().places.iter_mut().for_each(|place| place.uncounted = true);
    }

    /// The connection stands, for the first time or again.
    pub(super) fn found(&self) {
        let mut room = self.room();
        let told = match std::mem::replace(&mut room.state, State::Following) {
            State::Following => return,
            State::Connecting => Told::Listening,
            State::Away(since) => Told::Resumed(since.elapsed()),
        };
        room.places.iter_mut().for_each(|place| place.tell(told.clone()));
    }

    /// The connection is gone.
    pub(super) fn lost(&self) {
        let mut room = self.room();
        if !matches!(room.state, State::Away(_)) {
            room.state = State::Away(Instant::now());
            room.places.iter_mut().for_each(|place| place.tell(Told::Interrupted));
        }
    }

    /// The first connection takes its time.
    pub(super) fn still_connecting(&self) {
        if self.room().state == State::Connecting {
            self.lost();
        }
    }

    /// Lets everybody go, and nobody in any more.
    pub(super) fn close(&self) {
        let mut room = self.room();
        room.closed = true;
        room.places.clear();
    }

    /// No code that holds the lock can panic half-way through a change.
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
