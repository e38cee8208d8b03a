//! What a request is told that nobody was asked for: who is shut, what was last heard from there, and when to come again.
//!
//! This holds for a model's only provider as well. To ask it however sick it is would give each caller its own words, and
//! would be as many requests at a sick provider as there are callers; so it gets its probes, and the callers what it last
//! said. Of that only the status and the type are kept: the words were for another client.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use schemas::outcome::ErrorClass;

use super::super::failure::Failure;
use super::super::route::Routed;
use super::Passed;
use crate::app::App;
use crate::health::{Said, SkipReason, Skipped};

/// When a slot comes free nobody knows; soon.
const SLOT_WAIT: Duration = Duration::from_secs(1);
/// A type is a word; whatever is longer is none of the vendors'.
const KIND_CHARS_MAX: usize = 40;

/// Why nobody was asked.
pub(super) fn failure(app: &App, routed: &Routed, passed: &[Passed]) -> Failure {
    if let (Some((_, unfit)), []) = (routed.line.unfit.first(), routed.line.fit.as_slice()) {
        return Failure::new(ErrorClass::InvalidRequest, unfit.explain());
    }
    let said = passed.iter().filter(|(_, why)| why.reason.is_fault()).find_map(|(id, _)| app.health.last_failure(*id));
    let reasons: Vec<Skipped> = passed.iter().map(|(_, why)| *why).collect();
    explain(&reasons, said.as_ref(), Instant::now())
}

fn explain(passed: &[Skipped], said: Option<&Said>, now: Instant) -> Failure {
    let wait = |why: &Skipped| why.until.map_or(SLOT_WAIT, |until| until.saturating_duration_since(now));
    let Some(wait) = passed.iter().map(wait).min() else {
        return Failure::new(ErrorClass::NoCandidate, "no provider could be asked");
    };
    // Who is at its limit answers, and says so with a 429; who is failing does not.
    let is_limited = |why: &Skipped| match why.reason {
        SkipReason::CoolingDown | SkipReason::ConcurrencyLimit | SkipReason::Reserved => true,
        SkipReason::BreakerOpen | SkipReason::KeyDisabled => false,
    };
    let (class, trouble) = match passed.iter().any(is_limited) {
        true => (ErrorClass::UpstreamRateLimited, "at its limit"),
        false => (ErrorClass::NoCandidate, "failing"),
    };
    let mut message = format!("every provider of this model is {trouble}");
    if let Some(said) = said {
        let _infallible = write!(message, "; the last answer was {}", answer(said));
    }
    // Rounded up: coming a moment too early would be in vain.
    let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
    let _infallible = write!(message, "; try again in {seconds} s");
    Failure { retry_after_s: u32::try_from(seconds).ok(), ..Failure::new(class, message) }
}

/// What a provider said, as far as others may know.
fn answer(said: &Said) -> String {
    let kind: String = said.kind.chars().take(KIND_CHARS_MAX).collect();
    let is_word = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let kind = if is_word { kind.as_str() } else { said.class.as_str() };
    match said.status {
        Some(status) => format!("{status} ({kind})"),
        None => format!("none at all ({kind})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_what_was_last_heard_and_when_to_come_again() {
        let now = Instant::now();
        let passed = |reason, seconds: Option<u64>| Skipped {
            reason,
            until: seconds.map(|seconds| now + Duration::from_secs(seconds) - Duration::from_millis(300)),
        };
        let (open, dead) = (passed(SkipReason::BreakerOpen, Some(27)), passed(SkipReason::KeyDisabled, Some(60)));
        let (cooling, full) = (passed(SkipReason::CoolingDown, Some(40)), passed(SkipReason::ConcurrencyLimit, None));
        let said = |status, kind: &str| Said { status, class: ErrorClass::UpstreamServerError, kind: kind.to_owned() };
        let (busy, silent) = (said(Some(503), "overloaded_error"), said(None, ""));
        let words = said(Some(500), "Dear team-b, your prompt");
        let of_trouble = "every provider of this model is";
        for (passed, said, class, message) in [
            (
                vec![open, dead],
                Some(&busy),
                ErrorClass::NoCandidate,
                "failing; the last answer was 503 (overloaded_error); try again in 27 s",
            ),
            (
                vec![open],
                Some(&silent),
                ErrorClass::NoCandidate,
                "failing; the last answer was none at all (upstream_server_error); try again in 27 s",
            ),
            (
                vec![dead],
                Some(&words),
                ErrorClass::NoCandidate,
                "failing; the last answer was 500 (upstream_server_error); try again in 60 s",
            ),
            (vec![open, cooling], None, ErrorClass::UpstreamRateLimited, "at its limit; try again in 27 s"),
            (vec![cooling, full], None, ErrorClass::UpstreamRateLimited, "at its limit; try again in 1 s"),
        ] {
            let failure = explain(&passed, said, now);
            assert_eq!((failure.class, failure.error.message), (class, format!("{of_trouble} {message}")));
            assert!(failure.retry_after_s.is_some());
        }
        assert_eq!(explain(&[], None, now).class, ErrorClass::NoCandidate);
    }
}
