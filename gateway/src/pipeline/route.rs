//! Which endpoints can serve the request, and in which order they are asked.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use schemas::outcome::{Capability, ErrorClass, Format, Operation};

use super::accept::printable;
use super::considered;
use super::receipt::Ticket;
use super::receive::Received;
use super::rejection::Rejection;
use crate::app::App;
use crate::catalog::{Candidate, Listed};
use crate::formats::{self, Conversation, Peeked};
use crate::routing::{self, Ask, Line, Needs, Requirements, Turn, Unfit};

/// A request and who may serve it: at least one that speaks its dialect.
pub(super) struct Routed {
    /// The client's place in the configuration.
    pub(super) client: usize,
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    pub(super) body: Bytes,
    pub(super) peeked: Peeked,
    format: Format,
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

    /// Those that are not to be asked, whatever happens, each with the reason.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (&Candidate, &'static str)> {
        let unfit = move |(place, unfit): &(usize, Unfit)| Some((self.candidate_at(*place)?, unfit.as_str()));
        self.line.unfit.iter().filter_map(unfit).chain(speak_other(&self.listed, self.format))
    }

    fn candidate_at(&self, place: usize) -> Option<&Candidate> {
        self.listed.candidates.get(place)
    }
}

pub(super) fn route(app: &App, ticket: &mut Ticket, request: Received<'_>) -> Result<Box<Routed>, Rejection> {
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
    let requirements = required(caller.requirements, &headers)?;
    let mut turn = app.affinity.turn((&caller.name, &listed.model, format), conversation, now);
    let previous = app.affinity.previous(&caller.name, peeked.previous_response.as_deref(), now);
    turn.goes_on(previous, peeked.keeps_response);
    let ask = Ask {
        client: &caller.name,
        user: peeked.user.as_deref().unwrap_or_default(),
        format,
        needs: requirements.needs(detected(&headers, conversation)),
        held: turn.held(),
        home: turn.home(),
    };
    let line = routing::line(&listed, &ask, &app.health, now);
    if line == Line::default() {
        ticket.left_out(&considered::left_out(ticket, 0, speak_other(&listed, format)));
        let message = format!("no provider of {:?} speaks this API: call it in its own format", listed.model);
        return Err(Rejection::new(ErrorClass::NoCandidate, message));
    }
    let routed = Box::new(Routed { client: caller.id, headers, query, body, peeked, format, listed, line });
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

/// The endpoints of a model that speak another format.
fn speak_other(listed: &Listed, format: Format) -> impl Iterator<Item = (&Candidate, &'static str)> {
    listed.others(format).map(|candidate| (candidate, routing::SPEAKS_OTHER_FORMAT))
}

/// Says what a request needs, whatever it looks like (R21): names of capabilities, with `-` before what it does not need.
const REQUIRE_HEADER: HeaderName = HeaderName::from_static("x-require-capability");

/// What the client's settings say, and what the request's header says besides. A name that is none is refused: whoever
/// writes one counts on it.
fn required(by_client: Requirements, headers: &HeaderMap) -> Result<Requirements, Rejection> {
    let wrong = |what: String| Rejection::new(ErrorClass::InvalidRequest, format!("{REQUIRE_HEADER}: {what}"));
    let mut all = by_client;
    for value in headers.get_all(REQUIRE_HEADER) {
        let names = value.to_str().map_err(|_| wrong("is not text".to_owned()))?;
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            all = all.and(printable(name).parse().map_err(wrong)?);
        }
    }
    Ok(all)
}

/// What the request looks as if it could not do without.
fn detected(headers: &HeaderMap, conversation: Conversation) -> Needs {
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
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        headers
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
            assert_eq!(detected(&headers(&[("anthropic-beta", value)]), Conversation::default()), expected, "{value}");
        }
        assert_eq!(detected(&headers(&[]), hour), plain.with(Capability::Cache1h, true));
    }

    #[test]
    fn the_header_counts_more_than_the_clients_settings_and_those_more_than_how_a_request_looks() {
        let (none, hour) = (Needs::default(), Needs::default().with(Capability::Cache1h, true));
        let by_client =
            |words: &[&str]| words.iter().fold(Requirements::default(), |all, word| all.and(word.parse().unwrap()));
        for (settings, header, looks, expected) in [
            (&[][..], &[][..], hour, hour),
            (&["-cache_1h"], &[], hour, none),
            (&["cache_1h"], &[], none, hour),
            (&["cache_1h"], &["-cache_1h"], hour, none),
            (&["-cache_1h"], &[" context_1m , cache_1h,"], none, hour.with(Capability::Context1m, true)),
            (&[], &["context_1m", "cache_1h"], none, hour.with(Capability::Context1m, true)),
        ] {
            let pairs: Vec<_> = header.iter().map(|value| ("x-require-capability", *value)).collect();
            let required = required(by_client(settings), &headers(&pairs)).unwrap();
            assert_eq!(required.needs(looks), expected, "{settings:?} {header:?}");
        }
        let refused = required(by_client(&[]), &headers(&[("x-require-capability", "cache_1h,vision")])).unwrap_err();
        assert_eq!(refused.class, ErrorClass::InvalidRequest);
        assert_eq!(refused.message, "x-require-capability: \"vision\" is none of context_1m, cache_1h");
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
