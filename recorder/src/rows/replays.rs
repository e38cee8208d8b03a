//! What became of a dead letter that was sent again, as a row of `dead_letter_replays`.

use clickhouse::Row;
use serde::Serialize;

use super::{LetterId, TableRow};

/// How a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// The event is a row now.
    Stored,
    /// It was one already.
    Known,
    /// ClickHouse refuses its row, still.
    Refused,
    /// It is no event, still.
    Unreadable,
}

impl ReplayOutcome {
    /// The text in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Known => "known",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One row of `dead_letter_replays`.
#[derive(Clone, Debug, PartialEq, Row, Serialize)]
pub struct ReplayRow {
    pub partition: u16,
    pub incarnation: u32,
    pub stream_seq: u64,
    pub line: u32,
    pub outcome: &'static str,
    pub reason: String,
    pub replayed_at: i64,
}

impl TableRow for ReplayRow {
    const TABLE: &'static str = "dead_letter_replays";
}

impl ReplayRow {
    /// What became of a letter.
    pub fn new(letter: LetterId, outcome: ReplayOutcome, reason: String, replayed_at: i64) -> Self {
        let LetterId { partition, incarnation, stream_seq, line } = letter;
        Self { partition, incarnation, stream_seq, line, outcome: outcome.as_str(), reason, replayed_at }
    }
}
