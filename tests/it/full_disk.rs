//! A full disk of ClickHouse stops what writes there, and is over when there is room again.

use std::time::{Duration, Instant};

use schemas::time::Timestamp;
use serde_json::{Value, json};
use tests::stack::{ARRIVAL, Plan, Stack};
use tests::warehouse::Engine;
use tests::{eventually, load};

/// ClickHouse 26.7 takes a definition that it cannot write for written, and refuses to start again.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_created_on_a_full_disk_and_clickhouse_starts_again() {
    let Some(engine) = Engine::start_on_small_disk(512).await else { return };
    let plan = Plan { recorder: "seal_every = \"100ms\"".to_owned(), ..Plan::default() };
    let mut stack = Stack::on(engine, plan, load::answer).await;
    stack.start_gateway().await;
    load::send_one(&stack.caller(), 0).await;
    stack.all_rows(1).await;
    // A row of a day that is over: its rollups are to be checked, in tables that are made for it.
    let yesterday = Timestamp::from_micros(Timestamp::now().as_micros() - 86_400_000_000).to_string();
    let (day, _) = yesterday.split_at("2026-11-28".len());
    let late = format!(
        "INSERT INTO {{db}}.requests SELECT * REPLACE (toDateTime64('{day} 12:00:00', 6, 'UTC') AS received_at) \
         FROM {{db}}.requests LIMIT 1"
    );
    let verdict = format!(
        "SELECT argMax(verdict, checked_at) AS verdict FROM {{db}}.seals WHERE day = toDate('{day}') AND family = 'usage'"
    );

    for _ in 0..3 {
        // What comes to a day that was found equal has it checked again.
        stack.database.rows::<Value>(&late).await;
        stack.engine.as_ref().unwrap().disk().fill();
        // The worst moment for ClickHouse to die is while a table is there that has no definition.
        let full = Instant::now();
        while full.elapsed() < Duration::from_secs(3) {
            let tables = "SELECT name FROM system.tables WHERE database = '{db}' AND name LIKE '%\\_seal\\_%'";
            if stack.database.try_rows::<Value>(tables).await.is_ok_and(|tables| !tables.is_empty()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let engine = stack.engine.as_mut().unwrap();
        engine.kill();
        engine.disk().empty();
        engine.restart().await;
    }
    load::send_one(&stack.caller(), 1).await;
    eventually("the day is found equal", ARRIVAL, || async {
        let found: Vec<Value> = stack.database.try_rows(&verdict).await?;
        if found == [json!({ "verdict": "equal" })] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    eventually("both requests have their rows", ARRIVAL, || async {
        let sql = "SELECT uniqExact(request_id) AS requests FROM {db}.requests";
        let found: Vec<Value> = stack.database.try_rows(sql).await?;
        if found == [json!({ "requests": 2 })] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}
