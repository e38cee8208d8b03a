//! Letters as ClickHouse holds them, each with what became of it.

use std::collections::BTreeMap;

use clickhouse::{Client, Row};
use schemas::config::Config;
use schemas::time::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::{Error, LetterId};

const LETTERS: &str = "\
SELECT
    partition, incarnation, stream_seq, line, subject, message_id, stage, letter.reason AS reason, epoch, seq, request_id,
    hex(payload) AS payload_hex, published_at, recorded_at, replay.outcome AS outcome, replay.reason AS replay_reason
FROM (SELECT * FROM dead_letters FINAL) AS letter
LEFT JOIN (SELECT * FROM dead_letter_replays FINAL) AS replay USING (partition, incarnation, stream_seq, line)
WHERE {where}
ORDER BY recorded_at, partition, stream_seq, line
LIMIT ?";

const OPEN: &str = "replay.outcome NOT IN ('stored', 'known')";

/// Which letters.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Recorded since then.
    pub since: Option<Timestamp>,
    /// A part of the reason, in any case.
    pub reason: Option<String>,
    /// `decode` or `insert`.
    pub stage: Option<String>,
    /// Those as well that have been stored by a replay.
    pub all: bool,
}

/// One letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its name.
    pub id: LetterId,
    /// Subject of the message that held it.
    pub subject: String,
    /// `Nats-Msg-Id` of that message.
    pub message_id: String,
    /// Where it failed: `decode` or `insert`.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// The ledger that numbered it, if that can be read.
    pub epoch: Option<Uuid>,
    /// Its number there.
    pub seq: Option<u64>,
    /// Its request.
    pub request_id: Option<Uuid>,
    /// The line as it arrived.
    pub payload: Vec<u8>,
    /// When NATS stored the message.
    pub published_at: Timestamp,
    /// When it became a letter.
    pub recorded_at: Timestamp,
    /// What became of it when it was sent again last.
    pub fate: Option<Fate>,
}

/// What became of a letter that was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// `stored`, `known`, `refused` or `unreadable`.
    pub outcome: String,
    /// Why it was not stored; empty otherwise.
    pub reason: String,
}

impl Fate {
    /// Whether its event is a row now.
    pub fn is_stored(&self) -> bool {
        matches!(self.outcome.as_str(), "stored" | "known")
    }
}

#[derive(Row, Deserialize)]
struct Stored {
    partition: u16,
    incarnation: u32,
    stream_seq: u64,
    line: u32,
    subject: String,
    message_id: String,
    stage: String,
    reason: String,
    #[serde(with = "clickhouse::serde::uuid::option")]
    epoch: Option<Uuid>,
    seq: Option<u64>,
    #[serde(with = "clickhouse::serde::uuid::option")]
    request_id: Option<Uuid>,
    payload_hex: String,
    published_at: i64,
    recorded_at: i64,
    outcome: String,
    replay_reason: String,
}

#[derive(Row, Deserialize)]
struct Replayed {
    partition: u16,
    incarnation: u32,
    stream_seq: u64,
    line: u32,
    outcome: String,
    reason: String,
    replayed_at: i64,
}

/// Reads letters.
pub struct Letters {
    client: Client,
}

impl Letters {
    /// Of this deployment's ClickHouse.
    ///
    /// # Errors
    /// When the password cannot be read.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let client = crate::clickhouse_client(config).map_err(|error| Error::Client(error.to_string()))?;
        Ok(Self { client })
    }

    /// The letters that a filter lets through, the oldest first.
    ///
    /// # Errors
    /// When ClickHouse cannot be asked.
    pub async fn list(&self, filter: &Filter, limit: u64) -> Result<Vec<Letter>, Error> {
        let mut conditions = vec!["letter.recorded_at >= fromUnixTimestamp64Micro(?, 'UTC')"];
        conditions.extend((!filter.all).then_some(OPEN));
        conditions.extend(filter.stage.as_ref().map(|_| "letter.stage = ?"));
        conditions.extend(filter.reason.as_ref().map(|_| "positionCaseInsensitiveUTF8(letter.reason, ?) > 0"));
        let since = filter.since.map_or(0, Timestamp::as_micros);
        let mut query = self.client.query(&LETTERS.replace("{where}", &conditions.join(" AND "))).bind(since);
        for text in [&filter.stage, &filter.reason].into_iter().flatten() {
            query = query.bind(text);
        }
        read(query.bind(limit).fetch_all().await?)
    }

    /// One letter, if it is there.
    ///
    /// # Errors
    /// When ClickHouse cannot be asked.
    pub async fn show(&self, id: LetterId) -> Result<Option<Letter>, Error> {
        let LetterId { partition, incarnation, stream_seq, line } = id;
        let condition = "partition = ? AND incarnation = ? AND stream_seq = ? AND line = ?";
        let query = self.client.query(&LETTERS.replace("{where}", condition));
        let query = query.bind(partition).bind(incarnation).bind(stream_seq).bind(line);
        Ok(read(query.bind(1u64).fetch_all().await?)?.pop())
    }

    /// What became of the letters that were sent again since then, and when.
    ///
    /// # Errors
    /// When ClickHouse cannot be asked.
    pub async fn fates(&self, since: Timestamp) -> Result<BTreeMap<LetterId, (Timestamp, Fate)>, Error> {
        let sql = "SELECT ?fields FROM dead_letter_replays WHERE replayed_at >= fromUnixTimestamp64Micro(?, 'UTC') \
                   ORDER BY replayed_at";
        let replayed: Vec<Replayed> = self.client.query(sql).bind(since.as_micros()).fetch_all().await?;
        let fate = |replayed: Replayed| {
            let Replayed { partition, incarnation, stream_seq, line, outcome, reason, replayed_at } = replayed;
            let at = Timestamp::from_micros(replayed_at);
            (LetterId { partition, incarnation, stream_seq, line }, (at, Fate { outcome, reason }))
        };
        Ok(replayed.into_iter().map(fate).collect())
    }
}

fn read(stored: Vec<Stored>) -> Result<Vec<Letter>, Error> {
    stored.into_iter().map(letter).collect()
}

fn letter(stored: Stored) -> Result<Letter, Error> {
    let Stored { partition, incarnation, stream_seq, line, .. } = stored;
    let id = LetterId { partition, incarnation, stream_seq, line };
    let fate = Fate { outcome: stored.outcome, reason: stored.replay_reason };
    Ok(Letter {
        id,
        subject: stored.subject,
        message_id: stored.message_id,
        stage: stored.stage,
        reason: stored.reason,
        epoch: stored.epoch,
        seq: stored.seq,
        request_id: stored.request_id,
        payload: bytes_of(&stored.payload_hex).ok_or(Error::Payload(id))?,
        published_at: Timestamp::from_micros(stored.published_at),
        recorded_at: Timestamp::from_micros(stored.recorded_at),
        fate: Some(fate).filter(|fate| !fate.outcome.is_empty()),
    })
}

/// A payload may be any bytes, which the client takes for text; so it comes as hexadecimal digits.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    hex.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_bytes_again() {
        assert_eq!(bytes_of("00FF7B"), Some(vec![0, 255, 123]));
        assert_eq!((bytes_of(""), bytes_of("zz")), (Some(vec![]), None));
    }
}
