//! The names and words by which providers tell what went wrong (S169, S170, S189, S190).

use crate::formats::UpstreamError;

/// An error's names and words, in lower case.
pub(super) struct Text {
    names: [String; 2],
    message: String,
}

impl Text {
    pub(super) fn of(error: &UpstreamError) -> Self {
        let code = error.code.as_deref().unwrap_or_default();
        Self { names: [error.kind.to_lowercase(), code.to_lowercase()], message: error.message.to_lowercase() }
    }

    /// Whether the type or the code holds one of these. Namespaces stand around some, so that equality is too much.
    pub(super) fn is_named(&self, any: &[&str]) -> bool {
        any.iter().any(|name| self.names.iter().any(|own| own.contains(name)))
    }

    /// Whether the message holds one of these. Some proxies put the code of the error that they pass on there.
    pub(super) fn says(&self, any: &[&str]) -> bool {
        any.iter().any(|phrase| self.message.contains(phrase))
    }
}

pub(super) const QUOTA: &[&str] =
    &["insufficient_quota", "billing_error", "billing_hard_limit", "billing_not_active", "insufficient_balance"];

pub(super) const KEY: &[&str] =
    &["invalid_api_key", "api_key_invalid", "authentication_error", "unauthenticated", "account_deactivated"];

/// A response is kept in one account at one provider: the next one may have it
/// (<https://github.com/maximhq/bifrost/issues/2441>).
pub(super) const RESPONSE_NOT_KEPT: &[&str] = &["previous_response_not_found"];

pub(super) const INCOMPATIBLE: &[&str] =
    &["unsupported_parameter", "unsupported_value", "unsupported_model", "unsupported_country"];

pub(super) const NOT_SERVED: &[&str] =
    &["model_not_found", "not_found_error", "deploymentnotfound", "resourcenotfoundexception"];

pub(super) const CONTEXT_LENGTH: &[&str] = &[
    "context_length_exceeded",
    "context_window_exceeded",
    "content_length_exceeds_threshold",
    "max_tokens_exceeded",
    "request_too_large",
];

pub(super) const CONTENT_POLICY: &[&str] =
    &["content_policy_violation", "content_filter", "responsibleaipolicyviolation", "invalid_content"];

pub(super) const RATE_LIMITED: &[&str] =
    &["rate_limit", "ratelimit", "resource_exhausted", "throttlingexception", "too_many_requests"];

pub(super) const OVERLOADED: &[&str] = &["overloaded", "unavailable"];

pub(super) const SERVER: &[&str] =
    &["api_error", "server_error", "internal_error", "timeout_error", "deadline_exceeded", "internalserverexception"];

pub(super) const CALLER: &[&str] = &[
    "invalid_request",
    "invalid_argument",
    "failed_precondition",
    "out_of_range",
    "validationexception",
    "validation_error",
    "bad_request",
    "invalid_prompt",
];

/// Google calls a bad key an invalid argument.
pub(super) const KEY_PHRASES: &[&str] = &["api key not valid", "invalid api key", "api key expired"];

/// Anthropic calls an empty account an invalid request.
pub(super) const QUOTA_PHRASES: &[&str] = &["credit balance is too low", "exceeded your current quota"];

/// The terse form has no code of its own (<https://github.com/Soju06/codex-lb/pull/1817>).
pub(super) const RESPONSE_NOT_KEPT_PHRASES: &[&str] = &["previous response with id", "invalid `previous_response_id`."];

pub(super) const INCOMPATIBLE_PHRASES: &[&str] = &[
    "unsupported parameter",
    "unsupported model",
    "unsupported feature",
    "not supported with this model",
    "model does not support",
    "parameter is not supported",
    "feature is not supported",
    "not available for this model",
    "prefill",
];

pub(super) const CONTEXT_LENGTH_PHRASES: &[&str] = &[
    "context_length_exceeded",
    "content_length_exceeds",
    "content_length_limit",
    "maximum context length",
    "context window",
    "prompt is too long",
    "input is too long",
    "message is too long",
    "content too long",
    "input token count",
];

pub(super) const CONTENT_POLICY_PHRASES: &[&str] = &["content_policy_violation", "content management policy"];

pub(super) const CALLER_PHRASES: &[&str] = &[
    "could not process image",
    "image too large",
    "invalid image",
    "unsupported image",
    "image exceeds",
    "pdf too large",
    "file too large",
    "invalid_prompt",
    "tool_use_id",
    "validationexception",
];
