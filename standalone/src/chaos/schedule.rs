//! What is done to which part and when: a function of the seed and the length of the run alone.

use std::fmt;
use std::time::Duration;

use crate::simulate::random::Random;

/// A part that is tortured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// `weir-gateway`
    Gateway,
    /// `weir-recorder`
    Recorder,
    /// `nats-server`
    Nats,
    /// ClickHouse's engine.
    ClickHouse,
    /// Another `weir-recorder`, which shares the partitions with the first.
    SecondRecorder,
    /// Another `weir-gateway`, with a ledger of its own.
    SecondGateway,
}

/// How many there are of the parts of which there can be two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cast {
    pub(super) recorders: u64,
    pub(super) gateways: u64,
}

impl Part {
    /// Those that one schedule is drawn for; the last one is there only if there are two recorders.
    const DRAWN: [Self; 5] = [Self::Gateway, Self::Recorder, Self::Nats, Self::ClickHouse, Self::SecondRecorder];

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Recorder => "recorder",
            Self::Nats => "nats-server",
            Self::ClickHouse => "ClickHouse",
            Self::SecondRecorder => "second recorder",
            Self::SecondGateway => "second gateway",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is done to a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// SIGKILL, and a new start after so long.
    Kill(Duration),
    /// SIGSTOP, and SIGCONT after so long.
    Freeze(Duration),
    /// SIGKILL, everything it has stored removed, and a new start after so long.
    Wipe(Duration),
    /// The disk under it is full for so long.
    Fill(Duration),
}

impl Deed {
    fn lasts(self) -> Duration {
        match self {
            Self::Kill(time) | Self::Freeze(time) | Self::Wipe(time) | Self::Fill(time) => time,
        }
    }
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Act {
    /// When, from the beginning of the load.
    pub(super) at: Duration,
    pub(super) part: Part,
    pub(super) deed: Deed,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, part, deed } = self;
        let seconds = deed.lasts().as_secs_f64();
        write!(f, "{:6.1} s  {part} ", at.as_secs_f64())?;
        match deed {
            Deed::Kill(_) => write!(f, "killed, started again after {seconds:.1} s"),
            Deed::Freeze(_) => write!(f, "stopped, continued after {seconds:.1} s"),
            Deed::Wipe(_) => write!(f, "killed and wiped, started again after {seconds:.1} s"),
            Deed::Fill(_) if *part == Part::Gateway => {
                write!(f, "has a full disk for {seconds:.1} s, is killed and started again meanwhile")
            }
            Deed::Fill(_) => write!(f, "has a full disk for {seconds:.1} s"),
        }
    }
}

/// The load has the parts to itself for so long at the beginning.
const CALM_MS: u64 = 2_000;
/// A part is left alone for so long after it is back.
const REST_MS: u64 = 1_500;
/// Parts whose disk can be filled.
const FILLED: [Part; 3] = [Part::Nats, Part::ClickHouse, Part::Gateway];

/// Draws the acts of a run. NATS is wiped once and one disk filled once, both in the middle of the run; around that parts
/// are killed and stopped, several at a time, but never one that is being dealt with already.
pub(super) fn draw(seed: u64, length: Duration, cast: Cast) -> Vec<Act> {
    let parts = Part::DRAWN.len() as u64 - u64::from(cast.recorders < 2);
    let mut random = Random::new(seed);
    let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(10_000);
    let percent = |random: &mut Random, from: u64, to: u64| length_ms * (from + random.below(to - from)) / 100;
    let wiped_at = percent(&mut random, 20, 45);
    let filled_at = percent(&mut random, 50, 70);
    let filled = FILLED[usize::try_from(random.below(FILLED.len() as u64)).unwrap_or(0) % FILLED.len()];
    let full_ms = (length_ms / 10).clamp(2_000, 6_000) + random.below(4_000);
    let wipe = act(wiped_at, Part::Nats, Deed::Wipe(between(&mut random, 100, 3_000)));
    let mut fill = act(filled_at, filled, Deed::Fill(Duration::from_millis(full_ms)));
    if fill.part == wipe.part {
        // In a short run the one may still be going on when the other is due.
        fill.at = fill.at.max(end(&wipe));
    }
    let mut acts = vec![wipe, fill];
    let mut at = CALM_MS;
    while at < length_ms {
        let part = Part::DRAWN[usize::try_from(random.below(parts)).unwrap_or(0) % Part::DRAWN.len()];
        let deed = match random.below(10) {
            0..6 => Deed::Kill(between(&mut random, 50, 4_000)),
            // Mostly shorter than the patience of its neighbours, sometimes longer.
            6..9 => Deed::Freeze(between(&mut random, 200, 4_000)),
            _ => Deed::Freeze(between(&mut random, 6_000, 14_000)),
        };
        let drawn = act(at, part, deed);
        if acts.iter().all(|other| other.part != part || !overlap(&drawn, other)) {
            acts.push(drawn);
        }
        at += 300 + random.below(3_500);
    }
    if cast.gateways > 1 {
        acts.extend(draw_second_gateway(seed, length_ms));
    }
    acts.sort_by_key(|act| act.at);
    acts
}

/// What is done to the second gateway. Drawn by itself, so that the others' acts are the same with and without it.
fn draw_second_gateway(seed: u64, length_ms: u64) -> Vec<Act> {
    let mut random = Random::new(seed ^ 0x5ec0_9d6a_7e3a_11ed);
    let mut acts = Vec::new();
    let mut at = CALM_MS + random.below(6_000);
    while at < length_ms {
        let deed = match random.below(3) {
            0 => Deed::Freeze(between(&mut random, 200, 4_000)),
            _ => Deed::Kill(between(&mut random, 50, 4_000)),
        };
        acts.push(act(at, Part::SecondGateway, deed));
        at += 4_000 + REST_MS + random.below(12_000);
    }
    acts
}

fn act(at_ms: u64, part: Part, deed: Deed) -> Act {
    Act { at: Duration::from_millis(at_ms), part, deed }
}

fn between(random: &mut Random, from_ms: u64, to_ms: u64) -> Duration {
    Duration::from_millis(from_ms + random.below(to_ms - from_ms))
}

/// When a part may be dealt with again.
fn end(act: &Act) -> Duration {
    act.at + act.deed.lasts() + Duration::from_millis(REST_MS)
}

fn overlap(one: &Act, other: &Act) -> bool {
    one.at < end(other) && other.at < end(one)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_acts_again_and_another_one_others() {
        let length = Duration::from_secs(180);
        let cast = |recorders, gateways| Cast { recorders, gateways };
        assert_eq!(draw(7, length, cast(1, 2)), draw(7, length, cast(1, 2)));
        assert_ne!(draw(7, length, cast(1, 1)), draw(8, length, cast(1, 1)));
        let mut with_two = draw(7, length, cast(2, 2));
        with_two.retain(|act| act.part != Part::SecondGateway);
        assert_eq!(with_two, draw(7, length, cast(2, 1)), "a second gateway changes nothing for the others");
    }

    #[test]
    fn every_run_has_one_wipe_one_full_disk_kills_and_freezes_and_spares_a_part_that_is_dealt_with() {
        let mut filled = BTreeSet::new();
        for seed in 0..300 {
            for length in [25, 180] {
                let cast = Cast { recorders: 1 + seed % 2, gateways: 1 + seed / 2 % 2 };
                let acts = draw(seed, Duration::from_secs(length), cast);
                assert!(cast.recorders == 2 || acts.iter().all(|act| act.part != Part::SecondRecorder));
                assert_eq!(cast.gateways == 2, acts.iter().any(|act| act.part == Part::SecondGateway));
                let count = |of: fn(&Deed) -> bool| acts.iter().filter(|act| of(&act.deed)).count();
                assert_eq!(count(|deed| matches!(deed, Deed::Wipe(_))), 1);
                assert_eq!(count(|deed| matches!(deed, Deed::Fill(_))), 1);
                assert!(count(|deed| matches!(deed, Deed::Kill(_))) >= 1, "seed {seed}: {acts:?}");
                assert!(acts.iter().all(|act| act.at < Duration::from_secs(length)));
                filled.extend(acts.iter().filter(|act| matches!(act.deed, Deed::Fill(_))).map(|act| act.part));
                for (at, one) in acts.iter().enumerate() {
                    let others = acts.iter().skip(at + 1).filter(|other| other.part == one.part);
                    assert!(others.clone().all(|other| !overlap(one, other)), "seed {seed}: {acts:?}");
                }
            }
        }
        assert_eq!(filled.into_iter().collect::<Vec<_>>(), [Part::Gateway, Part::Nats, Part::ClickHouse]);
    }
}
