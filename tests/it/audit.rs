//! The audit tells what is stored, on its way, missing and unknown, and never calls clean what it cannot know.

use serde_json::{Value, json};
use tests::eventually;
use tests::load;
use tests::stack::{ARRIVAL, Plan, Stack};

const AUDIT: &str = "/v1/audit?from=-1h";

/// The audit, once it is in this state and that many events are known to be emitted.
async fn audit(stack: &Stack, state: &str, emitted: Option<u64>) -> Value {
    let reader = stack.reader();
    eventually(&format!("the audit is {state}"), ARRIVAL, || async {
        let report = reader.get_json(AUDIT).await;
        if report["state"] == state && sum(&report, "emitted") == emitted {
            Ok(report)
        } else {
            Err(report.to_string())
        }
    })
    .await
}

fn sum(report: &Value, column: &str) -> Option<u64> {
    report["ledgers"].as_array().unwrap().iter().map(|ledger| ledger[column].as_u64()).sum()
}

async fn send(stack: &Stack, count: u64) {
    for number in 0..count {
        load::send_one(&stack.caller(), number).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_clean_and_what_was_removed_is_missing() {
    let mut stack = Stack::start(load::answer).await;
    send(&stack, 8).await;
    stack.all_rows(8).await;
    // Opened, candidate, terminal.
    let report = audit(&stack, "clean", Some(24)).await;
    let counts = ["stored", "pending", "missing"].map(|column| sum(&report, column));
    assert_eq!(counts, [Some(24), Some(0), Some(0)], "{report}");
    assert_eq!((&report["reasons"], &report["sums"][0]["requests"]), (&json!([]), &json!(8)), "{report}");

    // A gateway that has ended in order has said so: nothing more can come.
    stack.gateway.take().unwrap().service.stop().await;
    audit(&stack, "clean", Some(24)).await;

    let _: Vec<Value> = stack.database.rows("TRUNCATE TABLE {db}.candidates").await;
    let report = audit(&stack, "unclean", Some(24)).await;
    assert_eq!((sum(&report, "stored"), sum(&report, "missing")), (Some(16), Some(8)), "{report}");
    assert!(report["reasons"][0].as_str().unwrap().contains("8 events were committed"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_pending_and_without_nats_nothing_is_known() {
    let mut stack = Stack::planned(Plan::default(), load::answer).await;
    send(&stack, 4).await;
    stack.all_rows(4).await;
    audit(&stack, "clean", Some(12)).await;
    drop(stack.recorder.take());
    send(&stack, 3).await;
    let report = audit(&stack, "pending", Some(21)).await;
    assert_eq!((sum(&report, "stored"), sum(&report, "missing")), (Some(12), Some(0)), "{report}");

    stack.broker.stop().await;
    let report = audit(&stack, "unknown", None).await;
    assert_eq!(sum(&report, "stored"), Some(12), "{report}");

    stack.broker.restart().await;
    stack.replace_recorder().await;
    stack.all_rows(7).await;
    let report = audit(&stack, "clean", Some(21)).await;
    assert_eq!(sum(&report, "stored"), Some(21), "{report}");
}
