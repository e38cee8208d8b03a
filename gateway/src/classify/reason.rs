//! Why a candidate was left: a closed list of words for rows and metric labels.

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No connection.
    ConnectFailed,
    /// The connection broke before the first content.
    ConnectionLost,
    /// No content within the first-byte limit.
    Silent,
    /// The provider failed.
    ServerError,
    /// The provider has too much to do.
    Overloaded,
    /// Too much was asked of this key for now.
    RateLimited,
    /// This key's money or quota is used up.
    QuotaExhausted,
    /// The provider refuses our key.
    KeyRefused,
    /// Our key is known and may not do this: use this model, say. It may do other things.
    NotPermitted,
    /// No such model or path at this endpoint.
    NotServedHere,
    /// The account does not keep the response that the request goes on from.
    ResponseNotKept,
    /// This model does not know a parameter or a feature that the request uses.
    Incompatible,
    /// A redirect, which is never followed.
    Redirected,
    /// Empty, a web page, not what the format promises.
    UnusableAnswer,
    /// An error of no known kind.
    Unrecognised,
    /// More than the model's context holds.
    ContextLength,
    /// The provider's rules forbid the content.
    ContentPolicy,
    /// More bytes than the provider takes.
    TooLarge,
    /// The request is wrong.
    InvalidRequest,
    /// The client has begun to read the answer.
    AnswerBegun,
    /// The request's time is used up.
    OutOfTime,
    /// A fault of ours.
    Internal,
}

impl Reason {
    /// The word in rows and labels.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFailed => "connect_failed",
            Self::ConnectionLost => "connection_lost",
            Self::Silent => "silent",
            Self::ServerError => "server_error",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::KeyRefused => "key_refused",
            Self::NotPermitted => "not_permitted",
            Self::NotServedHere => "not_served_here",
            Self::ResponseNotKept => "response_not_kept",
            Self::Incompatible => "incompatible",
            Self::Redirected => "redirected",
            Self::UnusableAnswer => "unusable_answer",
            Self::Unrecognised => "unrecognised",
            Self::ContextLength => "context_length",
            Self::ContentPolicy => "content_policy",
            Self::TooLarge => "too_large",
            Self::InvalidRequest => "invalid_request",
            Self::AnswerBegun => "answer_begun",
            Self::OutOfTime => "out_of_time",
            Self::Internal => "internal",
        }
    }

    /// Whether another model may take what this one refuses.
    pub(crate) const fn depends_on_model(self) -> bool {
        matches!(self, Self::ContextLength | Self::TooLarge)
    }

    /// Whether every key of the endpoint meets the same trouble.
    pub(crate) const fn concerns_endpoint(self) -> bool {
        matches!(self, Self::Silent | Self::ConnectFailed)
    }

    /// Whether every model asked with this key meets the same trouble.
    pub(crate) const fn concerns_key(self) -> bool {
        matches!(self, Self::KeyRefused | Self::QuotaExhausted)
    }
}
