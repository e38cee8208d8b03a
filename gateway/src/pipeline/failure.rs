//! Why a try gave no answer: for the client, the row and the log.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use schemas::config::Secret;
use schemas::events::ErrorNote;
use schemas::outcome::ErrorClass;

use crate::capture::Unreadable;
use crate::classify::{self, Phase, Reason, Verdict, retry_after};
use crate::formats::{Reading, UpstreamError};
use crate::health::{self, LimitKind, RateLimit};
use crate::upstream;

/// Why a try gave no answer.
pub(super) struct Failure {
    pub(super) class: ErrorClass,
    pub(super) error: UpstreamError,
    pub(super) status: Option<StatusCode>,
    /// What had been read of its answer.
    pub(super) reading: Option<Box<Reading>>,
    /// The provider's own error answer, if it gave one.
    pub(super) answer: Option<Box<ErrorAnswer>>,
    /// The beginning of an answer that is not what the format promises.
    pub(super) unreadable: Option<Box<Unreadable>>,
    /// In how many seconds somebody may be asked again, where nobody was.
    pub(super) retry_after_s: Option<u32>,
}

/// An error in the provider's own words: the client gets its bytes unchanged.
pub(super) struct ErrorAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Shorter secrets are placeholders of keyless servers (`none`, `local`), and ordinary words of an error message.
const SECRET_MIN_BYTES: usize = 12;

impl Failure {
    pub(super) fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        let error = UpstreamError { message: message.into(), ..UpstreamError::default() };
        Self { class, error, status: None, reading: None, answer: None, unreadable: None, retry_after_s: None }
    }

    pub(super) fn note(&self) -> ErrorNote {
        ErrorNote::new(self.class, self.error.kind.as_str(), &self.error.message)
    }

    /// What the classifier needs to know. Nothing has been sent to the client yet.
    pub(super) fn fault(&self) -> classify::Fault<'_> {
        let status = self.status.map(|status| status.as_u16());
        classify::Fault { class: self.class, status, error: &self.error, phase: Phase::BeforeContent }
    }

    /// How long the provider asks to be left alone.
    pub(super) fn pause(&self, now: SystemTime) -> Option<Duration> {
        let answer = self.answer.as_ref()?;
        retry_after::pause(&answer.headers, &answer.body, now)
    }

    /// What the target is to blame for; nothing where the caller is, or where nobody can say.
    pub(super) fn blame(&self, verdict: Verdict, pause: Option<Duration>) -> Option<health::Fault> {
        let limited = |kind| health::Fault::RateLimited(RateLimit { kind, retry_after: pause });
        match verdict.reason() {
            Reason::ConnectFailed
            | Reason::ConnectionLost
            | Reason::Silent
            | Reason::ServerError
            | Reason::Overloaded
            | Reason::Redirected
            | Reason::UnusableAnswer => Some(health::Fault::Provider),
            Reason::KeyRefused => Some(health::Fault::KeyRefused),
            Reason::QuotaExhausted => Some(limited(LimitKind::Quota)),
            Reason::RateLimited => {
                let nothing = HeaderMap::new();
                let headers = self.answer.as_ref().map_or(&nothing, |answer| &answer.headers);
                Some(limited(health::limit_kind(headers, &self.error)))
            }
            Reason::NotPermitted
            | Reason::NotServedHere
            | Reason::ResponseNotKept
            | Reason::Incompatible
            | Reason::Unrecognised
            | Reason::ContextLength
            | Reason::ContentPolicy
            | Reason::TooLarge
            | Reason::InvalidRequest
            | Reason::AnswerBegun
            | Reason::OutOfTime
            | Reason::Internal => None,
        }
    }

    /// No response at all.
    pub(super) fn unreachable(error: &upstream::Error) -> Self {
        Self::new(ErrorClass::UpstreamConnect, error.to_string())
    }

    /// A body that broke off.
    pub(super) fn cut(error: &upstream::Error) -> Self {
        Self { class: ErrorClass::StreamCut, ..Self::unreachable(error) }
    }

    /// An error inside a successful answer, with what was read before it.
    pub(super) fn in_band(error: UpstreamError, reading: &Reading, status: StatusCode, answer: ErrorAnswer) -> Self {
        Self {
            class: ErrorClass::UpstreamInBand,
            error,
            status: Some(status),
            reading: Some(Box::new(reading.clone())),
            answer: Some(Box::new(answer)),
            unreadable: None,
            retry_after_s: None,
        }
    }

    /// An answer that is not what the format promises.
    pub(super) fn invalid(error: UpstreamError, headers: &HeaderMap, body: &[u8]) -> Self {
        let unreadable = Some(Box::new(Unreadable::new(headers, body)));
        Self { error, unreadable, ..Self::new(ErrorClass::UpstreamInvalid, "") }
    }

    /// What of the answer nobody could read: all of it, or an error in no known form (a proxy's web page, say).
    pub(super) fn unread(&self) -> Option<Unreadable> {
        let page = self.answer.as_ref().filter(|answer| {
            let first = answer.body.iter().find(|byte| !byte.is_ascii_whitespace());
            self.reading.is_none() && !matches!(first, Some(b'{' | b'['))
        });
        let page = page.map(|answer| Unreadable::new(&answer.headers, &answer.body));
        self.unreadable.as_deref().cloned().or(page)
    }

    /// Some providers quote the key that they refuse. Ours is nobody's business: this is the one place where a
    /// provider's bytes are changed.
    pub(super) fn without_secret(mut self, secret: Option<&Secret>) -> Self {
        let Some(secret) = secret.map(Secret::expose).filter(|secret| secret.len() >= SECRET_MIN_BYTES) else {
            return self;
        };
        for text in [&mut self.error.kind, &mut self.error.message] {
            if text.contains(secret) {
                *text = text.replace(secret, "***");
            }
        }
        if let Some(answer) = &mut self.answer
            && memchr::memmem::find(&answer.body, secret.as_bytes()).is_some()
        {
            answer.body = String::from_utf8_lossy(&answer.body).replace(secret, "***").into();
        }
        self
    }
}
