//! What is written down about candidates before they are asked.

use schemas::events::Candidate;
use schemas::outcome::Verdict;
use schemas::time::Timestamp;
use schemas::usage::Usage;

use super::receipt::Ticket;
use crate::catalog;

/// A candidate that is about to be asked: its place in the request's line, and which row of it this is.
pub(super) fn event(
    ticket: &Ticket,
    (index, attempt_index): (usize, u16),
    candidate: &catalog::Candidate,
) -> Candidate {
    let target = &candidate.target;
    Candidate {
        candidate_index: u16::try_from(index).unwrap_or(u16::MAX),
        attempt_index,
        verdict: Verdict::Failed,
        reason: "chosen".to_owned(),
        provider: target.provider.clone(),
        endpoint: target.endpoint.clone(),
        key: target.key.clone(),
        model: ticket.receipt.model.clone(),
        model_upstream: candidate.model_upstream.clone(),
        model_reported: String::new(),
        cost_multiplier: target.cost_multiplier,
        status: None,
        error_class: None,
        error_message: None,
        started_at: Timestamp::now(),
        headers_ms: None,
        first_content_ms: None,
        duration_ms: 0.0,
        response_bytes: 0,
        usage: Usage::UNKNOWN,
        reported_cost: None,
        received_at: ticket.receipt.received_at,
        client: ticket.receipt.client.clone(),
    }
}

/// Those that have no place in the line, which ends before `from`, each with the reason.
pub(super) fn left_out<'a>(
    ticket: &Ticket,
    from: usize,
    candidates: impl Iterator<Item = (&'a catalog::Candidate, &'static str)>,
) -> Vec<Candidate> {
    let skipped = |(at, (candidate, reason)): (usize, (&catalog::Candidate, &str))| Candidate {
        verdict: Verdict::Skipped,
        reason: reason.to_owned(),
        ..event(ticket, (from + at, 0), candidate)
    };
    candidates.enumerate().map(skipped).collect()
}
