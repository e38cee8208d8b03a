//! A steady load of ordinary clients, and what each of them saw. Every request has a number of its own, which the gateway
//! records as the client's own id and the provider notes in its tally.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use schemas::outcome::{Format, Outcome};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::demo::question::Question;
use crate::demo::script::{CLIENTS, DRILLED, FAILING_OVER, Model, STEADY, Shot};
use crate::simulate::random::Random;
use crate::simulate::{HEADER, TAG};

/// Longest patience of a client; longer than any part is stopped for.
const PATIENCE: Duration = Duration::from_secs(90);
const MODEL: &Model = &STEADY[0];

/// A request, as its client saw it.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Its number.
    pub(super) number: u64,
    pub(super) format: Format,
    pub(super) is_stream: bool,
    /// What has to become of it if nobody dies.
    pub(super) expected: Outcome,
    /// The `x-weir-request-id` of the response.
    pub(super) request_id: Option<Uuid>,
    /// The response's status; `None` when the client saw none.
    pub(super) status: Option<u16>,
    /// Whether the response came to its proper end.
    pub(super) is_whole: bool,
    /// Whether the client may have left before the end.
    pub(super) leaves: bool,
}

/// Clients that send one request after the other until they are told to stop.
#[derive(Debug)]
pub(super) struct Load {
    stop: CancellationToken,
    workers: JoinSet<Vec<Sent>>,
    begun: Arc<AtomicU64>,
}

impl Load {
    /// Starts so many clients, which ask the gateways in turn.
    pub(super) fn start(gateways: &[SocketAddr], client: &reqwest::Client, seed: u64, clients: u64) -> Self {
        let (stop, begun) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let mut workers = JoinSet::new();
        for _ in 0..clients {
            let (client, stop, begun) = (client.clone(), stop.clone(), Arc::clone(&begun));
            let gateways = gateways.to_vec();
            workers.spawn(async move {
                let mut sent = Vec::new();
                while !stop.is_cancelled() {
                    let number = begun.fetch_add(1, Ordering::Relaxed);
                    let (shot, pause) = shot(seed, number);
                    let turn = usize::try_from(number).unwrap_or(0).checked_rem(gateways.len()).unwrap_or(0);
                    let Some(gateway) = gateways.get(turn).copied() else { break };
                    sent.push(ask(gateway, &client, number, shot).await);
                    sleep(pause).await;
                }
                sent
            });
        }
        Self { stop, workers, begun }
    }

    /// How many requests were begun so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Lets running requests end and returns all of them.
    pub(super) async fn finish(mut self) -> Vec<Sent> {
        self.stop.cancel();
        let mut all = Vec::new();
        while let Some(sent) = self.workers.join_next().await {
            all.extend(sent.into_iter().flatten());
        }
        all
    }
}

/// Request `number` of a run and the pause after it: all formats, streamed and not, with failovers, failures, answers that
/// break, and clients that leave.
fn shot(seed: u64, number: u64) -> (Shot, Duration) {
    let mut random = Random::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut of = |models: &'static [Model]| {
        let at = usize::try_from(random.below(models.len() as u64)).unwrap_or(0);
        models.get(at).unwrap_or(MODEL)
    };
    let (steady, failing, drilled) = (of(&STEADY), of(&FAILING_OVER), of(&DRILLED));
    let which = usize::try_from(number).unwrap_or(0);
    let stream = random.below(5) > 0;
    let key = CLIENTS.get(usize::try_from(random.below(4)).unwrap_or(0)).unwrap_or(&CLIENTS[0]).key;
    let shot = match random.below(20) {
        0 => Question::new(failing, which, stream).shot(key),
        1 => Shot {
            fault: Some("error-529"),
            expected: Outcome::Failed,
            ..Question::new(drilled, which, stream).shot(key)
        },
        2 => {
            Shot { fault: Some("cut"), expected: Outcome::Interrupted, ..Question::new(drilled, which, true).shot(key) }
        }
        3 => Shot { fault: Some("no-usage"), ..Question::new(drilled, which, stream).shot(key) },
        4..7 => {
            // Some see much of the answer before they leave, some little, some nothing.
            let leaves_after_bytes = Some(usize::try_from(random.below(6_000)).unwrap_or(0));
            Shot { leaves_after_bytes, expected: Outcome::Cancelled, ..Question::new(steady, which, stream).shot(key) }
        }
        kind => {
            let mut question = Question::new(steady, which, stream);
            match kind % 4 {
                1 => question.show_more(),
                2 => question.offer_tools(),
                3 => question.lengthen(which),
                _ => {}
            }
            question.shot(key)
        }
    };
    (shot, Duration::from_millis(20 + random.below(200)))
}

async fn ask(gateway: SocketAddr, client: &reqwest::Client, number: u64, shot: Shot) -> Sent {
    let mut sent = Sent {
        number,
        format: shot.format,
        is_stream: shot.is_stream,
        expected: shot.expected,
        request_id: None,
        status: None,
        is_whole: false,
        leaves: shot.leaves_after_bytes.is_some(),
    };
    // Who waits for a whole body sees it at once or not at all, and leaves by the clock.
    let patience = match shot.leaves_after_bytes {
        Some(bytes) if !shot.is_stream => Duration::from_millis(bytes as u64 / 10),
        _ => PATIENCE,
    };
    if timeout(patience, converse(gateway, client, &shot, &mut sent)).await.is_err() {
        sent.leaves = true;
    }
    if sent.status.is_none() {
        // Nobody listens, or it died: not again at once.
        sleep(Duration::from_millis(100)).await;
    }
    sent
}

async fn converse(gateway: SocketAddr, client: &reqwest::Client, shot: &Shot, sent: &mut Sent) {
    let request = client.post(format!("http://{gateway}{}", shot.path));
    let request = match shot.format {
        Format::Anthropic => request.header("x-api-key", shot.key).header("anthropic-version", "2023-06-01"),
        Format::OpenaiChat | Format::OpenaiResponses => request.header(AUTHORIZATION, format!("Bearer {}", shot.key)),
        Format::Gemini => request.header("x-goog-api-key", shot.key),
    };
    let request = shot.fault.iter().fold(request, |request, fault| request.header(HEADER, *fault));
    let number = sent.number.to_string();
    let request = request.header(TAG, &number).header("x-request-id", &number);
    let Ok(response) = request.header(CONTENT_TYPE, "application/json").body(shot.body.clone()).send().await else {
        return;
    };
    sent.status = Some(response.status().as_u16());
    let id = response.headers().get("x-weir-request-id").and_then(|id| id.to_str().ok());
    sent.request_id = id.and_then(|id| id.parse().ok());
    let mut body = response.bytes_stream();
    let mut bytes = 0;
    loop {
        match body.next().await {
            Some(Ok(chunk)) => bytes += chunk.len(),
            Some(Err(_)) => return,
            None => {
                sent.is_whole = true;
                return;
            }
        }
        if shot.leaves_after_bytes.is_some_and(|limit| bytes > limit) {
            return;
        }
    }
}
