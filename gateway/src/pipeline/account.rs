//! From what was seen to what is written. Pure.

use schemas::events::{Candidate, ErrorNote, Receipt};
use schemas::money::Pico;
use schemas::outcome::{ErrorClass, Outcome, UsageSource, Verdict};
use schemas::price::{Book, reported_cost};
use schemas::usage::Usage;

use crate::estimate::{self, Prompt, Scheme};
use crate::formats::Reading;
use crate::limits::Truth;

/// An error of ours as the row tells it.
pub(super) fn note(class: ErrorClass, message: &str) -> ErrorNote {
    ErrorNote::new(class, "", message)
}

/// The client left before its answer was complete.
pub(super) fn client_left() -> ErrorNote {
    note(ErrorClass::ClientLeft, "the client left before the answer was complete")
}

/// Copies a reading into the receipt.
pub(super) fn apply(receipt: &mut Receipt, reading: &Reading) {
    receipt.usage = reading.usage();
    receipt.usage_source = match (receipt.usage.is_known(), reading.usage_is_final) {
        (false, _) => UsageSource::None,
        (true, true) => UsageSource::Provider,
        // The first event of an Anthropic stream holds a placeholder for the output: a lower bound, not a count.
        (true, false) => UsageSource::Estimated,
    };
    receipt.raw_usage.clone_from(&reading.raw_usage);
    receipt.stop_reason.clone_from(&reading.stop_reason);
    receipt.model_reported = reading.model_reported.clone().unwrap_or_default();
    receipt.stream_events = reading.events;
    // A header says it better: providers log requests by that one.
    if receipt.upstream_request_id.is_none() {
        receipt.upstream_request_id.clone_from(&reading.response_id);
    }
}

/// Copies the last reading of an answer into the receipt, with estimates in place of what the provider has not told.
/// An answer that said nothing stays without.
pub(super) fn conclude(receipt: &mut Receipt, reading: &Reading, prompt: Option<Prompt>) {
    apply(receipt, reading);
    if !reading.has_content || !reading.wants_estimate() {
        return;
    }
    estimate::off_the_worker(|| complete(receipt, reading, prompt));
}

/// Puts estimates where the provider has not told.
fn complete(receipt: &mut Receipt, reading: &Reading, prompt: Option<Prompt>) {
    let scheme = Scheme::of([receipt.model_reported.as_str(), &receipt.model_upstream, &receipt.model]);
    if receipt.usage.input.unwrap_or(0) == 0
        && let Some(prompt) = prompt
    {
        let input = Some(estimate::prompt_tokens(scheme, prompt));
        receipt.usage = Usage { input, fresh_input: input, ..receipt.usage };
        receipt.usage_source = UsageSource::Estimated;
    }
    if let Some(output) = estimate::output_tokens(scheme, &reading.sample, chars(reading)) {
        // What the provider has counted so far is no more than what it will have counted.
        receipt.usage.output = receipt.usage.output.max(Some(output));
        receipt.usage_source = UsageSource::Estimated;
    }
}

/// The provider's error inside an answer, as the row tells it.
pub(super) fn in_band(reading: &Reading) -> Option<ErrorNote> {
    let error = reading.error.as_ref()?;
    Some(ErrorNote::new(ErrorClass::UpstreamInBand, error.kind.as_str(), &error.message))
}

/// What a request has used of its client's limits; the cost where there is a book to tell it by, as for a budget.
pub(super) fn truth(receipt: &Receipt, book: Option<&Book>) -> Truth {
    let usage = &receipt.usage;
    // Nobody answered and nobody counted: no provider bills that.
    let is_nothing = receipt.outcome == Outcome::Failed && !usage.is_known();
    let tokens = match (usage.input, usage.output) {
        (None, None) => is_nothing.then_some(0),
        (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
    };
    let cost = book.and_then(|book| if is_nothing { Some(Pico::ZERO) } else { book.bill(&receipt.into()).cost });
    Truth { tokens, output: usage.output.filter(|_| receipt.outcome == Outcome::Completed), cost }
}

/// Characters of billed output seen so far.
pub(super) fn chars(reading: &Reading) -> u64 {
    reading.text_chars + reading.other_chars
}

/// Output tokens that reached the client, in proportion to the characters that did; `None` where all or nothing is known.
pub(super) fn delivered_output(receipt: &Receipt, reading: &Reading, chars_delivered: u64) -> Option<u64> {
    let output = receipt.usage.output?;
    let all = chars(reading);
    if all == 0 || chars_delivered >= all {
        return None;
    }
    let share = u128::from(output) * u128::from(chars_delivered) / u128::from(all);
    u64::try_from(share).ok()
}

/// A try that gave no answer.
pub(super) fn fail_candidate(candidate: &mut Candidate, note: &ErrorNote) {
    candidate.verdict = Verdict::Failed;
    candidate.reason = note.class.as_str().to_owned();
    candidate.error_class = Some(note.class);
    candidate.error_message = Some(note.message.clone());
}

/// The figures of the last try, which are known when the request ends.
pub(super) fn close_candidate(candidate: &mut Candidate, receipt: &Receipt) {
    candidate.usage = receipt.usage;
    candidate.reported_cost = receipt.raw_usage.as_deref().and_then(reported_cost);
    candidate.model_reported.clone_from(&receipt.model_reported);
    candidate.response_bytes = candidate.response_bytes.max(receipt.response_bytes);
    let ended_ms = receipt.received_at.as_micros() as f64 / 1000.0 + receipt.duration_ms;
    candidate.duration_ms = (ended_ms - candidate.started_at.as_micros() as f64 / 1000.0).max(0.0);
    // A client that leaves an answer says nothing about who gave it.
    let answered = candidate.verdict == Verdict::Succeeded;
    if let Some(error) = receipt.error.as_ref().filter(|error| !(answered && error.class == ErrorClass::ClientLeft)) {
        fail_candidate(candidate, error);
    }
}
