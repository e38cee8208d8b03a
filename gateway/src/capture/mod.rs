//! What was said, kept where `[gateway] capture` asks for it: the client's request with the answer it got, and the answers
//! of providers that could not be read (S148).
//!
//! While a request runs, the beginning of its answer is copied as it passes, up to a bound. Everything else (redacting,
//! serialising, writing) comes after the request is settled, in a task that nobody waits for. Bodies give way to all other
//! events: they have a share of the ledger of their own, and what does not fit is dropped and counted.

mod redact;
mod transcript;

pub(crate) use self::transcript::{Transcript, Unreadable};

use std::sync::Arc;

use aho_corasick::BuildError;
use schemas::config::{self, Secret};
use schemas::events::{Bodies, Body, Captured, Prepared, Receipt};
use schemas::outcome::{CaptureScope, Outcome};
use schemas::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::redact::Redactor;
use self::transcript::{Attempt, Said};
use crate::ledger::{AppendError, Ledger};
use crate::metrics::{BodyDrop, Metrics};

/// Requests whose bodies are being written at once; each holds half a MiB at most.
const WRITING_MAX: usize = 64;
/// Shorter secrets are placeholders of keyless servers (`none`, `local`), and ordinary words of any text.
const SECRET_MIN_BYTES: usize = 8;

/// What the capturing of all requests shares.
pub(crate) struct Capture {
    mode: config::Capture,
    secrets: Secrets,
    writing: Arc<Semaphore>,
    output: Output,
}

/// What must not be kept.
#[derive(Clone)]
struct Secrets {
    /// Ours, at the providers.
    ours: Arc<[Secret]>,
    /// The caller's own; elsewhere it is known by its digest only.
    client_key: Option<Secret>,
}

/// Where bodies go.
#[derive(Clone)]
pub(crate) struct Output {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) metrics: Arc<Metrics>,
    /// A graceful stop waits for the bodies in hand.
    pub(crate) tasks: TaskTracker,
}

impl Capture {
    pub(crate) fn new(mode: config::Capture, secrets: impl Iterator<Item = Secret>, output: Output) -> Self {
        Self { mode, secrets: Secrets::new(secrets), writing: Arc::new(Semaphore::new(WRITING_MAX)), output }
    }

    /// The same under another configuration, within the same bound.
    pub(crate) fn reconfigured(&self, mode: config::Capture, secrets: impl Iterator<Item = Secret>) -> Self {
        let (writing, output) = (Arc::clone(&self.writing), self.output.clone());
        Self { mode, secrets: Secrets::new(secrets), writing, output }
    }

    /// The transcript of a new request.
    pub(crate) fn transcript(&self) -> Transcript {
        match self.mode {
            config::Capture::None => Transcript::default(),
            config::Capture::Errors | config::Capture::All => Transcript::begin(self.secrets.clone()),
        }
    }

    /// Keeps what is asked for of a request that is settled.
    pub(crate) fn keep(&self, id: Uuid, transcript: Transcript, receipt: &Receipt) {
        let Some(mut said) = transcript.into_said() else { return };
        // A request that was turned away before its body was read has said nothing.
        if said.request.is_none() || (self.mode == config::Capture::Errors && receipt.outcome == Outcome::Completed) {
            said.request = None;
            said.response = None;
        }
        let events = said.attempts.len() as u64 + u64::from(said.request.is_some());
        if events == 0 {
            return;
        }
        let permit = Arc::clone(&self.writing).try_acquire_owned();
        // Without a runtime the process is ending; bodies are the first to go.
        let (Ok(permit), Ok(runtime)) = (permit, Handle::try_current()) else {
            return self.output.metrics.bodies_dropped(BodyDrop::Busy, events);
        };
        let (output, template) = (self.output.clone(), template(receipt));
        let keeping = async move {
            match said.secrets.redactor() {
                Ok(redactor) => {
                    for bodies in written(*said, &redactor, template).await {
                        output.append(id, bodies);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, request_id = %id, "bodies cannot be redacted and are not kept");
                    output.metrics.bodies_dropped(BodyDrop::Failed, events);
                }
            }
            drop(permit);
        };
        self.output.tasks.spawn_on(keeping, &runtime);
    }
}

impl Secrets {
    fn new(ours: impl Iterator<Item = Secret>) -> Self {
        let ours = ours.filter(|secret| secret.expose().len() >= SECRET_MIN_BYTES).collect();
        Self { ours, client_key: None }
    }

    fn redactor(&self) -> Result<Redactor, BuildError> {
        Redactor::new(self.ours.iter().chain(&self.client_key))
    }
}

impl Output {
    fn append(&self, id: Uuid, bodies: Bodies) {
        let prepared = Prepared::new(id, Timestamp::now(), &Body::Bodies(Box::new(bodies)));
        match prepared.map_err(AppendError::from).and_then(|event| self.ledger.append(&[event])) {
            Ok(()) => self.metrics.events_appended(1),
            Err(AppendError::Full | AppendError::DiskFull) => self.metrics.bodies_dropped(BodyDrop::LedgerFull, 1),
            Err(error) => {
                tracing::warn!(%error, request_id = %id, "bodies are not kept");
                self.metrics.bodies_dropped(BodyDrop::Failed, 1);
            }
        }
    }
}

/// The events, redacted: attempts in their order, then the exchange that came of them.
async fn written(said: Said, redactor: &Redactor, template: Bodies) -> Vec<Bodies> {
    let mut events: Vec<Bodies> =
        said.attempts.into_iter().map(|attempt| of_attempt(attempt, redactor, &template)).collect();
    if let Some(request) = said.request {
        let request = request.captured(redactor).await;
        let response = said.response.map(|response| response.captured(redactor));
        events.push(Bodies { request, response, ..template });
    }
    events
}

fn of_attempt(attempt: Attempt, redactor: &Redactor, template: &Bodies) -> Bodies {
    let Attempt { candidate, class, answer } = attempt;
    let mut response: Captured = answer.captured(redactor);
    // A quoted key of ours may have been taken out of the answer already, which made it shorter than it came.
    response.bytes = response.bytes.max(candidate.response_bytes);
    Bodies {
        scope: CaptureScope::Attempt,
        candidate_index: Some(candidate.candidate_index),
        attempt_index: Some(candidate.attempt_index),
        provider: candidate.provider,
        endpoint: candidate.endpoint,
        status: candidate.status,
        error_class: Some(class),
        response: Some(response),
        ..template.clone()
    }
}

/// What the events of a request have in common.
fn template(receipt: &Receipt) -> Bodies {
    Bodies {
        scope: CaptureScope::Exchange,
        candidate_index: None,
        attempt_index: None,
        client: receipt.client.clone(),
        format: receipt.format,
        model: receipt.model.clone(),
        provider: receipt.provider.clone(),
        endpoint: receipt.endpoint.clone(),
        outcome: receipt.outcome,
        status: Some(receipt.status),
        error_class: receipt.error.as_ref().map(|error| error.class),
        received_at: receipt.received_at,
        request: None,
        response: None,
    }
}

#[cfg(test)]
mod tests;
