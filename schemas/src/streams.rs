//! The settings of the JetStream streams, as plain data: whoever comes first, gateway or recorder, makes the same stream.

use std::time::Duration;

use crate::config::Nats;
use crate::subjects;

/// A stream's settings. All keep messages up to their limits, in files, whoever has read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub subjects: Vec<String>,
    /// What happens when it is full.
    pub when_full: WhenFull,
    /// Most bytes in it.
    pub max_bytes: i64,
    /// A message older than this is removed; zero: none is.
    pub max_age: Duration,
    /// How long message ids are remembered.
    pub duplicate_window: Duration,
    /// On how many servers it lies.
    pub replicas: usize,
}

/// What a full stream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It refuses new messages: their gateway keeps them, and nothing is dropped that is not recorded.
    Refuse,
    /// It drops the oldest.
    DropOldest,
}

/// The stream of a partition: its share of the whole.
pub fn partition(nats: &Nats, partition: u16) -> Settings {
    Settings {
        name: subjects::stream(partition),
        subjects: vec![subjects::partition_subjects(partition)],
        when_full: WhenFull::Refuse,
        max_bytes: share(nats, u64::from(nats.partitions.max(1))),
        max_age: nats.max_age.0,
        duplicate_window: subjects::DUPLICATE_WINDOW,
        replicas: usize::from(nats.replicas),
    }
}

/// The stream of dead letters. The table holds every letter; a flood of them must not stop the recording.
pub fn dead_letters(nats: &Nats) -> Settings {
    Settings {
        name: subjects::DEAD_LETTER_STREAM.to_owned(),
        subjects: vec![subjects::DEAD_LETTER_SUBJECTS.to_owned()],
        when_full: WhenFull::DropOldest,
        max_bytes: share(nats, 16),
        max_age: Duration::ZERO,
        duplicate_window: subjects::DUPLICATE_WINDOW,
        replicas: usize::from(nats.replicas),
    }
}

fn share(nats: &Nats, parts: u64) -> i64 {
    i64::try_from(nats.max_bytes.0 / parts).unwrap_or(i64::MAX)
}
