//! Errors of ClickHouse's that speak of damage, from wherever they are met to the job that mends.

use std::sync::{Arc, Mutex, PoisonError};

use clickhouse::error::Error;
use schemas::time::Timestamp;
use tokio::sync::Notify;

use crate::protocol::Numbers;

/// Codes by which ClickHouse says that what is on its disk is not what it has written there, or is not there.
const DAMAGE: [u32; 9] = [
    33,  // CANNOT_READ_ALL_DATA
    40,  // CHECKSUM_DOESNT_MATCH
    74,  // CANNOT_READ_FROM_FILE_DESCRIPTOR
    107, // FILE_DOESNT_EXIST
    226, // NO_FILE_IN_DATA_PART
    228, // BAD_SIZE_OF_FILE_IN_DATA_PART
    246, // CORRUPTED_DATA
    271, // CANNOT_DECOMPRESS
    432, // UNKNOWN_CODEC
];

const UNKNOWN_TABLE: u32 = 60;

/// The rollups of an hour are compared with their rows when it has closed, which is up to 1 h 5 min later.
const OPEN_SECONDS: i64 = 3_900;

/// Whether an error speaks of damage.
pub(super) fn is_damage(error: &Error) -> bool {
    let Error::BadResponse(text) = error else { return false };
    crate::retry::code_of(text).is_some_and(|code| DAMAGE.contains(&code))
}

/// Shared by everybody who reads.
#[derive(Clone, Debug, Default)]
pub struct Suspicion(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// What was said last.
    words: Mutex<Option<String>>,
    said: Notify,
    /// Partitions and their incarnations that began not long ago.
    young: Waiting<(u16, u32)>,
    /// Events, by partition, whose inserts were repeated.
    repeated: Waiting<(u16, Numbers)>,
}

/// What waits to be looked into, each once.
#[derive(Debug)]
struct Waiting<T> {
    what: Mutex<Vec<T>>,
    added: Notify,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { what: Mutex::default(), added: Notify::default() }
    }
}

impl<T: PartialEq> Waiting<T> {
    fn add(&self, new: T) {
        let mut what = self.what.lock().unwrap_or_else(PoisonError::into_inner);
        if !what.contains(&new) {
            what.push(new);
        }
        self.added.notify_one();
    }

    /// All that waits, when there is something.
    async fn next(&self) -> Vec<T> {
        loop {
            self.added.notified().await;
            let what = std::mem::take(&mut *self.what.lock().unwrap_or_else(PoisonError::into_inner));
            if !what.is_empty() {
                return what;
            }
        }
    }
}

impl Suspicion {
    /// Hands on an error if it speaks of damage, or of a table that may have been left detached.
    pub fn of(&self, error: &Error) {
        let Error::BadResponse(text) = error else { return };
        if is_damage(error) || crate::retry::code_of(text) == Some(UNKNOWN_TABLE) {
            *self.0.words.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.clone());
            self.0.said.notify_one();
        }
    }

    /// Doubts the rollups of the open days if a partition's incarnation, which is named by the second in which it began, is
    /// a young one: NATS may have lost data then. A recorder that follows a killed one has no other way to know.
    pub fn of_rollups(&self, incarnation: (u16, u32), now: Timestamp) {
        if now.as_micros().div_euclid(1_000_000) - i64::from(incarnation.1) < OPEN_SECONDS {
            self.0.young.add(incarnation);
        }
    }

    /// Doubts that ClickHouse holds the rows of some events of a partition, because an insert of theirs was repeated
    /// ([`crate::doubt`]).
    pub fn of_inserts(&self, partition: u16, numbers: Numbers) {
        self.0.repeated.add((partition, numbers));
    }

    /// Returns such events, partition by partition, when there are some.
    pub(super) async fn next_repeated(&self) -> Vec<(u16, Numbers)> {
        self.0.repeated.next().await
    }

    /// Returns the young incarnations, partition by partition, when there are some.
    pub(super) async fn next_young(&self) -> Vec<(u16, u32)> {
        self.0.young.next().await
    }

    /// The next such error's words.
    pub(super) async fn next(&self) -> String {
        loop {
            self.0.said.notified().await;
            let words = self.0.words.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(words) = words {
                return words;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_damage_is_suspected_and_the_last_words_of_it_are_handed_on() {
        let suspicion = Suspicion::default();
        let said = |text: &str| suspicion.of(&Error::BadResponse(text.to_owned()));
        said("Code: 252. DB::Exception: Too many parts (3000). (TOO_MANY_PARTS)");
        suspicion.of(&Error::TimedOut);
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(20), suspicion.next());
        assert!(nothing.await.is_err());
        said("Code: 40. DB::Exception: Checksum doesn't match. (CHECKSUM_DOESNT_MATCH)");
        let last =
            "Code: 246. DB::Exception: Empty marks file: /d/store/a/b/20261127_1_5_1/data.cmrk4. (CORRUPTED_DATA)";
        said(last);
        assert_eq!(suspicion.next().await, last);
    }

    #[tokio::test]
    async fn rollups_are_doubted_while_the_streams_incarnation_is_young() {
        let (suspicion, began) = (Suspicion::default(), 1_790_000_000_u32);
        let after = |seconds: i64| Timestamp::from_micros((i64::from(began) + seconds) * 1_000_000);
        suspicion.of_rollups((1, began), after(OPEN_SECONDS));
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(20), suspicion.next_young());
        assert!(nothing.await.is_err());
        for _ in 0..2 {
            suspicion.of_rollups((1, began), after(0));
        }
        assert_eq!(suspicion.next_young().await, [(1, began)]);
    }
}
