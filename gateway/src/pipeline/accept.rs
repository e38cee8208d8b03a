//! The request's head: what it asks for, and who it says it is. No credentials are judged here.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Method, Request};
use schemas::outcome::{ErrorClass, Format};

use super::receipt::Ticket;
use super::rejection::Rejection;

/// What a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An answer to a prompt.
    Generate(Format),
    /// A path that nothing is behind; errors take the dialect that the client seems to speak.
    Unknown(Format),
}

impl Operation {
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Generate(format) | Self::Unknown(format) => format,
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

pub(super) fn accept(ticket: &mut Ticket, operation: Operation, request: Request<Body>) -> Result<Accepted, Rejection> {
    let (head, body) = request.into_parts();
    ticket.receipt.client_request_id = attribute(&head.headers, &HeaderName::from_static("x-request-id"));
    ticket.receipt.user_agent = attribute(&head.headers, &axum::http::header::USER_AGENT);
    match operation {
        Operation::Unknown(_) => {
            let message = format!("there is nothing at {} {}", head.method, printable(head.uri.path()));
            Err(Rejection::new(ErrorClass::NotFound, message))
        }
        Operation::Generate(_) if head.method != Method::POST => {
            let message = format!("{} is not allowed here: use POST", printable(head.method.as_str()));
            Err(Rejection { allow: Some("POST"), ..Rejection::new(ErrorClass::MethodNotAllowed, message) })
        }
        Operation::Generate(_) => {
            let (path, query) = (head.uri.path().to_owned(), head.uri.query().map(str::to_owned));
            Ok(Accepted { path, headers: head.headers, query, body })
        }
    }
}

fn attribute(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(printable(text)).filter(|text| !text.is_empty())
}

/// Client-chosen text, cut to a bound, for events and messages.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(ATTRIBUTE_CHARS_MAX).collect()
}
