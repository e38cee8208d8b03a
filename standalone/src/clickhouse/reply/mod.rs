//! An answer as the engine's thread writes it: held back while it is short, then streamed.
//!
//! Like a server's, it begins when its first megabyte is full or it is complete. Until then an exception still has a
//! status of its own; afterwards it comes as a marked block at the end of a body that is then broken off.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::encoder::{Encoder, Wanted};
use super::engine::{Counts, Facts};
use super::exception::Exception;

/// What is held back before the answer begins.
const HELD_BYTES: usize = 1 << 20;
/// Pieces between the engine's thread and the socket; with more, the engine waits for a slow client.
const PIECES_IN_FLIGHT: usize = 4;

/// The beginning of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The whole body, when it was complete before the answer began.
    pub(super) whole: Option<Bytes>,
}

/// What follows the head of a streamed answer.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    /// The body is complete. A channel that closes without it means that the engine's thread has failed.
    End,
    /// An exception has been written, and the body is to be broken off.
    Broken,
}

/// Where an answer arrives.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) head: oneshot::Receiver<Head>,
    pub(super) pieces: mpsc::Receiver<Piece>,
}

/// The client has gone; what the engine still does for it can be stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientGone;

/// An answer that is being written.
pub(super) struct Reply {
    head: Option<oneshot::Sender<Head>>,
    pieces: mpsc::Sender<Piece>,
    facts: Arc<Facts>,
    headers: HeaderMap,
    wanted: Wanted,
    encoder: Option<Encoder>,
    held: Vec<u8>,
    hold_bytes: usize,
    tag: String,
    counts: Counts,
    started: Instant,
}

impl Reply {
    /// Makes both ends of an answer.
    pub(super) fn new(facts: Arc<Facts>, query_id: &str) -> (Self, Arrival) {
        let (head, head_arrives) = oneshot::channel();
        let (pieces, pieces_arrive) = mpsc::channel(PIECES_IN_FLIGHT);
        let mut headers = HeaderMap::new();
        let tag = exception_tag();
        for (name, value) in [
            ("x-clickhouse-server-display-name", facts.display_name.as_str()),
            ("x-clickhouse-query-id", query_id),
            ("x-clickhouse-timezone", facts.timezone.as_str()),
        ] {
            insert(&mut headers, name, value);
        }
        let reply = Self {
            head: Some(head),
            pieces,
            facts,
            headers,
            wanted: Wanted::Identity,
            encoder: None,
            held: Vec::new(),
            hold_bytes: HELD_BYTES,
            tag,
            counts: Counts::default(),
            started: Instant::now(),
        };
        (reply, Arrival { head: head_arrives, pieces: pieces_arrive })
    }

    /// Sets how the body is encoded, and whether all of it is held back until the statement has ended.
    pub(super) fn encode(&mut self, wanted: Option<Wanted>, waits_for_end: bool) {
        self.wanted = wanted.unwrap_or(Wanted::Identity);
        if waits_for_end {
            self.hold_bytes = usize::MAX;
        }
    }

    /// Names the format of the rows.
    pub(super) fn describe(&mut self, format: &str, content_type: &str) {
        insert(&mut self.headers, "x-clickhouse-format", format);
        insert(&mut self.headers, header::CONTENT_TYPE.as_str(), content_type);
    }

    /// Adds to what the summary tells.
    pub(super) fn count(&mut self, counts: Counts) {
        self.counts.add(counts);
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.pieces.is_closed()
    }

    /// Writes rows.
    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), ClientGone> {
        if self.is_abandoned() {
            return Err(ClientGone);
        }
        let encoded = self.encode_piece(data);
        if self.head.is_none() {
            return self.send(encoded);
        }
        self.held.extend_from_slice(&encoded);
        if self.held.len() >= self.hold_bytes {
            self.begin(None)?;
            let held = std::mem::take(&mut self.held);
            return self.send(held);
        }
        Ok(())
    }

    /// Ends the answer: everything went well.
    pub(super) fn finish(mut self) {
        let rest = self.encoder.take().map(Encoder::finish).and_then(Result::ok).unwrap_or_default();
        // Whoever no longer listens needs no end.
        if self.head.is_some() {
            let mut whole = std::mem::take(&mut self.held);
            whole.extend_from_slice(&rest);
            let _ = self.begin(Some(whole.into()));
        } else {
            let _ = self.send(rest);
            let _ = self.pieces.blocking_send(Piece::End);
        }
    }

    /// Ends the answer with an exception.
    pub(super) fn fail(mut self, exception: &Exception) {
        let text = exception.text(&self.facts.version);
        if let Some(head) = self.head.take() {
            let mut headers = std::mem::take(&mut self.headers);
            insert(&mut headers, "x-clickhouse-exception-code", &exception.code().to_string());
            insert(&mut headers, header::CONTENT_TYPE.as_str(), "text/plain; charset=UTF-8");
            let _ = head.send(Head { status: exception.status(), headers, whole: Some(text.into()) });
            return;
        }
        let tag = &self.tag;
        let block = format!("\r\n__exception__\r\n{tag}\r\n{text}{} {tag}\r\n__exception__\r\n", text.len());
        let encoded = self.encode_piece(block.as_bytes());
        let _ = self.send(encoded);
        let _ = self.pieces.blocking_send(Piece::Broken);
    }

    fn begin(&mut self, whole: Option<Bytes>) -> Result<(), ClientGone> {
        let Some(head) = self.head.take() else { return Ok(()) };
        let mut headers = std::mem::take(&mut self.headers);
        insert(&mut headers, "x-clickhouse-summary", &self.summary());
        insert(&mut headers, "x-clickhouse-exception-tag", &self.tag);
        if let Some(encoding) =
            self.wanted.content_encoding().filter(|_| whole.as_ref().is_none_or(|whole| !whole.is_empty()))
        {
            insert(&mut headers, header::CONTENT_ENCODING.as_str(), encoding);
        }
        head.send(Head { status: StatusCode::OK, headers, whole }).map_err(|_| ClientGone)
    }

    fn send(&self, data: Vec<u8>) -> Result<(), ClientGone> {
        if data.is_empty() {
            return Ok(());
        }
        self.pieces.blocking_send(Piece::Data(data.into())).map_err(|_| ClientGone)
    }

    fn encode_piece(&mut self, data: &[u8]) -> Vec<u8> {
        // Writing into a Vec cannot fail.
        self.encoder.get_or_insert_with(|| Encoder::new(self.wanted)).push(data).unwrap_or_default()
    }

    /// What is known so far, every number as a string. What this engine does not tell is left out rather than 0.
    fn summary(&self) -> String {
        let counts = &self.counts;
        let numbers = [
            ("read_rows", u128::from(counts.read_rows)),
            ("read_bytes", u128::from(counts.read_bytes)),
            ("written_rows", u128::from(counts.written_rows)),
            ("written_bytes", u128::from(counts.written_bytes)),
            ("result_rows", u128::from(counts.result_rows)),
            ("result_bytes", u128::from(counts.result_bytes)),
            ("elapsed_ns", self.started.elapsed().as_nanos()),
        ];
        let fields: Vec<String> = numbers.iter().map(|(name, number)| format!("\"{name}\":\"{number}\"")).collect();
        format!("{{{}}}", fields.join(","))
    }
}

/// Sixteen letters that the rows of an answer will not contain by accident.
fn exception_tag() -> String {
    let random = Uuid::now_v7();
    let (_, random) = random.as_bytes().split_at(8);
    random.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).map(|nibble| char::from(b'a' + nibble)).collect()
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    // A value that is no header value (a query id with a line break) is left out: it is an echo for the client's use.
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
