//! The loop over candidates: who is asked next, and when to stop. It does no HTTP of its own.

use std::time::Instant;

use schemas::events::Candidate;
use schemas::outcome::{ErrorClass, Verdict};
use schemas::time::Timestamp;
use schemas::usage::Usage;

use super::attempt::{self, Answer, Call};
use super::failure::Failure;
use super::receipt::Ticket;
use super::route::Routed;
use crate::app::App;

/// Asks the candidates in their order until one answers. Returns the last failure when none does.
pub(super) async fn failover(app: &App, ticket: &mut Ticket, routed: &Routed) -> Result<Answer, Failure> {
    let mut last = Failure::new(ErrorClass::NoCandidate, "no provider could be asked");
    for (index, candidate) in routed.candidates.iter().enumerate() {
        if ticket.deadline() <= Instant::now() {
            return Err(last);
        }
        name_target(ticket, candidate);
        ticket.begin_candidate(candidate_event(ticket, index, candidate));
        if index == 0 {
            app.metrics.overhead(ticket.elapsed());
        }
        let call = Call { app, candidate, routed, operation: ticket.receipt.operation, deadline: ticket.deadline() };
        let Some(event) = ticket.candidate_mut() else { break };
        match attempt::attempt(&call, event).await {
            Ok(answer) => {
                event.verdict = Verdict::Succeeded;
                return Ok(answer);
            }
            Err(failure) => {
                let note = failure.note();
                let (id, status) = (ticket.id(), failure.status.map(|status| status.as_u16()));
                let endpoint = &candidate.target.endpoint;
                tracing::warn!(request_id = %id, endpoint, class = %note.class, status, "attempt failed");
                if let (Some(event), Some(reading)) = (ticket.candidate_mut(), &failure.reading) {
                    event.usage = reading.usage;
                }
                ticket.unreadable(failure.class, failure.unread());
                ticket.candidate_failed(note);
                last = failure;
                if !may_try_next(last.class) {
                    break;
                }
            }
        }
    }
    Err(last)
}

/// Whether another candidate may succeed where this one did not. The caller's own mistakes would be repeated.
fn may_try_next(class: ErrorClass) -> bool {
    !matches!(class, ErrorClass::UpstreamClientError | ErrorClass::TotalTimeout)
}

/// From here on the receipt names this candidate, until the next one is tried.
fn name_target(ticket: &mut Ticket, candidate: &crate::catalog::Candidate) {
    let (target, receipt) = (&candidate.target, &mut ticket.receipt);
    receipt.attempts += 1;
    receipt.provider.clone_from(&target.provider);
    receipt.endpoint.clone_from(&target.endpoint);
    receipt.key.clone_from(&target.key);
    receipt.model_upstream.clone_from(&candidate.model_upstream);
    receipt.cost_multiplier = target.cost_multiplier;
}

fn candidate_event(ticket: &Ticket, index: usize, candidate: &crate::catalog::Candidate) -> Candidate {
    let target = &candidate.target;
    Candidate {
        candidate_index: u16::try_from(index).unwrap_or(u16::MAX),
        attempt_index: 0,
        verdict: Verdict::Failed,
        reason: "chosen".to_owned(),
        provider: target.provider.clone(),
        endpoint: target.endpoint.clone(),
        key: target.key.clone(),
        model_upstream: candidate.model_upstream.clone(),
        status: None,
        error_class: None,
        error_message: None,
        started_at: Timestamp::now(),
        headers_ms: None,
        first_content_ms: None,
        duration_ms: 0.0,
        response_bytes: 0,
        usage: Usage::UNKNOWN,
        received_at: ticket.receipt.received_at,
        client: ticket.receipt.client.clone(),
    }
}
