//! What could not become a row elsewhere, as a row of `dead_letters`.

use bytes::Bytes;
use clickhouse::Row;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{LetterId, TableRow};

/// Where an event failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It could not be read.
    Decode,
    /// ClickHouse refused its row.
    Insert,
}

impl Stage {
    /// The text in the table and in the message's header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Insert => "insert",
        }
    }
}

/// One row of `dead_letters`.
#[derive(Clone, Debug, PartialEq, Row, Serialize)]
pub struct DeadLetterRow {
    pub partition: u16,
    pub incarnation: u32,
    pub stream_seq: u64,
    pub line: u32,
    pub subject: String,
    pub message_id: String,
    pub stage: &'static str,
    pub reason: String,
    #[serde(with = "clickhouse::serde::uuid::option")]
    pub epoch: Option<Uuid>,
    pub seq: Option<u64>,
    #[serde(with = "clickhouse::serde::uuid::option")]
    pub request_id: Option<Uuid>,
    #[serde(serialize_with = "as_bytes")]
    pub payload: Bytes,
    pub published_at: i64,
    pub recorded_at: i64,
}

impl TableRow for DeadLetterRow {
    const TABLE: &'static str = "dead_letters";
}

impl DeadLetterRow {
    /// Its name: the same letter has the same one, however often its range is written.
    pub fn id(&self) -> LetterId {
        let Self { partition, incarnation, stream_seq, line, .. } = *self;
        LetterId { partition, incarnation, stream_seq, line }
    }
}

/// ClickHouse's `String` holds any bytes; what is not UTF-8 must arrive as it is.
fn as_bytes<S: Serializer>(payload: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(payload)
}
