//! Which rows ClickHouse may have taken for repeated ones though it does not hold them.
//!
//! ClickHouse (26.7, tables that are not replicated) writes down an insert's token before it puts the insert's part in its
//! place. Killed in between, it knows the token and has no rows, and takes the repeated insert for a repetition: seen once in
//! some hundred runs of `weir chaos`. So whenever an insert was repeated, it is looked afterwards whether its rows are there
//! ([`crate::mend`]).

use std::collections::BTreeMap;

use schemas::progress::SeqSet;
use uuid::Uuid;

use crate::record::Shared;

/// Numbers of events, by ledger.
pub type Numbers = BTreeMap<Uuid, SeqSet>;

/// What is to be doubted of the range in hand.
#[derive(Debug, Default)]
pub struct Doubt {
    /// Whether it was intended before: its rows may have been sent.
    pub is_repeated: bool,
    numbers: Numbers,
    unknown_outcomes: u64,
}

impl Doubt {
    /// A range is going to be written: what is recorded before it, and with it.
    pub fn planned(&mut self, shared: &Shared, before: &Numbers, after: &Numbers) {
        self.numbers = added(before, after);
        self.unknown_outcomes = shared.writer.unknown_outcomes();
    }

    /// It is written.
    pub fn written(&mut self, shared: &Shared, partition: u16) {
        let numbers = std::mem::take(&mut self.numbers);
        let is_repeated = std::mem::take(&mut self.is_repeated);
        // Also those of other partitions, which costs a look too many.
        if is_repeated || shared.writer.unknown_outcomes() != self.unknown_outcomes {
            shared.suspicion.of_inserts(partition, numbers);
        }
    }
}

/// What is in the second and not in the first.
pub fn added(before: &Numbers, after: &Numbers) -> Numbers {
    let nothing = SeqSet::default();
    let added = after.iter().map(|(epoch, seqs)| {
        let added = seqs.without(before.get(epoch).unwrap_or(&nothing));
        (*epoch, SeqSet::of_ranges(&added))
    });
    added.filter(|(_, seqs)| seqs.highest() > 0).collect()
}
