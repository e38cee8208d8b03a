//! The audit tells what is stored, on its way, missing and unknown, and never calls clean what it cannot know.

use std::process::Command;

use serde_json::{Value, json};
use tests::stack::{ARRIVAL, Plan, Stack};
use tests::{binaries, eventually, load};

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

/// `weir audit`: its exit code, and what it prints.
async fn weir_audit(stack: &Stack, arguments: &'static [&'static str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let address = stack.analytics.url.strip_prefix("http://").unwrap();
    let text = stack
        .settings
        .text()
        .replace("[analytics]\nlisten = \"127.0.0.1:0\"", &format!("[analytics]\nlisten = \"{address}\""));
    std::fs::write(folder.path().join("weir.toml"), text).unwrap();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(binaries::path("weir"));
        command.args(["audit", "--from", "-1h"]).args(arguments).current_dir(folder.path()).output().unwrap()
    });
    let output = output.await.unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), told)
}

/// What one table says of the one row that a condition names.
async fn one(stack: &Stack, columns: &str, from: &str) -> Value {
    let mut rows: Vec<Value> = stack.database.rows(&format!("SELECT {columns} FROM {{db}}.{from}")).await;
    assert_eq!(rows.len(), 1, "{from}");
    rows.remove(0)
}

/// A pipeline that has recorded eight requests and says that everything adds up.
async fn settled() -> Stack {
    // Nothing is put right during a test.
    let plan = Plan { recorder: "seal_every = \"1h\"".to_owned(), ..Plan::default() };
    let stack = Stack::planned(plan, load::answer).await;
    send(&stack, 8).await;
    stack.all_rows(8).await;
    audit(&stack, "clean", Some(24)).await;
    stack
}

/// The minutes that do not add up, with their counts: emitted, stored, missing, duplicate.
fn uneven(report: &Value) -> Vec<(Value, Value, [u64; 4])> {
    let minutes = report["minutes"].as_array().unwrap().iter();
    let counts =
        |minute: &Value| ["emitted", "stored", "missing", "duplicate"].map(|name| minute[name].as_u64().unwrap());
    minutes.map(|minute| (minute["minute"].clone(), minute["epoch"].clone(), counts(minute))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_adds_up_is_told_minute_by_minute_and_ends_with_0() {
    let stack = settled().await;
    let (code, told) = weir_audit(&stack, &[]).await;
    assert_eq!((code, told.contains("clean: everything emitted is stored, once")), (0, true), "{told}");
    let report = stack.reader().get_json("/v1/audit?from=-1h").await;
    assert_eq!((&report["minutes"], &report["rollups"]), (&json!([]), &json!([])), "{report}");

    let report = stack.reader().get_json("/v1/audit?from=-1h&interval=minute").await;
    let minutes = report["minutes"].as_array().unwrap();
    let total = |name: &str| minutes.iter().map(|minute| minute[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(["emitted", "stored", "pending", "missing", "duplicate"].map(total), [24, 24, 0, 0, 0], "{report}");
    let minute = minutes[0]["minute"].as_str().unwrap();
    assert!(minute.ends_with(":00.000000Z"), "{minute}");
    let (_, told) = weir_audit(&stack, &["--minutes"]).await;
    assert!(told.contains(&minute[..16]), "{minute} in {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_removed_or_doubled_is_named_with_its_ledger_and_minute_and_ends_with_1() {
    let stack = settled().await;
    // The fourth event was let in, tried or ended between others, all in one or two minutes.
    let removed = one(&stack, "toString(epoch) AS epoch, seq", "opened ORDER BY received_at LIMIT 1 OFFSET 3").await;
    let (epoch, seq) = (removed["epoch"].as_str().unwrap(), removed["seq"].as_u64().unwrap());
    let remove = format!("ALTER TABLE {{db}}.opened DELETE WHERE seq = {seq} SETTINGS mutations_sync = 2");
    stack.database.rows::<Value>(&remove).await;
    let report = audit(&stack, "unclean", Some(24)).await;
    let found = uneven(&report);
    assert_eq!(found.len(), 1, "{report}");
    let (minute, of, [emitted, stored, missing, duplicate]) = &found[0];
    assert_eq!((of, emitted - stored, *missing, *duplicate), (&json!(epoch), 1, 1, 0), "{report}");
    let (code, told) = weir_audit(&stack, &[]).await;
    assert_eq!(code, 1, "{told}");
    let named = |minute: &Value, told: &str| told.contains(epoch) && told.contains(&minute.as_str().unwrap()[..16]);
    assert!(named(minute, &told), "{told}");

    let twice = "INSERT INTO {db}.candidates SETTINGS insert_deduplicate = 0 \
                 SELECT * FROM {db}.candidates ORDER BY received_at LIMIT 1";
    stack.database.rows::<Value>(twice).await;
    let report = audit(&stack, "unclean", Some(24)).await;
    let doubled: u64 = uneven(&report).iter().map(|(_, _, counts)| counts[3]).sum();
    assert_eq!(doubled, 1, "{report}");
    let (code, told) = weir_audit(&stack, &["--json"]).await;
    let (report, _) = told.split_once('\n').unwrap();
    let report: Value = serde_json::from_str(report).unwrap();
    let duplicate = uneven(&report).into_iter().find(|(_, _, counts)| counts[3] == 1).unwrap();
    assert_eq!((code, duplicate.1), (1, json!(epoch)), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollup_that_was_changed_is_named_with_its_minute_and_ends_with_1() {
    let stack = settled().await;
    for rollup in ["usage_1m", "usage_1h"] {
        let change = format!(
            "INSERT INTO {{db}}.{rollup} SETTINGS insert_deduplicate = 0 SELECT * FROM {{db}}.{rollup} ORDER BY bucket LIMIT 1"
        );
        stack.database.rows::<Value>(&change).await;
    }
    let bucket = one(&stack, "min(bucket) AS bucket", "usage_1m").await;
    let report = audit(&stack, "unclean", Some(24)).await;
    let rollups = report["rollups"].as_array().unwrap();
    let of = |rollup: &str| rollups.iter().find(|row| row["rollup"] == rollup).unwrap_or_else(|| panic!("{report}"));
    let minute = of("usage_1m");
    assert!(minute["found_count"].as_i64() > minute["expected_count"].as_i64(), "{report}");
    assert_eq!(minute["bucket"].as_str().unwrap()[..16], bucket["bucket"].as_str().unwrap()[..16], "{report}");
    let (code, told) = weir_audit(&stack, &[]).await;
    let name = format!("rollup usage_1m, {}", minute["bucket"].as_str().unwrap());
    assert_eq!((code, told.contains(&name)), (1, true), "{told}");
    // What was not touched is right.
    let untouched = ["usage_1d", "candidates_1m", "candidates_1h", "candidates_1d"];
    assert!(rollups.iter().all(|row| !untouched.contains(&row["rollup"].as_str().unwrap())), "{report}");
}
