//! Who is asked, and in which order. Pure: it reads the catalogue and how targets stand, waits for nobody, changes nothing.
//!
//! By priority first: it is the operator's word on what an answer may cost. Among equals whoever has the conversation's
//! prompt in its cache comes first, then those that answer well, then by weight, over the clients.

mod fitness;
mod memory;
mod affinity;
mod counts;

#[cfg(test)]
mod tests;

use std::time::Instant;

use schemas::outcome::Format;

pub use self::affinity::{Affinity, Identity, Previous, Turn};
pub(crate) use self::counts::Counts;
pub(crate) use self::fitness::{Abilities, Requirements};
pub use self::fitness::{Needs, Unfit};
use crate::catalog::{Candidate, Listed, affinity};
use crate::health::{Health, Standing};

/// Candidates that a request asks at most. More is a misconfigured catalogue, and a client that has long gone.
pub const CANDIDATES_MAX: usize = 16;

/// What a request wants, as far as it matters for who is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The client's name.
    pub client: &'a str,
    /// The client's own user; empty if it names none.
    pub user: &'a str,
    /// The dialect; endpoints that speak another are left out.
    pub format: Format,
    /// What it cannot do without.
    pub needs: Needs,
    /// Who has its conversation's prompt.
    pub held: Option<u64>,
    /// The account that keeps the response which it goes on from.
    pub home: Option<u64>,
}

/// The reason of those that are left out because of their format, in candidate events, rows and metrics.
pub(crate) const SPEAKS_OTHER_FORMAT: &str = "speaks_other_format";

/// Those to be asked, best first, and those of the format that are no match, by their places among all candidates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// At most [`CANDIDATES_MAX`].
    pub fit: Vec<usize>,
    /// As many at most, each with the reason.
    pub unfit: Vec<(usize, Unfit)>,
}

/// What decides among candidates of one priority; lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_elsewhere: bool,
    is_strained: bool,
    /// Non-negative floats are ordered like their bits.
    draw_bits: u64,
    place: usize,
}

/// The line for a request. One that is shut stands in its place, to be passed over with its reason, unless there are so
/// many that it would keep others out.
pub fn line(listed: &Listed, ask: &Ask<'_>, health: &Health, now: Instant) -> Line {
    let mut line = Line::default();
    let mut client = None;
    let (mut place, speaking) = listed.speaking(ask.format);
    for group in speaking.chunk_by(|one, next| one.priority == next.priority) {
        let room = CANDIDATES_MAX - line.fit.len();
        if room == 0 {
            break;
        }
        let mut ranks = Vec::with_capacity(group.len());
        for candidate in group {
            place += 1;
            if let Some(unfit) = candidate.abilities.unfit(ask.needs) {
                line.unfit.extend((line.unfit.len() < CANDIDATES_MAX).then_some((place - 1, unfit)));
                continue;
            }
            // Who is alone is first, whatever its number.
            let draw_bits = match group.len() {
                1 => 0,
                _ => {
                    let client = *client.get_or_insert_with(|| affinity([ask.client, ask.user]));
                    draw(candidate.seed, candidate.weight, client).to_bits()
                }
            };
            ranks.push(rank(candidate, ask, health.standing(candidate.target.id, now), (draw_bits, place - 1)));
        }
        if ranks.len() > room {
            ranks.select_nth_unstable(room);
            ranks.truncate(room);
        }
        ranks.sort_unstable_by_key(|(_, rank)| *rank);
        line.fit.extend(ranks.iter().map(|(_, rank)| rank.place));
    }
    if let Some(home) = ask.home {
        lead_home(&mut line, listed, ask, home);
    }
    line
}

/// Whoever keeps the response that the request goes on from is asked first, whatever its priority: nobody else has it.
/// Where it is gone, or is no match, the line is as it would be.
fn lead_home(line: &mut Line, listed: &Listed, ask: &Ask<'_>, home: u64) {
    let is_home = |candidate: &Candidate| candidate.target.account == home;
    let in_line = |place: &usize| listed.candidates.get(*place).is_some_and(is_home);
    if let Some(at) = line.fit.iter().position(in_line) {
        line.fit.get_mut(..=at).into_iter().for_each(|before| before.rotate_right(1));
        return;
    }
    // So many come before it that it has no place.
    let (first, speaking) = listed.speaking(ask.format);
    let may_serve = |candidate: &Candidate| is_home(candidate) && candidate.abilities.unfit(ask.needs).is_none();
    if let Some(at) = speaking.iter().position(may_serve) {
        line.fit.insert(0, first + at);
        line.fit.truncate(CANDIDATES_MAX);
    }
}

fn rank(candidate: &Candidate, ask: &Ask<'_>, standing: Standing, (draw_bits, place): (u64, usize)) -> (bool, Rank) {
    let rank = Rank {
        is_elsewhere: ask.held != Some(candidate.seed),
        is_strained: standing == Standing::Strained,
        draw_bits,
        place,
    };
    (standing == Standing::Shut, rank)
}

/// Weighted rendezvous hashing: each candidate draws an exponentially distributed number with its weight as the rate, and
/// the lowest comes first, which is each one's chance in proportion to its weight. A weight of 0 comes last. So each
/// client stays where it is, with the same alternatives in the same order, at every gateway.
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
