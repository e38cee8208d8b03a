//! ClickHouse's parts that cannot be read are taken out of the way, and what was in them comes again from where it still is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream;
use serde::Deserialize;
use serde_json::{Value, json};
use tests::stack::{ARRIVAL, Plan, Stack};
use tests::{eventually, load, services};

const EVENTS_OF_A_REQUEST: u64 = 3;

/// A pipeline whose engine can be stopped, and in which nobody puts rollups right meanwhile.
async fn stack() -> Stack {
    let plan = Plan { own_engine: true, recorder: "seal_every = \"1h\"".to_owned(), ..Plan::default() };
    Stack::planned(plan, load::answer).await
}

/// So many requests, in inserts of their own.
async fn record(stack: &Stack, from: u64, to: u64) {
    for number in from..to {
        load::send_one(&stack.caller(), number).await;
        stack.all_rows(number as usize + 1).await;
    }
}

#[derive(Debug, Deserialize)]
struct Part {
    path: PathBuf,
    rows: u64,
}

async fn parts(stack: &Stack, table: &str) -> Vec<Part> {
    let sql = format!(
        "SELECT path, rows FROM system.parts WHERE database = '{{db}}' AND table = '{table}' AND active \
         ORDER BY min_block_number"
    );
    stack.database.rows(&sql).await
}

/// Leaves a part's marks empty, as a full disk has done.
fn empty_marks(part: &Path) {
    let files = std::fs::read_dir(part).unwrap().map(|entry| entry.unwrap().path());
    let marks: Vec<PathBuf> = files
        .filter(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("data.") && name.contains("mrk")
        })
        .collect();
    assert!(!marks.is_empty(), "{} has no marks", part.display());
    for file in marks {
        std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(0).unwrap();
    }
}

/// Rows of a table and the events among them, by plain `count()`.
async fn counts(stack: &Stack, table: &str) -> Result<(u64, u64), String> {
    #[derive(Deserialize)]
    struct Counts {
        rows: u64,
        events: u64,
    }
    let sql = format!("SELECT count() AS rows, uniqExact(epoch, partition, seq) AS events FROM {{db}}.{table}");
    let counts: Vec<Counts> = stack.database.try_rows(&sql).await?;
    counts.first().map(|counts| (counts.rows, counts.events)).ok_or_else(|| "no counts".to_owned())
}

async fn complete(stack: &Stack, requests: u64) {
    for table in ["requests", "candidates", "opened"] {
        eventually(&format!("{table} has every event once"), ARRIVAL, || async {
            let found = counts(stack, table).await?;
            if found == (requests, requests) { Ok(()) } else { Err(format!("{found:?} of {requests}")) }
        })
        .await;
    }
}

async fn ledgers(stack: &Stack) -> Value {
    stack.reader().get_json("/v1/audit?from=-1h").await["ledgers"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_part_that_cannot_be_read_is_replaced_by_what_it_was_merged_of() {
    let mut stack = stack().await;
    record(&stack, 0, 4).await;
    stack.database.rows::<Value>("OPTIMIZE TABLE {db}.requests FINAL").await;
    let merged = parts(&stack, "requests").await;
    assert_eq!((merged.len(), merged[0].rows), (1, 4), "{merged:?}");
    empty_marks(&merged[0].path);
    stack.database.rows::<Value>("SYSTEM DROP MARK CACHE").await;
    let refused = stack.database.try_rows::<Value>("SELECT * FROM {db}.requests").await.unwrap_err();
    assert!(refused.contains("marks file"), "{refused}");

    // A recorder that starts has to look into it.
    stack.replace_recorder().await;
    complete(&stack, 4).await;
    // The views are fed as before, and nothing was counted twice.
    record(&stack, 4, 6).await;
    rollups_hold(&stack, 6).await;
}

async fn rollups_hold(stack: &Stack, requests: u64) {
    for rollup in ["usage_1m", "usage_1h", "usage_1d"] {
        eventually(&format!("{rollup} has all of it"), Duration::from_secs(120), || async {
            let sql = format!("SELECT sum(requests) AS requests FROM {{db}}.{rollup}");
            let sums: Vec<Value> = stack.database.try_rows(&sql).await?;
            if sums == [json!({ "requests": requests })] { Ok(()) } else { Err(format!("{sums:?}")) }
        })
        .await;
    }
}

/// The same with every insert staying a part of its own.
async fn record_unmerged(stack: &Stack, to: u64) {
    record(stack, 0, 1).await;
    for table in ["requests", "candidates", "opened"] {
        stack.database.rows::<Value>(&format!("SYSTEM STOP MERGES {{db}}.{table}")).await;
    }
    record(stack, 1, to).await;
}

/// Damages a part of each of some tables while the engine is down. Returns how many rows ClickHouse cannot read any more.
async fn lose(stack: &mut Stack, tables: &[&str]) -> u64 {
    let mut lost = 0;
    let mut paths = Vec::new();
    for table in tables {
        // Nothing was merged: there is nothing to fall back on.
        let mut parts = parts(stack, table).await;
        assert!(parts.len() > 1, "{parts:?}");
        let part = parts.swap_remove(0);
        lost += part.rows;
        paths.push(part.path);
    }
    stack.engine.as_mut().unwrap().stop().await;
    paths.iter().for_each(|path| empty_marks(path));
    stack.engine.as_mut().unwrap().restart().await;
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_part_held_is_recorded_anew_from_the_stream_each_event_once() {
    let mut stack = stack().await;
    record_unmerged(&stack, 4).await;
    drop(stack.recorder.take());
    let lost = lose(&mut stack, &["requests", "opened", "candidates"]).await;
    let (rows, _) = counts(&stack, "requests").await.unwrap();
    assert!(lost >= 3 && rows < 4, "ClickHouse has set the part aside: {rows} rows");

    let (recorder, ops) = services::recorder_with_ops(&stack.settings).await;
    stack.recorder = Some(recorder);
    complete(&stack, 4).await;
    let ledger = ledgers(&stack).await;
    assert_eq!(["missing", "duplicate", "stored"].map(|name| &ledger[name]), [0, 0, 12].map(Value::from).each_ref());
    record(&stack, 4, 5).await;
    complete(&stack, 5).await;
    // What came again was counted again, until the rollups were made anew.
    rollups_hold(&stack, 5).await;
    // That comes after the last look: none has sent again what was on its way.
    assert_eq!(metric(&ops, "weir_recorder_events_recorded_anew_total").await, Ok(lost));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_no_stream_any_more_is_counted_and_missing_in_the_audit_and_the_rest_goes_on() {
    let mut stack = stack().await;
    record_unmerged(&stack, 4).await;
    drop(stack.recorder.take());
    let client = async_nats::connect(stack.broker.url()).await.unwrap();
    let stream = jetstream::new(client).get_stream(schemas::subjects::stream(0)).await.unwrap();
    stream.purge().await.unwrap();
    let lost = lose(&mut stack, &["requests"]).await;
    let (recorder, ops) = services::recorder_with_ops(&stack.settings).await;
    stack.recorder = Some(recorder);
    eventually("the loss is told", Duration::from_secs(120), || async {
        let gone = metric(&ops, "weir_recorder_events_gone").await?;
        if gone == lost { Ok(()) } else { Err(format!("{gone} of {lost}")) }
    })
    .await;
    let ledger = ledgers(&stack).await;
    assert_eq!((&ledger["missing"], &ledger["state"]), (&json!(lost), &json!("unclean")), "{ledger}");
    // What comes later is recorded as ever.
    load::send_one(&stack.caller(), 4).await;
    eventually("one more request", ARRIVAL, || async {
        let stored = ledgers(&stack).await["stored"].as_u64();
        let all = 5 * EVENTS_OF_A_REQUEST - lost;
        if stored == Some(all) { Ok(()) } else { Err(format!("{stored:?} of {all}")) }
    })
    .await;
}

/// ClickHouse died between a row and its views, and NATS lost what it knew, so that nobody repeats the insert.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_no_view_was_told_of_before_nats_lost_its_data_are_in_the_rollups_soon() {
    let mut stack = stack().await;
    record(&stack, 0, 5).await;
    if let Some(recorder) = stack.recorder.take() {
        recorder.stop().await;
    }
    for rollup in ["usage_1m", "usage_1h", "usage_1d"] {
        stack.database.rows::<Value>(&format!("TRUNCATE TABLE {{db}}.{rollup}")).await;
    }
    // An incarnation is named by its second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    stack.broker.kill();
    stack.broker.wipe();
    stack.broker.restart().await;
    stack.recorder = Some(services::recorder(&stack.settings).await);
    for number in 5..7 {
        load::send_one(&stack.caller(), number).await;
    }
    complete(&stack, 7).await;
    rollups_hold(&stack, 7).await;
}

async fn metric(ops: &str, name: &str) -> Result<u64, String> {
    let text = reqwest::get(format!("{ops}/metrics")).await.map_err(|error| error.to_string())?.text().await;
    let text = text.map_err(|error| error.to_string())?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.ok_or_else(|| format!("{name} is not told"))
}

/// ClickHouse that dies between an insert's token and its part knows the token and has no rows.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_repeated_insert_that_are_not_there_are_recorded_anew() {
    let mut stack = stack().await;
    record(&stack, 0, 1).await;
    stack.engine.as_mut().unwrap().stop().await;
    load::send_one(&stack.caller(), 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stack.engine.as_mut().unwrap().restart().await;
    // The insert had no answer, was repeated, and is believed to be there.
    complete(&stack, 2).await;
    let lose = "ALTER TABLE {db}.candidates DELETE WHERE 1 SETTINGS mutations_sync = 2";
    stack.database.rows::<Value>(lose).await;
    assert_eq!(counts(&stack, "candidates").await.unwrap(), (0, 0));
    // Only the repeated one is doubted.
    eventually("its rows are there again", ARRIVAL, || async {
        let found = counts(&stack, "candidates").await?;
        if found == (1, 1) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}
