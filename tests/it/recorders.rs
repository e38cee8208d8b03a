//! Several recorders share the partitions, follow each other when one ends, dies or freezes, and write nothing twice.

use std::time::{Duration, Instant};

use tests::eventually;
use tests::load::{self, Load};
use tests::services::RecorderProcess;
use tests::stack::{Plan, Stack};

use super::outage::{accounted, busy, busy_again, finish};

const PARTITIONS: f64 = 4.0;
/// Generous: the lease is a second, the machine may be busy.
const TAKEOVER: Duration = Duration::from_secs(60);

async fn holds(recorder: &RecorderProcess, partitions: f64) -> Duration {
    let started = Instant::now();
    eventually(&format!("a recorder holds {partitions} partitions"), TAKEOVER, || async {
        let held = recorder.try_metric("weir_recorder_lease_held").await?;
        if held == partitions { Ok(()) } else { Err(format!("it holds {held}")) }
    })
    .await;
    started.elapsed()
}

async fn metric(recorder: &RecorderProcess, name: &str) -> f64 {
    eventually(name, TAKEOVER, || recorder.try_metric(name)).await
}

/// The recorder has recorded more since.
async fn works(recorder: &RecorderProcess, load: &Load) {
    let before = metric(recorder, "weir_events_stored_total").await;
    busy_again(load, 20).await;
    eventually("a recorder records", TAKEOVER, || async {
        let stored = recorder.try_metric("weir_events_stored_total").await?;
        if stored > before { Ok(()) } else { Err(format!("{stored} events")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_frozen_and_stopped_recorders_are_followed_and_everything_is_recorded_once() {
    let mut stack = Stack::planned(Plan { nats: "partitions = 4".into(), ..Plan::default() }, load::answer).await;
    stack.recorder.take().unwrap().stop().await;
    let mut one = RecorderProcess::start(&stack.settings).await;
    holds(&one, PARTITIONS).await;
    assert_eq!(metric(&one, "weir_recorder_lease_takeovers_total").await, 0.0, "the one before has given them back");
    let mut other = RecorderProcess::start(&stack.settings).await;
    holds(&other, PARTITIONS / 2.0).await;
    holds(&one, PARTITIONS / 2.0).await;
    let load = busy(&stack).await;
    works(&one, &load).await;
    works(&other, &load).await;

    one.kill();
    let took = holds(&other, PARTITIONS).await;
    println!("after kill -9 taken over within {took:?}");
    assert_eq!(metric(&other, "weir_recorder_lease_takeovers_total").await, PARTITIONS / 2.0);
    one.restart().await;
    holds(&one, PARTITIONS / 2.0).await;
    works(&one, &load).await;

    other.process().freeze();
    let took = holds(&one, PARTITIONS).await;
    println!("after SIGSTOP taken over within {took:?}");
    works(&one, &load).await;
    other.process().thaw();
    holds(&other, PARTITIONS / 2.0).await;
    works(&other, &load).await;
    assert!(metric(&other, "weir_recorder_lease_losses_total").await >= 1.0, "it had noticed");

    assert!(one.stop().await.success());
    let took = holds(&other, PARTITIONS).await;
    println!("after SIGTERM taken over within {took:?}");
    works(&other, &load).await;
    accounted(&stack, finish(load).await).await;
}
