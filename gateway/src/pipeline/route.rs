//! Which endpoints can serve the request, and in which order they are asked.

use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderMap;
use bytes::Bytes;
use schemas::outcome::{Capability, ErrorClass, Operation};

use super::receipt::Ticket;
use super::receive::Received;
use super::rejection::Rejection;
use crate::app::App;
use crate::catalog::{Candidate, Listed};
use crate::formats::{self, Conversation, Peeked};
use crate::routing::{self, Ask, Line, Needs, Turn};

/// A request and who may serve it: at least one that speaks its dialect.
pub(super) struct Routed {
    /// The client's place in the configuration.
    pub(super) client: usize,
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    pub(super) body: Bytes,
    pub(super) peeked: Peeked,
    listed: Arc<Listed>,
    pub(super) line: Line,
}

impl Routed {
    pub(super) fn request_bytes(&self) -> u64 {
        self.body.len() as u64
    }

    /// Those to be asked, best first.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.line.fit.iter().filter_map(|place| self.candidate_at(*place))
    }

    /// Leaves out those to be asked that `stays` does not hold for.
    pub(super) fn retain(&mut self, stays: impl Fn(&Candidate) -> bool) {
        let Self { listed, line, .. } = self;
        line.fit.retain(|place| listed.candidates.get(*place).is_some_and(&stays));
    }

    /// One of all that the model has, by its place among them.
    pub(super) fn candidate_at(&self, place: usize) -> Option<&Candidate> {
        self.listed.candidates.get(place)
    }
}

pub(super) fn route(app: &App, ticket: &mut Ticket, request: Received<'_>) -> Result<Routed, Rejection> {
    let Received { caller, headers, query, body, peeked } = request;
    let format = ticket.format();
    let Some(listed) = app.catalog.find(&peeked.model, format) else {
        let name = &ticket.receipt.model_requested;
        return Err(Rejection::new(ErrorClass::ModelNotFound, format!("the model {name:?} does not exist here")));
    };
    ticket.receipt.model = listed.model.clone();
    if !caller.may_use(&listed.model) {
        let message = format!("this API key may not use the model {:?}", listed.model);
        return Err(Rejection::new(ErrorClass::Forbidden, message));
    }
    let now = Instant::now();
    let conversation = conversation(&headers, peeked.conversation);
    let mut turn = app.affinity.turn((&caller.name, &listed.model, format), conversation, now);
    let ask = Ask {
        client: &caller.name,
        user: peeked.user.as_deref().unwrap_or_default(),
        format,
        needs: needs(&headers, conversation),
        held: turn.held(),
    };
    let line = routing::line(&listed, &ask, &app.health, now);
    if line == Line::default() {
        let message = format!("no provider of {:?} speaks this API: call it in its own format", listed.model);
        return Err(Rejection::new(ErrorClass::NoCandidate, message));
    }
    let routed = Routed { client: caller.id, headers, query, body, peeked, listed, line };
    turn.stands_at(routed.candidates().position(|candidate| turn.held() == Some(candidate.seed)));
    // Counting tokens reads no prompt into a cache.
    ticket.turn = Some(turn).filter(|_: &Turn| ticket.receipt.operation == Operation::Generate);
    Ok(routed)
}

/// Headers in which clients name their session: Claude Code's, Codex', and what others use
/// (<https://github.com/router-for-me/CLIProxyAPI/issues/4452>).
const SESSION_HEADERS: [&str; 4] = ["x-claude-code-session-id", "session-id", "session_id", "x-session-id"];

/// The conversation that a header names counts more than the one that the body tells of.
fn conversation(headers: &HeaderMap, told: Conversation) -> Conversation {
    let named = SESSION_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok().filter(|id| !id.is_empty()));
    Conversation { id: named.map_or(told.id, formats::named_conversation), ..told }
}

/// What the request cannot do without.
fn needs(headers: &HeaderMap, conversation: Conversation) -> Needs {
    let betas = headers.get_all("anthropic-beta").iter().filter_map(|value| value.to_str().ok());
    let is_long = betas.flat_map(|betas| betas.split(',')).any(|beta| beta.trim().starts_with("context-1m"));
    let needs = Needs::default().with(Capability::Context1m, is_long);
    needs.with(Capability::Cache1h, conversation.needs_cache_1h)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_a_request_needs_stands_in_its_headers_and_its_prompt() {
        let (plain, long) = (Needs::default(), Needs::default().with(Capability::Context1m, true));
        let hour = Conversation { needs_cache_1h: true, ..Conversation::default() };
        for (value, expected) in [
            ("prompt-caching-2024-07-31", plain),
            ("context-1m-2025-08-07", long),
            ("tools-2024-04-04, context-1m-2025-08-07", long),
            ("not-context-1m", plain),
        ] {
            assert_eq!(needs(&headers(&[("anthropic-beta", value)]), Conversation::default()), expected, "{value}");
        }
        assert_eq!(needs(&headers(&[]), hour), plain.with(Capability::Cache1h, true));
    }

    #[test]
    fn a_session_that_a_header_names_is_the_conversation() {
        let told = Conversation { id: 7, lasts_an_hour: true, ..Conversation::default() };
        for name in SESSION_HEADERS {
            let named = conversation(&headers(&[(name, "s")]), told);
            assert_eq!(named, Conversation { id: formats::named_conversation("s"), ..told });
            assert_eq!(conversation(&headers(&[(name, "")]), told), told);
        }
    }
}
