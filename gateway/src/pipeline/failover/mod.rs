//! The loop over candidates: it asks whom the schedule names until one answers. It does no HTTP of its own.

mod schedule;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant, SystemTime};

use schemas::events::Candidate;
use schemas::outcome::{ErrorClass, Verdict};
use schemas::time::Timestamp;
use schemas::usage::Usage;
use tokio_util::sync::CancellationToken;

use self::schedule::{Schedule, Turn};
use super::attempt::{self, Answer, Call};
use super::failure::Failure;
use super::receipt::Ticket;
use super::route::Routed;
use crate::app::App;
use crate::classify;
use crate::health::{Admission, SkipReason, Skipped};

/// The failure that the client is told of, of those so far, and whose it is.
struct Told {
    index: usize,
    telling: u8,
    failure: Failure,
}

/// Asks the candidates until one answers. Returns the most telling failure when none does. Nobody else is asked once the
/// client has left.
pub(super) async fn failover(
    app: &App,
    ticket: &mut Ticket,
    routed: &Routed,
    left: &CancellationToken,
) -> Result<Answer, Failure> {
    // The last bytes of a version 7 id are random.
    let random = ticket.id().as_u64_pair().1;
    let mut schedule = Schedule::new(&routed.candidates, ticket.deadline(), random);
    // With nobody else to ask, the provider's own answer says more than our refusal would. The health of the target is
    // then judged by its probes alone.
    let is_only = routed.candidates.windows(2).all(|pair| pair[0].target.id == pair[1].target.id);
    let mut told: Option<Told> = None;
    let mut skipped: Option<Skipped> = None;
    while let Some(turn) = schedule.next(Instant::now()) {
        let Some(candidate) = routed.candidates.get(turn.index) else { break };
        if left.run_until_cancelled(tokio::time::sleep_until(turn.at.into())).await.is_none() {
            break;
        }
        let slot = match app.health.admit(candidate.target.id, Instant::now()) {
            Admission::Admitted(slot) => Some(slot),
            Admission::Skipped(why) if is_only && why.reason != SkipReason::ConcurrencyLimit => None,
            Admission::Skipped(why) => {
                // A breaker is not waited for: that would hold all requests of an outage.
                let until = why.until.filter(|_| why.reason == SkipReason::CoolingDown);
                if schedule.skipped(turn, until) {
                    let event = candidate_event(ticket, turn, candidate);
                    ticket.candidate_skipped(event, why.reason.as_str());
                }
                skipped = Some(why);
                continue;
            }
        };
        schedule.begun(turn, Instant::now());
        name_target(ticket, candidate);
        ticket.begin_candidate(candidate_event(ticket, turn, candidate), slot);
        if ticket.receipt.attempts == 1 {
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
                let verdict = classify::classify(&failure.fault());
                let pause = failure.pause(SystemTime::now());
                note_failure(ticket, &failure, verdict, pause);
                schedule.failed(turn, verdict, pause, Instant::now());
                let telling = verdict.telling();
                if told.as_ref().is_none_or(|told| telling > told.telling) {
                    told = Some(Told { index: turn.index, telling, failure });
                }
            }
        }
    }
    let Some(Told { index, failure, .. }) = told else { return Err(nobody_asked(skipped)) };
    if let Some(candidate) = routed.candidates.get(index) {
        point_at(ticket, candidate);
    }
    Err(failure)
}

/// Nobody could be asked: because we are asked to wait, or because nobody is well.
fn nobody_asked(skipped: Option<Skipped>) -> Failure {
    match skipped.map(|skipped| skipped.reason) {
        Some(SkipReason::CoolingDown | SkipReason::ConcurrencyLimit) => {
            let message = "every provider of this model is at its limit; try again later";
            Failure::new(ErrorClass::UpstreamRateLimited, message)
        }
        Some(SkipReason::BreakerOpen | SkipReason::KeyDisabled) => {
            Failure::new(ErrorClass::NoCandidate, "every provider of this model is failing; try again later")
        }
        None => Failure::new(ErrorClass::NoCandidate, "no provider could be asked"),
    }
}

/// Writes down a failed try, and holds it against its target if that is to blame.
fn note_failure(ticket: &mut Ticket, failure: &Failure, verdict: classify::Verdict, pause: Option<Duration>) {
    let note = failure.note();
    let reason = verdict.reason().as_str();
    let status = failure.status.map(|status| status.as_u16());
    let (request_id, endpoint) = (ticket.id(), &ticket.receipt.endpoint);
    tracing::warn!(%request_id, endpoint, class = %note.class, reason, status, "attempt failed");
    if let (Some(event), Some(reading)) = (ticket.candidate_mut(), &failure.reading) {
        event.usage = reading.usage();
    }
    ticket.unreadable(failure.class, failure.unread());
    ticket.candidate_failed(note, reason, failure.blame(verdict, pause));
}

/// From here on the receipt names this candidate, until the next one is tried.
fn name_target(ticket: &mut Ticket, candidate: &crate::catalog::Candidate) {
    ticket.receipt.attempts += 1;
    point_at(ticket, candidate);
}

fn point_at(ticket: &mut Ticket, candidate: &crate::catalog::Candidate) {
    let (target, receipt) = (&candidate.target, &mut ticket.receipt);
    receipt.provider.clone_from(&target.provider);
    receipt.endpoint.clone_from(&target.endpoint);
    receipt.key.clone_from(&target.key);
    receipt.model_upstream.clone_from(&candidate.model_upstream);
    receipt.cost_multiplier = target.cost_multiplier;
}

fn candidate_event(ticket: &Ticket, turn: Turn, candidate: &crate::catalog::Candidate) -> Candidate {
    let target = &candidate.target;
    Candidate {
        candidate_index: u16::try_from(turn.index).unwrap_or(u16::MAX),
        attempt_index: turn.attempt,
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
