//! Which rows ClickHouse may have taken for repeated ones though it does not hold them.
//!
//! ClickHouse (26.7, tables that are not replicated) writes down an insert's token before it puts the insert's part in its
//! place. Killed in between, it knows the token and has no rows, and takes the repeated insert for a repetition: `weir chaos`
//! has met it. So whenever an insert was repeated, it is looked afterwards whether its rows are there ([`crate::mend`]).

use crate::protocol::Recording;
use crate::record::Shared;

/// Whether the range in hand is to be doubted.
#[derive(Debug, Default)]
pub struct Doubt {
    /// Whether it was intended before: its rows may have been sent.
    pub is_repeated: bool,
    /// What the writer had counted before it was written.
    unknown_outcomes: u64,
}

impl Doubt {
    /// It is going to be written.
    pub fn begins(&mut self, shared: &Shared) {
        self.unknown_outcomes = shared.writer.unknown_outcomes();
    }

    /// It is written. Replicated tables keep their tokens with their parts, and nobody looks for what they lack.
    pub fn written(&mut self, shared: &Shared, partition: u16, recording: &Recording) {
        // Also those of other partitions, which costs a look too many.
        let has_unknown = shared.writer.unknown_outcomes() != self.unknown_outcomes;
        let is_doubtful = std::mem::take(&mut self.is_repeated) || has_unknown;
        if is_doubtful && shared.config.clickhouse.cluster.is_empty() {
            shared.suspicion.of_inserts(partition, recording.in_hand());
        }
    }
}
