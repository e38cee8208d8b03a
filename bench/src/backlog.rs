//! What an outage leaves in NATS: packs as a gateway publishes them.

use async_nats::HeaderMap;
use async_nats::jetstream;
use futures_util::future::try_join_all;
use schemas::config::Nats;
use schemas::events::{Body, Place, Prepared};
use schemas::outcome::Kind;
use schemas::pack::PackBuilder;
use schemas::subjects;
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::Error;

/// Publishes under way at once.
const IN_FLIGHT: usize = 64;

fn wrong(error: impl ToString) -> Error {
    Error::Setup(format!("the backlog cannot be made: {}", error.to_string()))
}

/// Publishes the events of so many requests to partition 0. Returns how many events these are.
pub async fn publish(nats: &Nats, requests: u64) -> Result<u64, Error> {
    let client = async_nats::connect(&nats.url).await.map_err(wrong)?;
    let context = jetstream::new(client);
    context.create_stream(gateway::ledger::stream_config(nats, 0)).await.map_err(wrong)?;
    let (epoch, now) = (Uuid::now_v7(), Timestamp::now());
    let mut lanes = [(Kind::Stream, PackBuilder::default()), (Kind::Candidate, PackBuilder::default())];
    let mut packs: Vec<(Kind, u64, Vec<u8>)> = Vec::new();
    let mut seq = 0;
    for request in 0..requests {
        for event in events(request, now)? {
            let Some((kind, lane)) = lanes.iter_mut().find(|(kind, _)| *kind == event.kind) else {
                return Err(wrong(format!("no pack for {}", event.kind)));
            };
            seq += 1;
            let mut line = Vec::new();
            event.seal_into(Place { epoch, partition: 0, seq, gateway: "bench" }, &mut line).map_err(wrong)?;
            if !lane.push(seq, &line) {
                packs.extend(finish(*kind, lane));
                lane.push(seq, &line);
            }
        }
        if packs.len() >= IN_FLIGHT {
            send(&context, epoch, &mut packs).await?;
        }
    }
    for (kind, lane) in &mut lanes {
        packs.extend(finish(*kind, lane));
    }
    send(&context, epoch, &mut packs).await?;
    Ok(seq)
}

fn finish(kind: Kind, lane: &mut PackBuilder) -> Option<(Kind, u64, Vec<u8>)> {
    let first = lane.first_seq()?;
    Some((kind, first, lane.take().0))
}

async fn send(context: &jetstream::Context, epoch: Uuid, packs: &mut Vec<(Kind, u64, Vec<u8>)>) -> Result<(), Error> {
    let publishes = packs.drain(..).map(|(kind, first, bytes)| async move {
        let mut headers = HeaderMap::new();
        let id = subjects::message_id(epoch, 0, kind, first);
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
        let sent = context.publish_with_headers(subjects::subject(kind, 0), headers, bytes.into()).await;
        sent.map_err(wrong)?.await.map(drop).map_err(wrong)
    });
    try_join_all(publishes).await.map(drop)
}

/// Opened, one candidate, settled, as a streamed request leaves them.
fn events(number: u64, now: Timestamp) -> Result<[Prepared; 3], Error> {
    let id = Uuid::now_v7();
    let (input, output) = (1000 + number % 977, 100 + number % 313);
    let model = "claude-sonnet-4-5-20250929";
    let opened = json!({
        "client": "team-a", "user": format!("user-{}", number % 5000), "tags": { "project": "alpha" },
        "format": "anthropic", "is_stream": true, "model_requested": "sonnet", "model": "claude-sonnet-4-5",
        "request_bytes": 2048, "received_at": now,
    });
    let usage = json!({ "input": input, "fresh_input": input, "output": output });
    let candidate = json!({
        "candidate_index": 0, "attempt_index": 0, "verdict": "succeeded", "reason": "", "provider": "anthropic",
        "endpoint": "anthropic-api", "key": "main", "model_upstream": model, "status": 200, "started_at": now,
        "headers_ms": 210.5, "first_content_ms": 312.5, "duration_ms": 4012.25, "response_bytes": 16384,
        "usage": usage, "received_at": now, "client": "team-a",
    });
    let receipt = json!({
        "outcome": "completed", "client": "team-a", "user": format!("user-{}", number % 5000),
        "tags": { "project": "alpha" }, "format": "anthropic", "is_stream": true, "provider": "anthropic",
        "endpoint": "anthropic-api", "key": "main", "model_requested": "sonnet", "model": "claude-sonnet-4-5",
        "model_upstream": model, "model_reported": model, "status": 200, "upstream_status": 200,
        "stop_reason": "end_turn", "attempts": 1, "received_at": now, "ttft_ms": 312.5, "duration_ms": 4012.25,
        "usage": usage, "usage_source": "provider", "normaliser": 1, "request_bytes": 2048, "response_bytes": 16384,
        "stream_events": 120, "raw_usage": json!({ "input_tokens": input, "output_tokens": output }).to_string(),
        "upstream_request_id": format!("req_{number:024}"), "user_agent": "anthropic-sdk-python/2.11.0",
    });
    let bodies = [body(opened, Body::Opened)?, body(candidate, Body::Candidate)?, body(receipt, Body::Terminal)?];
    let mut prepared = Vec::new();
    for body in bodies {
        prepared.push(Prepared::new(id, now, &body).map_err(wrong)?);
    }
    prepared.try_into().map_err(|_| wrong("three bodies make three events"))
}

fn body<T: serde::de::DeserializeOwned>(json: Value, wrap: fn(Box<T>) -> Body) -> Result<Body, Error> {
    serde_json::from_value(json).map(Box::new).map(wrap).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_leaves_the_events_that_a_gateway_writes() {
        let events = events(7, Timestamp::now()).unwrap();
        assert!(events[0].opens && events[2].settles);
        assert_eq!(events.each_ref().map(|event| event.kind), [Kind::Stream, Kind::Candidate, Kind::Stream]);
    }
}
