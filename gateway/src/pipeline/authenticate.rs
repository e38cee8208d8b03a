//! Who is asking. Deny by default: every path goes through here.

use axum::body::Body;
use axum::http::HeaderMap;
use schemas::outcome::ErrorClass;

use super::accept::Accepted;
use super::receipt::Ticket;
use super::rejection::Rejection;
use crate::app::App;
use crate::clients::Caller;
use crate::formats;

/// A request of a known client.
pub(super) struct Authenticated<'a> {
    pub(super) caller: &'a Caller,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    pub(super) body: Body,
}

pub(super) fn authenticate<'a>(
    app: &'a App,
    ticket: &mut Ticket,
    accepted: Accepted,
) -> Result<Authenticated<'a>, Rejection> {
    let Accepted { path, headers, query, body } = accepted;
    let Some(key) = formats::client_key(&headers, query.as_deref()) else {
        let message = "no API key was sent: use the header Authorization: Bearer, x-api-key or x-goog-api-key";
        return Err(Rejection::new(ErrorClass::Unauthenticated, message));
    };
    let Some(caller) = app.clients.recognise(key.expose()) else {
        return Err(Rejection::new(ErrorClass::Unauthenticated, "this API key is not known here"));
    };
    ticket.transcript.client_key(&key);
    ticket.receipt.client = caller.name.clone();
    ticket.receipt.tags = caller.tags.clone();
    if !app.ledger.admits() {
        return Err(Rejection::unaccountable("the ledger or its disk is full"));
    }
    Ok(Authenticated { caller, path, headers, query, body })
}
