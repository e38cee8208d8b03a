//! Requests that are turned away, and the only place with status codes for our own errors.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use schemas::events::ErrorNote;
use schemas::outcome::{ErrorClass, Format, Outcome};
use schemas::time::Timestamp;
use uuid::Uuid;

use super::receipt::Ticket;
use crate::formats::{self, OwnError};
use crate::limits::Refused;

/// Why a stage turned a request away.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) class: ErrorClass,
    /// What the client may read.
    pub(crate) message: String,
    /// What the log needs besides; never secrets.
    pub(crate) detail: Option<String>,
    /// Methods that the path knows, for a 405.
    pub(crate) allow: Option<&'static str>,
    /// The limit that was met, and when to come again.
    pub(crate) refused: Option<Box<Refused>>,
}

impl Rejection {
    pub(crate) fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), detail: None, allow: None, refused: None }
    }

    /// What cannot be written down is not served, where that is asked for.
    pub(crate) fn unaccountable(detail: &str) -> Self {
        let message = "the gateway cannot account for requests right now; try again later";
        Self::new(ErrorClass::Unavailable, message).with_detail(detail)
    }

    pub(crate) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// The status of an error of ours.
pub(crate) fn status(class: ErrorClass) -> StatusCode {
    match class {
        ErrorClass::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorClass::Forbidden => StatusCode::FORBIDDEN,
        ErrorClass::InvalidRequest => StatusCode::BAD_REQUEST,
        ErrorClass::NotFound | ErrorClass::ModelNotFound => StatusCode::NOT_FOUND,
        ErrorClass::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorClass::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorClass::BodyIncomplete => StatusCode::REQUEST_TIMEOUT,
        ErrorClass::LimitExceeded | ErrorClass::UpstreamRateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorClass::Unavailable | ErrorClass::NoCandidate | ErrorClass::Shutdown => StatusCode::SERVICE_UNAVAILABLE,
        ErrorClass::UpstreamTimeout | ErrorClass::TotalTimeout | ErrorClass::StreamIdle => StatusCode::GATEWAY_TIMEOUT,
        ErrorClass::UpstreamClientError => StatusCode::BAD_REQUEST,
        ErrorClass::UpstreamConnect
        | ErrorClass::UpstreamAuth
        | ErrorClass::UpstreamServerError
        | ErrorClass::UpstreamInvalid
        | ErrorClass::UpstreamInBand
        | ErrorClass::StreamCut => StatusCode::BAD_GATEWAY,
        // 499 is what nginx logs for it; it is never sent.
        ErrorClass::ClientLeft => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        ErrorClass::GatewayDied | ErrorClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Settles a request that was turned away, and answers it.
pub(super) fn reject(mut ticket: Box<Ticket>, rejection: Rejection) -> Response<Body> {
    let mut response = answer(&mut ticket, rejection.class, &rejection.message);
    if let Some(allow) = rejection.allow {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if rejection.class == ErrorClass::Unauthenticated {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(refused) = &rejection.refused {
        say_when(ticket.format(), response.headers_mut(), refused);
    }
    let detail = rejection.detail.as_deref().unwrap_or_default();
    tracing::info!(
        request_id = %ticket.id(),
        client = ticket.receipt.client,
        class = %rejection.class,
        detail,
        "rejected: {}",
        rejection.message
    );
    let anonymous = ticket.receipt.client.is_empty();
    if anonymous && !ticket.app().flood.admits(Instant::now()) {
        ticket.receipt.outcome = Outcome::Rejected;
        ticket.discard();
    } else {
        ticket.settle(Outcome::Rejected, Some(ErrorNote::new(rejection.class, "", &rejection.message)));
    }
    response
}

/// When to come again, in the words of the vendors' own clients.
fn say_when(format: Format, headers: &mut HeaderMap, refused: &Refused) {
    formats::state_limits(format, headers, &refused.standing, Timestamp::now());
    if let Some(wait) = refused.wait {
        // Rounded up: coming a moment too early would be refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if refused.wait.is_none_or(|wait| wait > WORTH_WAITING) {
        // OpenAI's and Anthropic's clients obey it: without it they would try again in a few seconds.
        headers.insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
    }
}

/// The longest that a client should wait by itself; the rates of two minutes are forgotten by then.
const WORTH_WAITING: Duration = Duration::from_secs(120);

/// An error of ours, noted as the answer that the client gets.
pub(super) fn answer(ticket: &mut Ticket, class: ErrorClass, message: &str) -> Response<Body> {
    let (head, body) = own_error(ticket.format(), ticket.id(), class, message).into_parts();
    ticket.receipt.status = head.status.as_u16();
    ticket.transcript.response_head(&head.headers);
    ticket.transcript.response(&body);
    Response::from_parts(head, Body::from(body))
}

/// The same where no candidate could answer: with how many were asked, and when to come again.
pub(super) fn unanswered(
    ticket: &mut Ticket,
    class: ErrorClass,
    message: &str,
    retry_after_s: Option<u32>,
) -> Response<Body> {
    let mut response = answer(ticket, class, message);
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-weir-attempts"), HeaderValue::from(ticket.receipt.attempts));
    if let Some(seconds) = retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// An error of ours in the caller's dialect.
pub(super) fn own_error(format: Format, id: Uuid, class: ErrorClass, message: &str) -> Response<Bytes> {
    let status = status(class);
    let id_text = id.to_string();
    let error = OwnError { status: status.as_u16(), class, message, param: None, request_id: &id_text };
    let mut response = Response::new(formats::error_body(format, &error));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    own_headers(headers, id);
    response
}

/// The header that every answer has.
pub(super) fn own_headers(headers: &mut HeaderMap, id: Uuid) {
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(HeaderName::from_static("x-weir-request-id"), id);
    }
}

/// Bounds the rejected events of requests that never got past authentication to ten a second, so that a flood of bad
/// keys cannot fill the ledger. All of them are counted in the metrics.
#[derive(Debug, Default)]
pub(crate) struct Flood(Mutex<Option<(Instant, u32)>>);

impl Flood {
    const EVENTS_PER_SECOND: u32 = 10;

    fn admits(&self, now: Instant) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *window {
            Some((since, count)) if now.duration_since(*since).as_secs() < 1 => {
                *count += 1;
                *count <= Self::EVENTS_PER_SECOND
            }
            window => {
                *window = Some((now, 1));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_ten_events_a_second() {
        let (flood, start) = (Flood::default(), Instant::now());
        let admitted = |at| (0..1000).filter(|_| flood.admits(at)).count();
        assert_eq!(admitted(start), 10);
        assert_eq!(admitted(start + Duration::from_secs(1)), 10);
    }
}
