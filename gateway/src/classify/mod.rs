//! What to do about an upstream error: one table, pure and exhaustive (S165 to S198).
//!
//! Streams and plain requests are judged alike. What the provider names outranks what it says, and both outrank a status
//! that proxies rewrite (W26). Nothing here knows how often something was tried: that is the schedule's business.

mod names;
mod reason;
pub(crate) mod retry_after;

#[cfg(test)]
mod tests;

use schemas::outcome::ErrorClass;

pub(crate) use self::reason::Reason;
use crate::formats::UpstreamError;

/// How far the answer had got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing has been sent to the client.
    BeforeContent,
    /// The client has begun to read: this answer is the only one that it can get.
    AfterContent,
}

/// What went wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault<'a> {
    pub(crate) class: ErrorClass,
    /// The HTTP status, if there was a response.
    pub(crate) status: Option<u16>,
    pub(crate) error: &'a UpstreamError,
    pub(crate) phase: Phase,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The same candidate may well answer in a moment.
    RetryHere(Reason),
    /// Another candidate may answer where this one does not.
    TryNext(Reason),
    /// Nobody may be asked any more.
    GiveUp(Reason),
    /// The request itself is wrong: everybody would say so.
    CallerAtFault(Reason),
}

impl Verdict {
    /// Why.
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::RetryHere(reason) | Self::TryNext(reason) | Self::GiveUp(reason) | Self::CallerAtFault(reason) => {
                reason
            }
        }
    }

    /// How much the error behind this verdict tells the caller, among several. What only concerns our keys, or what one
    /// candidate happens not to support, never hides why the others failed.
    pub(crate) const fn telling(self) -> u8 {
        match self {
            Self::CallerAtFault(_) => 6,
            Self::GiveUp(_) => 0,
            Self::RetryHere(reason) | Self::TryNext(reason) => match reason {
                Reason::RateLimited => 5,
                Reason::ServerError | Reason::Overloaded => 4,
                Reason::Silent
                | Reason::ConnectFailed
                | Reason::ConnectionLost
                | Reason::UnusableAnswer
                | Reason::Unrecognised => 3,
                Reason::KeyRefused
                | Reason::QuotaExhausted
                | Reason::NotPermitted
                | Reason::NotServedHere
                | Reason::ResponseNotKept
                | Reason::Redirected => 2,
                _ => 1,
            },
        }
    }
}

/// Judges a fault.
pub(crate) fn classify(fault: &Fault<'_>) -> Verdict {
    if fault.phase == Phase::AfterContent {
        return Verdict::GiveUp(Reason::AnswerBegun);
    }
    match fault.class {
        ErrorClass::UpstreamConnect => Verdict::RetryHere(Reason::ConnectFailed),
        ErrorClass::StreamCut => Verdict::RetryHere(Reason::ConnectionLost),
        ErrorClass::UpstreamTimeout | ErrorClass::StreamIdle => Verdict::TryNext(Reason::Silent),
        // A wrong base_url: asking again leads to the same place.
        ErrorClass::UpstreamInvalid if matches!(fault.status, Some(300..=399)) => Verdict::TryNext(Reason::Redirected),
        ErrorClass::UpstreamInvalid => Verdict::RetryHere(Reason::UnusableAnswer),
        ErrorClass::UpstreamAuth
        | ErrorClass::UpstreamRateLimited
        | ErrorClass::UpstreamClientError
        | ErrorClass::UpstreamServerError
        | ErrorClass::UpstreamInBand => judge(fault),
        ErrorClass::TotalTimeout => Verdict::GiveUp(Reason::OutOfTime),
        ErrorClass::Unauthenticated
        | ErrorClass::Forbidden
        | ErrorClass::InvalidRequest
        | ErrorClass::NotFound
        | ErrorClass::ModelNotFound
        | ErrorClass::MethodNotAllowed
        | ErrorClass::BodyTooLarge
        | ErrorClass::BodyIncomplete
        | ErrorClass::LimitExceeded
        | ErrorClass::Unavailable
        | ErrorClass::NoCandidate
        | ErrorClass::ClientLeft
        | ErrorClass::Shutdown
        | ErrorClass::GatewayDied
        | ErrorClass::Internal => Verdict::GiveUp(Reason::Internal),
    }
}

/// An error that the provider told.
fn judge(fault: &Fault<'_>) -> Verdict {
    let text = names::Text::of(fault.error);
    // An error inside a success has the status that it names, if any.
    let status = fault.status.filter(|status| *status >= 400).or(fault.error.status);
    let names_caller = matches!(status, None | Some(400..=499));
    if let Some(verdict) = of_specific_name(&text) {
        return verdict;
    }
    if matches!(status, Some(400 | 413 | 422) | None)
        && let Some(verdict) = of_specific_phrase(&text)
    {
        return verdict;
    }
    match status {
        Some(401) => Verdict::TryNext(Reason::KeyRefused),
        // Firewalls and model permissions answer so as well, and one prompt must not cost everybody the key.
        Some(403) => Verdict::TryNext(Reason::NotPermitted),
        Some(402) => Verdict::TryNext(Reason::QuotaExhausted),
        Some(429) => Verdict::TryNext(Reason::RateLimited),
        _ if text.is_named(names::RATE_LIMITED) => Verdict::TryNext(Reason::RateLimited),
        _ if text.is_named(names::OVERLOADED) => Verdict::RetryHere(Reason::Overloaded),
        _ if text.is_named(names::SERVER) => Verdict::RetryHere(Reason::ServerError),
        Some(404 | 405 | 406 | 410 | 415 | 501 | 505) => Verdict::TryNext(Reason::NotServedHere),
        // Timed out, in conflict, dependent on what failed, too early: nothing that the request could help.
        Some(408 | 409 | 424 | 425) => Verdict::RetryHere(Reason::ServerError),
        Some(413) => Verdict::CallerAtFault(Reason::TooLarge),
        _ if names_caller && text.is_named(names::CALLER) => Verdict::CallerAtFault(Reason::InvalidRequest),
        Some(400 | 422) if text.says(names::CALLER_PHRASES) => Verdict::CallerAtFault(Reason::InvalidRequest),
        Some(503 | 529) => Verdict::RetryHere(Reason::Overloaded),
        Some(500..=599) => Verdict::RetryHere(Reason::ServerError),
        // Perhaps the request is wrong, perhaps only here: the next candidate tells, and costs little.
        _ => Verdict::TryNext(Reason::Unrecognised),
    }
}

/// Names that mean one thing under whatever status they come: proxies wrap others' errors in their own.
fn of_specific_name(text: &names::Text) -> Option<Verdict> {
    Some(if text.is_named(names::QUOTA) {
        Verdict::TryNext(Reason::QuotaExhausted)
    } else if text.is_named(names::KEY) {
        Verdict::TryNext(Reason::KeyRefused)
    } else if text.is_named(names::RESPONSE_NOT_KEPT) {
        Verdict::TryNext(Reason::ResponseNotKept)
    } else if text.is_named(names::INCOMPATIBLE) {
        Verdict::TryNext(Reason::Incompatible)
    } else if text.is_named(names::NOT_SERVED) {
        Verdict::TryNext(Reason::NotServedHere)
    } else if text.is_named(names::CONTEXT_LENGTH) {
        Verdict::CallerAtFault(Reason::ContextLength)
    } else if text.is_named(names::CONTENT_POLICY) {
        Verdict::CallerAtFault(Reason::ContentPolicy)
    } else {
        return None;
    })
}

/// What providers only say in words, under a type that they give to every client error.
fn of_specific_phrase(text: &names::Text) -> Option<Verdict> {
    Some(if text.says(names::KEY_PHRASES) {
        Verdict::TryNext(Reason::KeyRefused)
    } else if text.says(names::QUOTA_PHRASES) {
        Verdict::TryNext(Reason::QuotaExhausted)
    } else if text.says(names::RESPONSE_NOT_KEPT_PHRASES) {
        Verdict::TryNext(Reason::ResponseNotKept)
    } else if text.says(names::INCOMPATIBLE_PHRASES) {
        Verdict::TryNext(Reason::Incompatible)
    } else if text.says(names::CONTEXT_LENGTH_PHRASES) {
        Verdict::CallerAtFault(Reason::ContextLength)
    } else if text.says(names::CONTENT_POLICY_PHRASES) {
        Verdict::CallerAtFault(Reason::ContentPolicy)
    } else {
        return None;
    })
}
