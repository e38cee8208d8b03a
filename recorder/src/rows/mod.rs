//! Events as rows. A struct's fields are its table's columns: names, order and types follow `schemas/clickhouse`, and a
//! test compares them.

mod requests;
mod candidates;
mod opened;
mod bodies;
mod letter_id;
mod dead_letters;
mod replays;
mod prices;

#[cfg(test)]
mod tests;

pub use bodies::BodiesRow;
pub use candidates::CandidateRow;
pub use dead_letters::{DeadLetterRow, Stage};
pub use letter_id::{InvalidLetterId, LetterId};
pub use opened::OpenedRow;
pub use prices::PriceRow;
pub use replays::{ReplayOutcome, ReplayRow};
pub use requests::RequestRow;

use clickhouse::{Row, RowWrite};
use schemas::events::Head;
use schemas::time::Timestamp;
use serde::Serialize;

/// A struct that is one row of one table.
pub trait TableRow: Row + RowWrite + for<'a> Row<Value<'a> = Self> + Serialize + Send + Sync + 'static {
    /// The table's name.
    const TABLE: &'static str;

    /// The names and types of its columns, in the order of the fields.
    fn columns() -> Vec<(&'static str, &'static str)> {
        schemas::migrations::typed_columns(Self::TABLE)
    }
}

/// What a row needs beside its event's body.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The event's head.
    pub head: Head,
    /// When the recorder made the row.
    pub recorded_at: Timestamp,
}
