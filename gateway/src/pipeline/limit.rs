//! Whether the client's limits and budget have room for the request: counted here with an estimate, and with the truth
//! once the request is settled.
//!
//! The estimate is cheap while there is plenty of room: a token for every four bytes of the body towards a rate, and for
//! every byte towards a budget, which no text exceeds. Only a request that would be refused by it is read for a closer one.

use schemas::config::Unpriced;
use schemas::money::Pico;
use schemas::outcome::{ErrorClass, Operation};
use schemas::time::Timestamp;

use super::receipt::Ticket;
use super::rejection::Rejection;
use super::route::Routed;
use crate::app::App;
use crate::estimate::{Prompt, Scheme, Size};
use crate::limits::{Ask, Refused};

/// Bytes of a body for one token of its prompt: JSON around it included, and more often too few than too many.
const BYTES_PER_TOKEN: u64 = 4;

pub(super) fn limit(app: &App, ticket: &mut Ticket, mut routed: Box<Routed>) -> Result<Box<Routed>, Rejection> {
    let limits = &app.limits;
    if !limits.limits(routed.client) {
        return Ok(routed);
    }
    let now = Timestamp::now();
    let is_free = ticket.receipt.operation == Operation::CountTokens;
    if !is_free && limits.unpriced(routed.client) == Unpriced::Deny {
        leave_unpriced(ticket, &mut routed, now)?;
    }
    let bytes = routed.request_bytes();
    let size = Size { tokens: bytes.div_ceil(BYTES_PER_TOKEN), most_tokens: bytes };
    let mut admitted = limits.admit(routed.client, &ask(app, &routed, size, is_free, now), now);
    if admitted.as_ref().is_err_and(|refused| refused.limit.depends_on_size()) {
        let closer = Prompt::new(ticket.format(), routed.body.clone()).size(Scheme::Rule);
        let size = Size { tokens: closer.tokens.min(size.tokens), most_tokens: closer.most_tokens.min(bytes) };
        admitted = limits.admit(routed.client, &ask(app, &routed, size, is_free, now), now);
    }
    ticket.hold = admitted.map_err(|refused| refuse(app, refused))?;
    Ok(routed)
}

/// Leaves out the candidates whose price nobody knows. Where that are all, the request is refused.
fn leave_unpriced(ticket: &mut Ticket, routed: &mut Routed, now: Timestamp) -> Result<(), Rejection> {
    let before = routed.candidates().count();
    routed.retain(|candidate| candidate.quote.most(1, 1, now).is_some());
    let left = routed.candidates().count();
    if left == 0 && before > 0 {
        let model = &ticket.receipt.model;
        let message = format!("the price of {model:?} is not known, and this API key may use only models with one");
        return Err(Rejection::new(ErrorClass::Forbidden, message));
    }
    if let Some(turn) = ticket.turn.as_mut().filter(|_| left < before) {
        let held = turn.held();
        turn.stands_at(routed.candidates().position(|candidate| held == Some(candidate.seed)));
    }
    Ok(())
}

/// What the request may use at most, at the dearest of its candidates.
fn ask<'a>(app: &App, routed: &'a Routed, size: Size, is_free: bool, now: Timestamp) -> Ask<'a> {
    let peeked = &routed.peeked;
    let answers = peeked.answers.unwrap_or(1);
    let (mut output_tokens, mut most_cost) = (0, Pico::ZERO);
    for candidate in routed.candidates().filter(|_| !is_free) {
        let output = candidate.quote.output_tokens(peeked.max_output_tokens, answers);
        output_tokens = output.max(output_tokens);
        if app.limits.has_budget(routed.client) {
            // Without a price, which the policy then allows, it counts nothing.
            most_cost = candidate.quote.most(size.most_tokens, output, now).unwrap_or_default().max(most_cost);
        }
    }
    let user = peeked.user.as_deref().unwrap_or_default();
    Ask { user, input_tokens: size.tokens, output_tokens, most_cost, is_free }
}

fn refuse(app: &App, refused: Box<Refused>) -> Rejection {
    app.metrics.limited(refused.limit.as_str());
    let rejection = Rejection::new(ErrorClass::LimitExceeded, refused.message());
    Rejection { refused: Some(refused), ..rejection }
}
