//! The loop over candidates: it asks whom the schedule names until one answers. It does no HTTP of its own.

mod schedule;
mod unasked;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant, SystemTime};

use schemas::events::Candidate;
use schemas::outcome::Verdict;
use schemas::price::reported_cost;
use tokio_util::sync::CancellationToken;

use self::schedule::{Schedule, Turn};
use super::attempt::{self, Answer, Call};
use super::considered;
use super::failure::Failure;
use super::receipt::Ticket;
use super::route::Routed;
use crate::app::App;
use crate::classify;
use crate::health::{Admission, Claim, SkipReason, Skipped, Standing};

/// The failure that the client is told of, of those so far, and whose it is.
struct Told {
    index: usize,
    telling: u8,
    failure: Failure,
}

/// A candidate that was not asked: its target, and why.
type Passed = (usize, Skipped);

/// Asks the candidates until one answers. Returns the most telling failure when none does. Nobody else is asked once the
/// client has left.
pub(super) async fn failover(
    app: &App,
    ticket: &mut Ticket,
    routed: &Routed,
    left: &CancellationToken,
) -> Result<Answer, Failure> {
    let candidates: Vec<&crate::catalog::Candidate> = routed.candidates().collect();
    // The last bytes of a version 7 id are random.
    let random = ticket.id().as_u64_pair().1;
    let mut schedule = Schedule::new(candidates.iter().copied(), ticket.deadline(), random);
    let mut told: Option<Told> = None;
    let mut passed: Vec<Passed> = Vec::new();
    loop {
        let looked = Instant::now();
        let Some(turn) = schedule.next(looked) else { break };
        let Some(candidate) = candidates.get(turn.index).copied() else { break };
        let is_due = turn.at <= looked;
        let pause = async { left.run_until_cancelled(tokio::time::sleep_until(turn.at.into())).await };
        if left.is_cancelled() || (!is_due && pause.await.is_none()) {
            break;
        }
        let claim = claim(ticket, candidate, &passed);
        let now = if is_due { looked } else { Instant::now() };
        let slot = match app.health.admit(candidate.target.id, claim, now) {
            Admission::Admitted(slot) => slot,
            Admission::Skipped(why) => {
                if schedule.skipped(turn, look_again(why, now), now) {
                    pass_over(ticket, considered::event(ticket, (turn.index, turn.attempt), candidate), candidate, why);
                }
                passed.push((candidate.target.id, why));
                continue;
            }
        };
        schedule.begun(turn, now);
        name_target(ticket, candidate);
        ticket.begin_candidate(considered::event(ticket, (turn.index, turn.attempt), candidate), slot);
        if ticket.receipt.attempts == 1 {
            app.metrics.overhead(ticket.elapsed());
        }
        let (operation, deadline) = (ticket.receipt.operation, ticket.deadline());
        let patience = patience(app, routed, &schedule, (turn, now));
        let call = Call { app, candidate, routed, operation, patience, deadline };
        let Some(event) = ticket.candidate_mut() else { break };
        match attempt::attempt(&call, event).await {
            Ok(answer) => {
                event.verdict = Verdict::Succeeded;
                if let Some(conversation) = &mut ticket.turn {
                    conversation.answered(candidate.identity(), turn.index);
                }
                return Ok(answer);
            }
            Err(failure) => {
                let verdict = classify::classify(&failure.fault());
                let pause = failure.pause(SystemTime::now());
                note_failure(ticket, &failure, verdict, pause);
                if let Some(conversation) = &mut ticket.turn {
                    conversation.failed(&app.affinity, candidate.seed, verdict);
                }
                schedule.failed(turn, verdict, pause, Instant::now());
                let telling = verdict.telling();
                if told.as_ref().is_none_or(|told| telling > told.telling) {
                    told = Some(Told { index: turn.index, telling, failure });
                }
            }
        }
    }
    let Some(Told { index, failure, .. }) = told else { return Err(unasked::failure(app, routed, &passed)) };
    if let Some(candidate) = candidates.get(index) {
        point_at(ticket, candidate);
    }
    Err(failure)
}

/// How long a candidate may be silent. A plain answer comes when it is complete, which no limit can foresee: whoever is
/// asked for one has all the time that is left, unless somebody else could still give it.
fn patience(app: &App, routed: &Routed, schedule: &Schedule<'_>, (turn, now): (Turn, Instant)) -> Option<Duration> {
    if routed.peeked.stream {
        return Some(app.timeouts.first_byte.0);
    }
    let patience = app.timeouts.plain_first_byte.0;
    let then = now + patience;
    let could_answer = |other: &crate::catalog::Candidate| app.health.standing(other.target.id, then) != Standing::Shut;
    schedule.elsewhere(turn).any(could_answer).then_some(patience)
}

/// What the request may claim of a target: all its slots where its prompt or its last response is known, or where nobody else is left.
fn claim(ticket: &Ticket, candidate: &crate::catalog::Candidate, passed: &[Passed]) -> Claim {
    let is_held = ticket.turn.as_ref().is_some_and(|turn| turn.is_known_at(candidate.identity()));
    let gave_way = |(id, why): &Passed| *id == candidate.target.id && why.reason == SkipReason::Reserved;
    if is_held || passed.iter().any(gave_way) { Claim::Known } else { Claim::New }
}

/// When somebody who was not asked is looked at once more, if nobody else has answered until then. A breaker is not waited
/// for: that would hold all requests of an outage.
fn look_again(why: Skipped, now: Instant) -> Option<Instant> {
    match why.reason {
        SkipReason::CoolingDown => why.until,
        SkipReason::Reserved => Some(now),
        SkipReason::BreakerOpen | SkipReason::KeyDisabled | SkipReason::ConcurrencyLimit => None,
    }
}

/// Writes down that a candidate was not asked, and takes the conversation from a target that is at fault.
fn pass_over(ticket: &mut Ticket, event: Candidate, candidate: &crate::catalog::Candidate, why: Skipped) {
    ticket.candidate_skipped(event, why.reason.as_str());
    let app = std::sync::Arc::clone(ticket.app());
    if let Some(conversation) = ticket.turn.as_mut().filter(|_| why.reason.is_fault()) {
        conversation.lost(&app.affinity, candidate.seed);
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
        event.reported_cost = reading.raw_usage.as_deref().and_then(reported_cost);
        event.model_reported = reading.model_reported.clone().unwrap_or_default();
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
