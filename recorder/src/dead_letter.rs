//! Publishes dead letters: the line's own bytes as the message, reason and origin in its headers, so that a replay only
//! has to send the bytes again.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{Context, PublishErrorKind};
use futures_util::future::try_join_all;
use schemas::subjects;

use crate::rows::DeadLetterRow;

/// So many letters are on their way at a time.
const IN_FLIGHT: usize = 256;
/// Longest wait for the acknowledgement of a letter.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A letter was not acknowledged: the range is repeated, and the server knows those by their ids that it has.
#[derive(Debug, thiserror::Error)]
#[error("a dead letter was not acknowledged by NATS: {0}")]
pub struct Error(String);

/// Publishes letters and waits until the stream has them.
pub async fn publish<'a>(context: &Context, letters: impl Iterator<Item = &'a DeadLetterRow>) -> Result<(), Error> {
    let letters: Vec<&DeadLetterRow> = letters.collect();
    for some in letters.chunks(IN_FLIGHT) {
        try_join_all(some.iter().map(|letter| publish_one(context, letter))).await?;
    }
    Ok(())
}

async fn publish_one(context: &Context, letter: &DeadLetterRow) -> Result<(), Error> {
    let subject = subjects::dead_letter_subject(letter.partition);
    let send = async {
        match context.publish_with_headers(subject, headers(letter), letter.payload.clone()).await {
            Ok(acknowledgement) => acknowledgement.await.map(|_| ()),
            Err(error) => Err(error),
        }
    };
    match tokio::time::timeout(TIMEOUT, send).await {
        Ok(Ok(())) => Ok(()),
        // A line almost as large as a message may be, and the reason on top of it: the table has it, that must do.
        Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
            tracing::warn!(id = %letter.id(), "a dead letter is too large for the stream: it is in the table only");
            Ok(())
        }
        Ok(Err(error)) => Err(Error(error.to_string())),
        Err(_) => Err(Error("no answer in time".to_owned())),
    }
}

fn headers(letter: &DeadLetterRow) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: String| headers.insert(name, header_text(&value).as_str());
    put("Nats-Msg-Id", letter.id().to_string());
    put("Weir-Stage", letter.stage.to_owned());
    put("Weir-Reason", letter.reason.clone());
    put("Weir-Subject", letter.subject.clone());
    put("Weir-Message-Id", letter.message_id.clone());
    put("Weir-Incarnation", letter.incarnation.to_string());
    put("Weir-Stream-Seq", letter.stream_seq.to_string());
    put("Weir-Line", letter.line.to_string());
    headers
}

/// Header values are one line.
fn header_text(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_names_its_origin_and_its_reason_in_one_line_each() {
        let letter = DeadLetterRow {
            partition: 3,
            incarnation: 9,
            stream_seq: 6,
            line: 2,
            subject: "weir.v1.stream.3".into(),
            message_id: "id-6".into(),
            stage: "decode",
            reason: "not a valid event:\nexpected value\r\n".into(),
            epoch: None,
            seq: None,
            request_id: None,
            payload: bytes::Bytes::from_static(b"\xff"),
            published_at: 0,
            recorded_at: 0,
        };
        let headers = headers(&letter);
        let value = |name: &str| headers.get(name).unwrap().as_str().to_owned();
        assert_eq!(value("Nats-Msg-Id"), "v1:3:9:6:2");
        assert_eq!(value("Weir-Reason"), "not a valid event: expected value  ");
        assert_eq!((value("Weir-Stream-Seq"), value("Weir-Line")), ("6".into(), "2".into()));
    }
}
