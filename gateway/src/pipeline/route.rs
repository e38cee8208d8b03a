//! Which endpoints can serve the request, and in which order they are asked. Pure but for the catalogue it reads.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use schemas::outcome::ErrorClass;

use super::receipt::Ticket;
use super::receive::Received;
use super::rejection::Rejection;
use crate::app::App;
use crate::catalog::{Candidate, affinity};
use crate::formats::Peeked;

/// A request and its candidates, best first, at least one.
pub(super) struct Routed {
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    pub(super) body: Bytes,
    pub(super) peeked: Peeked,
    pub(super) candidates: Vec<Arc<Candidate>>,
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
    let format = ticket.format();
    let serving = listed.candidates.iter().filter(|candidate| candidate.target.format == format);
    let user = peeked.user.as_deref().unwrap_or_default();
    let candidates = ordered(serving.cloned().collect(), affinity([caller.name.as_str(), user]));
    if candidates.is_empty() {
        let message = format!("no provider of {:?} speaks this API: call it in its own format", listed.model);
        return Err(Rejection::new(ErrorClass::NoCandidate, message));
    }
    Ok(Routed { headers, query, body, peeked, candidates })
}

/// By priority; among equals the load is shared by weight, over the clients: each of them stays where its prompts are
/// cached, with the same alternatives in the same order.
fn ordered(mut candidates: Vec<Arc<Candidate>>, client: u64) -> Vec<Arc<Candidate>> {
    let alone = |pair: &[Arc<Candidate>]| matches!(pair, [one, next] if one.priority != next.priority);
    if !candidates.windows(2).all(alone) {
        candidates.sort_by_cached_key(|candidate| {
            // Non-negative floats are ordered like their bits.
            (candidate.priority, draw(candidate.seed, candidate.weight, client).to_bits())
        });
    }
    candidates
}

/// Weighted rendezvous hashing: each candidate draws an exponentially distributed number with its weight as the rate, and
/// the lowest comes first, which is each one's chance in proportion to its weight. A weight of 0 comes last.
fn draw(seed: u64, weight: f64, client: u64) -> f64 {
    let mixed = mix(seed ^ mix(client));
    // 53 bits are what a float holds: a number in (0, 1).
    let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln() / weight
}

/// The finaliser of SplitMix64: every bit of the input changes half of those that come out.
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of 10,000 clients draw the lowest number at each of the weights.
    fn shares(weights: &[f64]) -> Vec<usize> {
        let mut shares = vec![0; weights.len()];
        for client in 0..10_000 {
            let name = format!("client-{client}");
            let drawn = |at: &usize| draw(affinity([format!("key-{at}").as_str()]), weights[*at], affinity([&*name]));
            let first = (0..weights.len()).min_by(|a, b| drawn(a).total_cmp(&drawn(b))).unwrap();
            shares[first] += 1;
        }
        shares
    }

    #[test]
    fn load_is_shared_by_weight() {
        let shares = shares(&[1.0, 3.0, 6.0, 0.0]);
        for (share, expected) in shares.iter().zip([1000, 3000, 6000, 0]) {
            assert!(share.abs_diff(expected) <= 200, "{shares:?}");
        }
    }

    #[test]
    fn a_client_stays_and_moves_only_with_its_candidate() {
        let seeds: Vec<u64> = (0..5).map(|at| affinity([format!("key-{at}").as_str()])).collect();
        let order = |seeds: &[u64], client: u64| {
            let mut order = seeds.to_vec();
            order.sort_by_cached_key(|seed| draw(*seed, 1.0, client).to_bits());
            order
        };
        for client in 0..200 {
            let client = affinity([format!("client-{client}").as_str()]);
            let all = order(&seeds, client);
            assert_eq!(all, order(&seeds, client));
            // One candidate less: the others keep their order.
            let rest: Vec<u64> = seeds.iter().copied().filter(|seed| *seed != all[0]).collect();
            assert_eq!(order(&rest, client), all[1..]);
        }
    }

    #[test]
    fn names_do_not_run_together() {
        assert_ne!(affinity(["ab", "c"]), affinity(["a", "bc"]));
        assert_ne!(affinity(["ab"]), affinity(["ab", ""]));
    }
}
