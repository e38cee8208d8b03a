//! The ticket of a request: a receipt that must be settled exactly once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::events::{BodyRef, Candidate, ErrorNote, NORMALISER_VERSION, Opened, Prepared, Receipt};
use schemas::money::Factor;
use schemas::outcome::{ErrorClass, Format, Operation, Outcome, UsageSource, Verdict};
use schemas::time::Timestamp;
use schemas::usage::Usage;
use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

use super::account;
use crate::app::App;
use crate::capture::{Transcript, Unreadable};
use crate::estimate::Prompt;
use crate::formats::Reading;
use crate::health::{Fault, Said, Slot};
use crate::ledger::AppendError;
use crate::limits::Hold;
use crate::routing::Turn;

/// Goes with a request from its first byte to its last.
pub(crate) struct Ticket {
    app: Arc<App>,
    id: Uuid,
    started: Instant,
    /// What is known so far; stages fill it in.
    pub(crate) receipt: Receipt,
    /// What was asked, as long as its tokens may have to be estimated.
    pub(crate) prompt: Option<Prompt>,
    /// What it was counted with against the client's limits.
    pub(crate) hold: Option<Hold>,
    /// What was said so far, where bodies are captured.
    pub(crate) transcript: Transcript,
    /// Whose cache holds the prompt, if the request is one that caches.
    pub(crate) turn: Option<Turn>,
    /// Written together with the terminal event, in one write.
    pending: Option<Candidate>,
    /// What the target that is being asked bears of this request, until its answer is over.
    slot: Option<Slot>,
    checkpointed: bool,
    opened: bool,
    settled: bool,
    /// Keeps a graceful stop waiting until this request is settled.
    _running: TaskTrackerToken,
}

impl Ticket {
    /// In a box, because a request goes through many hands.
    pub(crate) fn new(app: &Arc<App>, format: Format) -> Box<Self> {
        Box::new(Self {
            app: Arc::clone(app),
            id: Uuid::now_v7(),
            started: Instant::now(),
            receipt: empty(format, Timestamp::now()),
            prompt: None,
            hold: None,
            transcript: app.capture.transcript(),
            turn: None,
            pending: None,
            slot: None,
            checkpointed: false,
            opened: false,
            settled: false,
            _running: app.requests.token(),
        })
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn format(&self) -> Format {
        self.receipt.format
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// When the request must be over.
    pub(crate) fn deadline(&self) -> Instant {
        self.started + self.app.timeouts.total.0
    }

    /// Writes the opened event: from here on the ledger knows the request and will settle it if this process cannot. With
    /// it, in the same write, go the candidates that are left out from the beginning.
    ///
    /// # Errors
    /// When it cannot be written and nothing may be served that is not.
    pub(crate) fn open(&mut self, request_bytes: u64, left_out: &[Candidate]) -> Result<(), AppendError> {
        let receipt = &mut self.receipt;
        receipt.request_bytes = request_bytes;
        let opened = Opened {
            client: receipt.client.clone(),
            user: receipt.user.clone(),
            tags: receipt.tags.clone(),
            format: receipt.format,
            operation: receipt.operation,
            is_stream: receipt.is_stream,
            model_requested: receipt.model_requested.clone(),
            model: receipt.model.clone(),
            request_bytes,
            received_at: receipt.received_at,
            client_request_id: receipt.client_request_id.clone(),
            user_agent: receipt.user_agent.clone(),
        };
        let mut events = Vec::with_capacity(1 + left_out.len());
        events.push(BodyRef::Opened(&opened));
        events.extend(left_out.iter().map(BodyRef::Candidate));
        let written = self.append(&events);
        if self.app.ledger.must_account() {
            written?;
        }
        left_out.iter().for_each(|candidate| self.app.metrics.candidate(candidate));
        self.opened = true;
        self.app.metrics.request_opened();
        Ok(())
    }

    /// Begins a try. Its event is written when the try fails, or with the terminal event.
    pub(crate) fn begin_candidate(&mut self, candidate: Candidate, slot: Slot) {
        self.pending = Some(candidate);
        self.slot = Some(slot);
    }

    /// Writes the event of a candidate that was not tried.
    pub(crate) fn candidate_skipped(&mut self, mut candidate: Candidate, reason: &str) {
        candidate.verdict = Verdict::Skipped;
        reason.clone_into(&mut candidate.reason);
        self.app.metrics.candidate(&candidate);
        self.append_or_count(&[BodyRef::Candidate(&candidate)]);
    }

    /// Writes the events of candidates that are left out of a request that is not let in.
    pub(crate) fn left_out(&self, candidates: &[Candidate]) {
        candidates.iter().for_each(|candidate| self.app.metrics.candidate(candidate));
        let events: Vec<BodyRef<'_>> = candidates.iter().map(BodyRef::Candidate).collect();
        self.append_or_count(&events);
    }

    /// The try under way.
    pub(crate) fn candidate_mut(&mut self) -> Option<&mut Candidate> {
        self.pending.as_mut()
    }

    /// These bytes of the answer are about to go to the client.
    pub(crate) fn relayed(&mut self, bytes: &[u8]) {
        self.receipt.response_bytes += bytes.len() as u64;
        self.transcript.response(bytes);
    }

    /// Notes what the try under way got for an answer that cannot be read.
    pub(crate) fn unreadable(&mut self, class: ErrorClass, answer: Option<Unreadable>) {
        if let (Some(candidate), Some(answer)) = (&self.pending, answer) {
            self.transcript.unreadable(candidate, class, answer);
        }
    }

    /// Writes the event of a try that failed, and why the candidate was left. `fault` is what its target is to blame for.
    pub(crate) fn candidate_failed(&mut self, note: ErrorNote, reason: &str, fault: Option<Fault>) {
        if let (Some(slot), Some(fault)) = (self.slot.take(), fault) {
            let status = self.pending.as_ref().and_then(|candidate| candidate.status);
            slot.note(Said { status, class: note.class, kind: note.kind.clone() });
            slot.failed(fault, Instant::now());
        }
        if let Some(mut candidate) = self.pending.take() {
            account::fail_candidate(&mut candidate, &note);
            reason.clone_into(&mut candidate.reason);
            self.app.metrics.candidate(&candidate);
            self.append_or_count(&[BodyRef::Candidate(&candidate)]);
        }
    }

    /// Takes over the last reading of an answer, with estimates of what the provider has not told.
    pub(crate) fn conclude(&mut self, reading: &Reading) {
        self.app.metrics.events_unreadable(reading.unreadable_events);
        if let (Some(turn), Some(id)) = (&mut self.turn, &reading.response_id) {
            turn.named(&self.receipt.client, id);
        }
        account::conclude(&mut self.receipt, reading, self.prompt.take());
    }

    /// Writes down, once, what the request has used so far.
    pub(crate) fn checkpoint(&mut self) {
        if self.checkpointed {
            return;
        }
        self.checkpointed = true;
        if let Err(error) = self.app.ledger.checkpoint(self.id, &self.receipt) {
            tracing::debug!(%error, request_id = %self.id, "no checkpoint was written");
        }
    }

    pub(crate) fn is_checkpointed(&self) -> bool {
        self.checkpointed
    }

    /// Ends the request: writes its terminal event. Call before the bytes that complete the answer are forwarded.
    pub(crate) fn settle(mut self: Box<Self>, outcome: Outcome, error: Option<ErrorNote>) {
        self.end(outcome, error);
    }

    /// Ends what was no request to a provider: nothing to account for.
    pub(crate) fn dismiss(mut self: Box<Self>) {
        self.settled = true;
    }

    /// Ends the request without an event: it was never let in, and the flood bound is reached.
    pub(crate) fn discard(mut self: Box<Self>) {
        self.settled = true;
        self.app.metrics.request_ended(&self.receipt, self.opened);
    }

    fn end(&mut self, outcome: Outcome, error: Option<ErrorNote>) {
        self.settled = true;
        self.receipt.outcome = outcome;
        self.receipt.error = error;
        // Once for all: in a virtual machine the clock takes as long to look at as a hundred instructions.
        let now = Instant::now();
        if let Some(slot) = self.slot.take() {
            judge(slot, &self.receipt, now);
        }
        if let Some(turn) = self.turn.take() {
            place(turn, &self.app, &self.receipt, now);
        }
        if let Some(hold) = self.hold.take() {
            let truth = account::truth(&self.receipt, hold.is_billed().then_some(&*self.app.book));
            hold.settle(truth, Timestamp::now());
        }
        self.receipt.duration_ms = now.duration_since(self.started).as_secs_f64() * 1000.0;
        self.app.metrics.request_ended(&self.receipt, self.opened);
        let terminal = BodyRef::Terminal(&self.receipt);
        match self.pending.take() {
            Some(mut candidate) => {
                account::close_candidate(&mut candidate, &self.receipt);
                self.app.metrics.candidate(&candidate);
                self.append_or_count(&[BodyRef::Candidate(&candidate), terminal]);
            }
            None => self.append_or_count(&[terminal]),
        }
        self.app.capture.keep(self.id, std::mem::take(&mut self.transcript), &self.receipt);
    }

    /// Numbers and writes events. What cannot be written is counted, and never fails the request.
    fn append_or_count(&self, bodies: &[BodyRef<'_>]) {
        // Counted and logged below: nothing else can be done about it.
        let _ = self.append(bodies);
    }

    fn append(&self, bodies: &[BodyRef<'_>]) -> Result<(), AppendError> {
        let now = Timestamp::now();
        let count = bodies.len() as u64;
        let prepared: Result<Vec<Prepared>, _> = bodies.iter().map(|body| Prepared::new(self.id, now, *body)).collect();
        let appended = prepared.map_err(Into::into).and_then(|events| self.app.ledger.append(&events));
        match &appended {
            Ok(()) => self.app.metrics.events_appended(count),
            Err(error) => {
                self.app.metrics.events_lost(count);
                tracing::error!(%error, request_id = %self.id, events = count, "events were lost");
            }
        }
        appended
    }
}

impl Drop for Ticket {
    /// The net under a request whose client left before it was let in, or whose task panicked.
    fn drop(&mut self) {
        if !self.settled {
            self.receipt.status = 499;
            self.end(Outcome::Cancelled, Some(account::client_left()));
        }
    }
}

/// A target is judged by its whole answer (W22). One that the client left, or that we ended, tells nothing.
fn judge(slot: Slot, receipt: &Receipt, now: Instant) {
    let fault = receipt.error.as_ref().and_then(|error| Fault::of(error.class));
    match (receipt.outcome, fault) {
        (Outcome::Completed, _) => slot.succeeded(now),
        (Outcome::Interrupted, Some(fault)) => slot.broke(fault, now),
        _ => {}
    }
}

/// Where a conversation is answered it stays, also if its client leaves: the prompt has been read. Where its answer broke
/// it does not.
fn place(mut turn: Turn, app: &App, receipt: &Receipt, now: Instant) {
    match receipt.outcome {
        Outcome::Completed | Outcome::Cancelled => {
            turn.settle(&app.affinity, now);
            app.metrics.affinity.settled(&turn);
        }
        Outcome::Interrupted if receipt.error.as_ref().is_some_and(|error| Fault::of(error.class).is_some()) => {
            turn.broke(&app.affinity);
        }
        Outcome::Interrupted | Outcome::Failed | Outcome::Rejected => {}
    }
}

fn empty(format: Format, received_at: Timestamp) -> Receipt {
    Receipt {
        outcome: Outcome::Cancelled,
        client: String::new(),
        user: None,
        tags: std::collections::BTreeMap::new(),
        format,
        operation: Operation::Generate,
        is_stream: false,
        provider: String::new(),
        endpoint: String::new(),
        key: String::new(),
        model_requested: String::new(),
        model: String::new(),
        model_upstream: String::new(),
        model_reported: String::new(),
        status: 499,
        upstream_status: None,
        error: None,
        stop_reason: None,
        attempts: 0,
        received_at,
        ttft_ms: None,
        duration_ms: 0.0,
        usage: Usage::UNKNOWN,
        usage_source: UsageSource::None,
        delivered_output: None,
        raw_usage: None,
        normaliser: NORMALISER_VERSION,
        cost_multiplier: Factor::ONE,
        request_bytes: 0,
        response_bytes: 0,
        stream_events: 0,
        client_request_id: None,
        upstream_request_id: None,
        user_agent: None,
    }
}
