//! S15: a primary that is down for a while and then well again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::eventually;

use super::{Bench, GOOD, Scenario, overloaded, scenario};

static IS_DOWN: AtomicBool = AtomicBool::new(true);

pub const SCENARIOS: &[Scenario] = &[scenario("flapping", |_| IS_DOWN.load(Ordering::Relaxed).then(overloaded), GOOD)];

#[test]
fn s15_a_flapping_primary_is_left_alone_while_it_is_down_and_returned_to() {
    let bench = Bench::shared();
    let mut tries = 0;
    for _ in 0..20 {
        let told = bench.ask("flapping");
        told.assert_answered_by("fallback");
        tries += told.order().iter().filter(|side| **side == "primary").count();
    }
    // Five failures open the breaker; a probe comes every thirty seconds, should the machine be that slow.
    assert!((5..=7).contains(&tries), "{tries}");

    IS_DOWN.store(false, Ordering::Relaxed);
    let recovered = Instant::now();
    // Thirty seconds are promised; the rest is for a loaded machine.
    bench.run(eventually("the primary answers again", Duration::from_secs(45), || async {
        let told = bench.told("flapping").await;
        assert_eq!(told.answer.status, 200, "{}", told.answer.text());
        if told.row.endpoint == "flapping-primary" { Ok(()) } else { Err(format!("{:?}", recovered.elapsed())) }
    }));
    // And stays.
    for _ in 0..3 {
        bench.ask("flapping").assert_answered_by("primary");
    }
}
