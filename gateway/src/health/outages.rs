//! Outages of every length at a clock that is moved by hand: how often a sick target is asked, what that costs the callers,
//! and how soon it is returned to once it is well.

use std::time::{Duration, Instant};

use super::tests::{MINUTE, SECOND};
use super::{Admission, Claim, Fault, Health, Moment, Slot, TargetSpec};

/// One step of the clock.
const TICK: Duration = Duration::from_millis(100);
/// What gateways know, all of them know after this time.
const SHARED_AFTER: u32 = 10;
/// What is promised: traffic returns within this time of the recovery.
const RETURN_MAX: Duration = Duration::from_secs(30);
/// From one probe to the next.
const INTERVAL: Duration = Duration::from_secs(15);

/// Gateways before one target that is down from the beginning.
#[derive(Clone, Copy)]
struct Story<'a> {
    gateways: usize,
    /// Those that have something to send, all the time.
    busy: &'a [usize],
    /// How long it takes the target to fail, so long after the beginning.
    fails_after: fn(Duration) -> Duration,
    /// When it is well again. It answers within a tick then.
    lasts: Duration,
}

/// What came of it.
struct End {
    /// When each probe began.
    probes: Vec<Duration>,
    /// What callers waited for probes that failed, all together.
    waited: Duration,
    /// From the recovery to the first request that was no probe.
    returned_after: Duration,
}

/// A request under way.
struct Running {
    ends: Duration,
    begun: Duration,
    slot: Slot,
}

impl Story<'_> {
    fn play(self) -> End {
        let spec = || TargetSpec {
            provider: "p".to_owned(),
            endpoint: "e".to_owned(),
            key: "k".to_owned(),
            max_concurrent: 0,
            fingerprint: 0,
        };
        let gateways: Vec<Health> = (0..self.gateways).map(|_| Health::new([spec()])).collect();
        gateways.iter().enumerate().for_each(|(place, health)| health.take_turns(place));
        let start = Moment { now: Instant::now(), unix_ms: 1_700_000_000_000 };
        let (mut running, mut probes, mut waited): (Vec<Running>, _, _) = (Vec::new(), Vec::new(), Duration::ZERO);
        for tick in 0.. {
            let time = TICK * tick;
            let unix_ms = start.unix_ms + u64::try_from(time.as_millis()).unwrap();
            let moment = Moment { now: start.now + time, unix_ms };
            for over in running.extract_if(.., |one| one.ends <= time) {
                if over.begun >= self.lasts {
                    over.slot.succeeded(moment.now);
                    continue;
                }
                if over.slot.is_probe() {
                    waited += over.ends - over.begun;
                }
                over.slot.failed(Fault::Provider, moment.now);
            }
            if tick % SHARED_AFTER == 0 {
                let words: Vec<_> = gateways.iter().map(|health| health.tell(moment)).collect();
                gateways.iter().for_each(|health| words.iter().for_each(|words| health.hear(words, moment)));
            }
            for gateway in self.busy {
                let Admission::Admitted(slot) = gateways[*gateway].admit(0, Claim::Known, moment.now) else { continue };
                if time >= self.lasts && !slot.is_probe() {
                    return End { probes, waited, returned_after: time - self.lasts };
                }
                probes.extend(slot.is_probe().then_some(time));
                let takes = if time < self.lasts { (self.fails_after)(time) } else { TICK };
                running.push(Running { ends: time + takes, begun: time, slot });
            }
            assert!(time < self.lasts + 20 * MINUTE, "never returned to");
        }
        unreachable!("the clock goes on for ever");
    }
}

const ALL: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7];
const FLEETS: [(usize, &[usize]); 4] = [(1, &[0]), (2, &[0, 1]), (8, ALL), (8, &[7])];

fn at_once(_: Duration) -> Duration {
    TICK
}

fn in_two_seconds(_: Duration) -> Duration {
    Duration::from_millis(1900)
}

fn silent(_: Duration) -> Duration {
    30 * SECOND
}

/// One probe per interval, of all gateways together; and one in any half a minute and a little.
fn assert_one_per_interval(probes: &[Duration], lasts: Duration) {
    assert!(probes.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL), "{probes:?}");
    assert!(probes.len() >= usize::try_from(lasts.as_secs() / 32).unwrap(), "it is looked after: {probes:?}");
}

#[test]
fn a_target_that_fails_at_once_is_returned_to_within_half_a_minute_of_its_recovery_whenever_that_is() {
    for (gateways, busy) in FLEETS {
        for fails_after in [at_once, in_two_seconds] {
            // Every phase of the probes, a minute after the beginning, and much later.
            let later = (0..40).map(|step| MINUTE + step * 8 * TICK);
            for lasts in later.chain([10 * MINUTE, 31 * MINUTE]) {
                let end = Story { gateways, busy, fails_after, lasts }.play();
                let within = end.returned_after;
                assert!(within <= RETURN_MAX, "{gateways} gateways, down for {lasts:?}: {within:?}");
                let during: Vec<_> = end.probes.into_iter().filter(|at| *at < lasts).collect();
                assert_one_per_interval(&during, lasts);
            }
        }
    }
}

#[test]
fn a_silent_target_costs_its_callers_ever_less_however_long_it_is_down() {
    for (gateways, busy) in FLEETS {
        let lasts = 120 * MINUTE;
        let end = Story { gateways, busy, fails_after: silent, lasts }.play();
        let during = end.probes.iter().filter(|at| **at < lasts);
        let (early, late): (Vec<Duration>, Vec<Duration>) = during.partition(|at| **at < 60 * MINUTE);
        assert!((8..=16).contains(&early.len()), "{early:?}");
        assert!(late.windows(2).all(|pair| pair[1] - pair[0] >= 300 * SECOND), "{late:?}");
        assert!(late.len() >= 8 && end.waited <= 16 * MINUTE, "{:?}", end.waited);
        assert!(end.returned_after <= 6 * MINUTE, "{:?}", end.returned_after);
    }
}

#[test]
fn a_target_that_was_silent_for_long_and_fails_at_once_since_is_returned_to_as_soon() {
    let fails_after = |at: Duration| if at < 20 * MINUTE { 30 * SECOND } else { TICK };
    for (gateways, busy) in FLEETS {
        for step in 0..8 {
            let end = Story { gateways, busy, fails_after, lasts: 30 * MINUTE + step * 20 * TICK }.play();
            assert!(end.returned_after <= RETURN_MAX, "{gateways} gateways: {:?}", end.returned_after);
        }
    }
}
