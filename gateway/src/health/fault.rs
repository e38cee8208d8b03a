//! What a provider did wrong, told apart by what follows from it.

use std::time::Duration;

use http::HeaderMap;
use schemas::outcome::ErrorClass;

use crate::formats::UpstreamError;

/// What a provider did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It failed, was silent or unreachable, or its answer was broken: the breaker counts it.
    Provider,
    /// It refuses our key: the key is not used.
    KeyRefused,
    /// It is limiting us: the key cools down.
    RateLimited(RateLimit),
}

/// What a 429 says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// What is limited.
    pub kind: LimitKind,
    /// How long we are asked to wait.
    pub retry_after: Option<Duration>,
}

/// What a rate limit limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitKind {
    /// Requests at once.
    Concurrency,
    /// Requests per time.
    Requests,
    /// Tokens per time.
    Tokens,
    /// What the account may spend.
    Quota,
    /// It does not say.
    #[default]
    Unknown,
}

impl Fault {
    /// The fault behind a failure; none where the caller or we ourselves are to blame, or nobody can say. A 429 is one
    /// that says nothing: see [`limit_kind`].
    pub fn of(class: ErrorClass) -> Option<Self> {
        match class {
            ErrorClass::UpstreamConnect
            | ErrorClass::UpstreamTimeout
            | ErrorClass::UpstreamServerError
            | ErrorClass::UpstreamInvalid
            | ErrorClass::UpstreamInBand
            | ErrorClass::StreamCut
            | ErrorClass::StreamIdle => Some(Self::Provider),
            ErrorClass::UpstreamAuth => Some(Self::KeyRefused),
            ErrorClass::UpstreamRateLimited => Some(Self::RateLimited(RateLimit::default())),
            // The request's whole time, shared by all who were asked for it, and by a stream as long as it is slow.
            ErrorClass::TotalTimeout
            | ErrorClass::UpstreamClientError
            | ErrorClass::Unauthenticated
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
            | ErrorClass::Internal => None,
        }
    }
}

/// Headers that count down what is left, the most telling first.
const REMAINING: [(&str, LimitKind); 7] = [
    ("anthropic-ratelimit-requests-remaining", LimitKind::Requests),
    ("anthropic-ratelimit-tokens-remaining", LimitKind::Tokens),
    ("anthropic-ratelimit-input-tokens-remaining", LimitKind::Tokens),
    ("anthropic-ratelimit-output-tokens-remaining", LimitKind::Tokens),
    ("x-ratelimit-remaining-requests", LimitKind::Requests),
    ("x-ratelimit-remaining-tokens", LimitKind::Tokens),
    ("x-ratelimit-remaining", LimitKind::Requests),
];

/// What a 429 limits: as its error names it, else as its headers count it, else in its own words. A request too large
/// for the tokens that are left is refused while some are, so that no header says zero.
pub fn limit_kind(headers: &HeaderMap, error: &UpstreamError) -> LimitKind {
    let names = [Some(error.kind.as_str()), error.code.as_deref()];
    let named = names.into_iter().flatten().find_map(|name| match name {
        "insufficient_quota" | "billing_hard_limit_reached" | "credit_balance_too_low" => Some(LimitKind::Quota),
        "tokens" | "input_tokens" | "output_tokens" => Some(LimitKind::Tokens),
        "requests" => Some(LimitKind::Requests),
        "concurrency" | "concurrent_requests" => Some(LimitKind::Concurrency),
        _ => None,
    });
    let is_zero = |name: &str| headers.get(name).is_some_and(|left| left.as_bytes().trim_ascii() == b"0");
    let counted = || REMAINING.iter().find(|(name, _)| is_zero(name)).map(|(_, kind)| *kind);
    named.or_else(counted).unwrap_or_else(|| worded(&error.message))
}

/// Every one of these messages speaks of a request, hence the order.
fn worded(message: &str) -> LimitKind {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["concurren", "parallel requests", "simultaneous"]) {
        LimitKind::Concurrency
    } else if says(&[
        "tokens per",
        "token per",
        "request tokens",
        "number of tokens",
        "token_count",
        "(tpm)",
        "(tpd)",
        "token limit",
        "token rate limit",
    ]) {
        LimitKind::Tokens
    } else if says(&[
        "requests per",
        "request per",
        "number of requests",
        "generate_requests_per",
        "(rpm)",
        "(rpd)",
        "request rate limit",
    ]) {
        LimitKind::Requests
    } else {
        LimitKind::Unknown
    }
}
