//! The request's head: what it asks for, and who it says it is. No credentials are judged here.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Method, Request};
use schemas::outcome::{ErrorClass, Format, Operation};

use super::receipt::Ticket;
use super::rejection::Rejection;

/// What a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Something that a provider does.
    Upstream(Operation, Format),
    /// The list of models.
    Models(Format),
    /// A path that nothing is behind; errors take the dialect that the client seems to speak.
    Unknown(Format),
}

impl Route {
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Upstream(_, format) | Self::Models(format) | Self::Unknown(format) => format,
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Models(_) => Method::GET,
            Self::Upstream(..) | Self::Unknown(_) => Method::POST,
        }
    }
}

/// A request whose path and method are right.
pub(super) struct Accepted {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    pub(super) body: Body,
}

/// Longest client-chosen text that is kept in events.
const ATTRIBUTE_CHARS_MAX: usize = 200;

pub(super) fn accept(ticket: &mut Ticket, route: Route, request: Request<Body>) -> Result<Accepted, Rejection> {
    let (head, body) = request.into_parts();
    ticket.receipt.client_request_id = attribute(&head.headers, &HeaderName::from_static("x-request-id"));
    ticket.receipt.user_agent = attribute(&head.headers, &axum::http::header::USER_AGENT);
    if let Route::Unknown(_) = route {
        let message = format!("there is nothing at {} {}", head.method, printable(head.uri.path()));
        return Err(Rejection::new(ErrorClass::NotFound, message));
    }
    let method = route.method();
    if head.method != method {
        let message = format!("{} is not allowed here: use {method}", printable(head.method.as_str()));
        let allow = Some(if method == Method::GET { "GET" } else { "POST" });
        return Err(Rejection { allow, ..Rejection::new(ErrorClass::MethodNotAllowed, message) });
    }
    if let Route::Upstream(operation, _) = route {
        ticket.receipt.operation = operation;
    }
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().map(str::to_owned));
    Ok(Accepted { path, headers: head.headers, query, body })
}

/// A header of the client's, for events.
pub(super) fn attribute(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(printable(text)).filter(|text| !text.is_empty())
}

/// Client-chosen text, cut to a bound, for events and messages.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(ATTRIBUTE_CHARS_MAX).collect()
}
