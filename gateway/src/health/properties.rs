//! What holds whatever happens: random histories of one target.

use std::time::Duration;

use proptest::prelude::*;

use super::tests::{Bench, MINUTE, SECOND};
use super::*;

/// One step of a random history; `usize` picks among the slots that are held.
#[derive(Clone, Debug)]
enum Step {
    Wait(u32),
    Admit,
    Succeed(usize),
    Fail(usize, Fault),
    Drop(usize),
}

fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop::sample::select(vec![
        LimitKind::Concurrency,
        LimitKind::Requests,
        LimitKind::Tokens,
        LimitKind::Quota,
        LimitKind::Unknown,
    ]);
    let pause = prop::option::of((0_u64..90).prop_map(Duration::from_secs));
    let limit = (kind, pause).prop_map(|(kind, retry_after)| Fault::RateLimited(RateLimit { kind, retry_after }));
    prop_oneof![4 => Just(Fault::Provider), 1 => Just(Fault::KeyRefused), 4 => limit]
}

fn step(is_well: bool) -> impl Strategy<Value = Step> {
    let any = any::<usize>();
    let fails = if is_well { 0 } else { 4 };
    prop_oneof![
        3 => prop_oneof![4 => 0_u32..500, 2 => 0_u32..40_000, 1 => 0_u32..2_000_000].prop_map(Step::Wait),
        10 => Just(Step::Admit),
        4 => any.prop_map(Step::Succeed),
        fails => (any, fault()).prop_map(|(slot, fault)| Step::Fail(slot, fault)),
        2 => any.prop_map(Step::Drop),
    ]
}

/// Plays a history, and checks what holds after each step.
fn play(max_concurrent: u32, steps: Vec<Step>) -> Result<Bench, TestCaseError> {
    let mut bench = Bench::new(max_concurrent);
    let mut held: Vec<Slot> = Vec::new();
    let mut last_429 = None;
    for step in steps {
        let before = bench.snapshot();
        match step {
            Step::Wait(time_ms) => bench.wait(Duration::from_millis(u64::from(time_ms))),
            Step::Admit => match bench.admit() {
                Ok(slot) => {
                    prop_assert!(before.limit.is_none_or(|limit| before.in_flight < limit));
                    prop_assert!(before.probe_in_ms.is_none() && before.cooling_for_ms.is_none());
                    let is_sick = before.breaker != BreakerState::Closed || before.is_disabled;
                    prop_assert_eq!(slot.is_probe(), is_sick);
                    held.push(slot);
                }
                Err(skipped) => {
                    prop_assert!(skipped.until.is_none_or(|until| until > bench.now), "it is said when to come back");
                    prop_assert_eq!(bench.snapshot(), before.clone(), "who is not admitted changes nothing");
                }
            },
            Step::Succeed(slot) | Step::Fail(slot, _) | Step::Drop(slot) if !held.is_empty() => {
                let slot = held.swap_remove(slot % held.len());
                match step {
                    Step::Succeed(_) => slot.succeeded(bench.now),
                    Step::Fail(_, fault) => {
                        slot.failed(fault, bench.now);
                        if matches!(fault, Fault::RateLimited(_)) {
                            last_429 = Some(bench.now);
                            let is_cooling = bench.snapshot().cooling_for_ms.is_some();
                            prop_assert!(is_cooling || before.cooling_for_ms.is_none(), "a 429 never ends a cool-down");
                        }
                    }
                    Step::Drop(_) => {
                        drop(slot);
                        let after = bench.snapshot();
                        prop_assert!(after.probe_in_ms <= before.probe_in_ms, "it holds up nobody any more");
                        let probe_in_ms = after.probe_in_ms;
                        let released = Snapshot { in_flight: before.in_flight - 1, probe_in_ms, ..before.clone() };
                        prop_assert_eq!(after, released, "and who is not judged only leaves");
                    }
                    Step::Wait(_) | Step::Admit => unreachable!("these hold no slot"),
                }
            }
            Step::Succeed(_) | Step::Fail(..) | Step::Drop(_) => {}
        }
        let after = bench.snapshot();
        prop_assert_eq!(after.in_flight as usize, held.len());
        if max_concurrent > 0 {
            prop_assert_eq!((after.limit, after.is_learned), (Some(max_concurrent), false));
        } else {
            prop_assert!(after.limit.is_none_or(|limit| (3..=200).contains(&limit)));
            let is_raised = before.limit.is_some() && after.limit > before.limit;
            let was_quiet = last_429.is_some_and(|at| bench.now - at >= 5 * MINUTE);
            prop_assert!(!is_raised || was_quiet, "raised too soon after a 429");
        }
    }
    drop(held);
    prop_assert_eq!(bench.snapshot().in_flight, 0);
    Ok(bench)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_the_rules(
        max_concurrent in prop_oneof![Just(0_u32), 1_u32..8],
        steps in prop::collection::vec(step(false), 0..400),
    ) {
        play(max_concurrent, steps)?;
    }

    #[test]
    fn without_faults_nothing_but_a_configured_limit_ever_stops_anybody(
        max_concurrent in prop_oneof![Just(0_u32), 1_u32..8],
        steps in prop::collection::vec(step(true), 0..400),
    ) {
        let bench = play(max_concurrent, steps)?;
        let snapshot = bench.snapshot();
        prop_assert_eq!(snapshot.breaker, BreakerState::Closed);
        prop_assert!(!snapshot.is_disabled && snapshot.cooling_for_ms.is_none());
        prop_assert_eq!(snapshot.limit, (max_concurrent > 0).then_some(max_concurrent));
        prop_assert!(bench.admit().is_ok());
    }

    /// The key fails whatever is sent to it, however the requests overlap.
    #[test]
    fn a_sick_key_gets_at_most_one_probe_in_fifteen_seconds(
        gaps_ms in prop::collection::vec((0_u64..20_000, 0_usize..3, any::<usize>()), 1..300),
    ) {
        let mut bench = Bench::new(0);
        bench.fail(Fault::Provider, 5);
        let (mut held, mut last) = (Vec::new(), bench.now);
        for (gap_ms, settled, pick) in gaps_ms {
            bench.wait(Duration::from_millis(gap_ms));
            if let Ok(probe) = bench.admit() {
                prop_assert!(bench.now - last >= 15 * SECOND);
                last = bench.now;
                held.push(probe);
            }
            for _ in 0..settled.min(held.len()) {
                let probe: Slot = held.swap_remove(pick % held.len());
                if pick % 3 == 0 { drop(probe) } else { probe.failed(Fault::Provider, bench.now) }
            }
        }
    }
}
