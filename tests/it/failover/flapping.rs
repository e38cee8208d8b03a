//! S15: a primary that is down for a while and then well again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Bench, GOOD, Scenario, overloaded, scenario};

static IS_DOWN: AtomicBool = AtomicBool::new(true);

pub const SCENARIOS: &[Scenario] = &[scenario("flapping", |_| IS_DOWN.load(Ordering::Relaxed).then(overloaded), GOOD)];

/// Failures that open the breaker, and the time from one probe to the next while they fail at once.
const TRIES: u64 = 5;
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// What the catalogue of faults promises, from the moment in which the provider is well again.
const RETURN_MAX: Duration = Duration::from_secs(30);

#[test]
fn s15_a_flapping_primary_is_left_alone_while_it_is_down_and_returned_to_within_thirty_seconds() {
    let bench = Bench::shared();
    let (begun, mut tries) = (Instant::now(), 0);
    for _ in 0..20 {
        let told = bench.ask("flapping");
        told.assert_answered_by("fallback");
        tries += told.order().iter().filter(|side| **side == "primary").count() as u64;
    }
    let most = TRIES + begun.elapsed().as_secs() / PROBE_INTERVAL.as_secs();
    assert!((TRIES..=most).contains(&tries), "{tries} tries of at most {most}");

    IS_DOWN.store(false, Ordering::Relaxed);
    let recovered = Instant::now();
    let mut sent = Vec::new();
    let returned_after = bench.run(async {
        loop {
            let one = bench.send("flapping", true).await;
            assert_eq!(one.answer.status, 200, "{}", one.answer.text());
            let is_back = one.answer.headers["x-weir-provider"] == "flapping-primary";
            sent.push(one);
            if is_back || recovered.elapsed() > RETURN_MAX {
                return recovered.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    });
    assert!(returned_after <= RETURN_MAX, "{returned_after:?}");
    // And stays: two more probes, which follow at once, and then everybody.
    for _ in 0..5 {
        bench.ask("flapping").assert_answered_by("primary");
    }
    // What was asked meanwhile has its rows as well.
    for one in sent {
        let told = bench.run(bench.recorded(one));
        assert_eq!(told.order().len(), 1, "nobody was asked in vain any more: {:?}", told.order());
    }
}
