//! Which endpoints can serve the request. Pure but for the catalogue it reads.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use schemas::outcome::ErrorClass;

use super::receipt::Ticket;
use super::receive::Received;
use super::rejection::Rejection;
use crate::app::App;
use crate::catalog::{Candidate, Listed};
use crate::formats::Peeked;

/// A request and its candidates, best first, at least one.
pub(super) struct Routed {
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    pub(super) body: Bytes,
    pub(super) peeked: Peeked,
    pub(super) candidates: Vec<Candidate>,
}

impl Routed {
    pub(super) fn request_bytes(&self) -> u64 {
        self.body.len() as u64
    }
}

pub(super) fn route(app: &App, ticket: &mut Ticket, request: Received<'_>) -> Result<Routed, Rejection> {
    let Received { caller, headers, query, body, peeked } = request;
    let Some(listed) = app.catalog.find(&peeked.model, ticket.format()) else {
        let name = &ticket.receipt.model_requested;
        return Err(Rejection::new(ErrorClass::ModelNotFound, format!("the model {name:?} does not exist here")));
    };
    ticket.receipt.model = listed.model.clone();
    if !caller.may_use(&listed.model) {
        let message = format!("this API key may not use the model {:?}", listed.model);
        return Err(Rejection::new(ErrorClass::Forbidden, message));
    }
    let candidates = serving(&listed, ticket);
    if candidates.is_empty() {
        let message = format!("no provider of {:?} speaks this API: call it in its own format", listed.model);
        return Err(Rejection::new(ErrorClass::NoCandidate, message));
    }
    Ok(Routed { headers, query, body, peeked, candidates })
}

fn serving(listed: &Arc<Listed>, ticket: &Ticket) -> Vec<Candidate> {
    listed.candidates.iter().filter(|candidate| candidate.target.format == ticket.format()).cloned().collect()
}
