//! Sends the script's requests as ordinary clients would, and notes what each of them saw.

use std::net::SocketAddr;

use futures_util::StreamExt;
use futures_util::stream;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use schemas::outcome::Format;

use super::accounting::Sent;
use super::script::Shot;
use crate::simulate::HEADER;
use crate::terminal::Step;

/// How many requests run at once.
const CONCURRENCY: usize = 32;

/// Sends everything; returns what was seen in the order in which the answers ended.
pub(super) async fn send(gateway: SocketAddr, client: &reqwest::Client, shots: Vec<Shot>) -> Vec<Sent> {
    let count = shots.len();
    let mut step = Step::begin(format!("sending {count} requests through the gateway on {gateway}"));
    let mut answers = stream::iter(shots).map(|shot| ask(gateway, client, shot)).buffer_unordered(CONCURRENCY);
    let mut sent = Vec::new();
    while let Some(answer) = answers.next().await {
        sent.push(answer);
        step.progress(format_args!("{} of {count} have ended", sent.len()));
    }
    step.done(format_args!("{count} requests have ended"));
    sent
}

async fn ask(gateway: SocketAddr, client: &reqwest::Client, shot: Shot) -> Sent {
    let mut sent = Sent { request_id: None, status: None, expected: shot.expected, routes: shot.routes };
    let request = client.post(format!("http://{gateway}{}", shot.path));
    let request = match shot.format {
        Format::Anthropic => request.header("x-api-key", shot.key).header("anthropic-version", "2023-06-01"),
        Format::OpenaiChat | Format::OpenaiResponses => request.header(AUTHORIZATION, format!("Bearer {}", shot.key)),
        Format::Gemini => request.header("x-goog-api-key", shot.key),
    };
    let request = shot.fault.iter().fold(request, |request, fault| request.header(HEADER, *fault));
    let Ok(response) = request.header(CONTENT_TYPE, "application/json").body(shot.body).send().await else {
        return sent;
    };
    sent.status = Some(response.status().as_u16());
    let id = response.headers().get("x-weir-request-id").and_then(|id| id.to_str().ok());
    sent.request_id = id.and_then(|id| id.parse().ok());
    let mut body = response.bytes_stream();
    let mut bytes = 0;
    // An answer that breaks off is what some of these requests are about: the rows have to say so, not this client.
    while let Some(Ok(chunk)) = body.next().await {
        bytes += chunk.len();
        if shot.leaves_after_bytes.is_some_and(|limit| bytes > limit) {
            break;
        }
    }
    sent
}
