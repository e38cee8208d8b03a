//! Starting, stopping and being killed: what was acknowledged stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clickhouse::Row;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::engine::{Engine, eventually};

#[derive(Row, Serialize)]
struct Number {
    n: u64,
}

const NUMBERS: &str = "CREATE TABLE test.numbers (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 1000";

#[tokio::test]
async fn acknowledged_rows_survive_a_kill_and_unacknowledged_ones_can_be_repeated() {
    let mut engine = Engine::start().await;
    engine.execute(NUMBERS).await;
    let client = engine.client();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (client, acknowledged, stop) = (client.clone(), Arc::clone(&acknowledged), Arc::clone(&stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let batch = acknowledged.load(Ordering::Relaxed);
                if write(&client, batch).await.is_ok() {
                    acknowledged.store(batch + 1, Ordering::Relaxed);
                }
            }
        })
    };
    for round in 1..=3 {
        let before = acknowledged.load(Ordering::Relaxed);
        eventually("some batches are in", async || acknowledged.load(Ordering::Relaxed) >= before + 10).await;
        engine.kill();
        engine.restart().await;
        assert_eq!(engine.number("SELECT count() FROM system.detached_parts").await, 0, "round {round}");
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.expect("the writer");
    let batches = acknowledged.load(Ordering::Relaxed);
    // Whatever was unacknowledged was repeated under its token: everything is there, and nothing twice.
    assert_eq!(engine.number("SELECT count() FROM numbers").await, batches * BATCH);
    assert_eq!(engine.number("SELECT uniqExact(n) FROM numbers").await, batches * BATCH);
}

const BATCH: u64 = 50;

async fn write(client: &clickhouse::Client, batch: u64) -> Result<(), clickhouse::error::Error> {
    let client = client.clone().with_setting("insert_deduplication_token", format!("batch {batch}"));
    let mut insert = client.insert::<Number>("numbers").await?;
    for n in batch * BATCH..(batch + 1) * BATCH {
        insert.write(&Number { n }).await?;
    }
    insert.end().await
}

/// Starts an insert whose body stays open, and waits until the engine has seen it.
async fn open_insert(
    engine: &Engine,
) -> (mpsc::Sender<&'static str>, tokio::task::JoinHandle<reqwest::Result<reqwest::Response>>) {
    let (sender, mut pieces) = mpsc::channel::<&'static str>(1);
    let body = futures_util::stream::poll_fn(move |context| {
        pieces.poll_recv(context).map(|piece| piece.map(Ok::<_, std::io::Error>))
    });
    let url = format!("{}?query=INSERT+INTO+test.numbers+FORMAT+TSV", engine.url());
    let request = tokio::spawn(engine.http.post(url).body(reqwest::Body::wrap_stream(body)).send());
    sender.send("1\n").await.expect("sent");
    eventually("the insert is running", async || {
        engine.number("SELECT count() FROM system.processes WHERE query LIKE 'INSERT%'").await == 1
    })
    .await;
    (sender, request)
}

#[tokio::test]
async fn a_running_insert_is_finished_before_the_end() {
    let mut engine = Engine::start().await;
    engine.execute(NUMBERS).await;
    let (sender, request) = open_insert(&engine).await;
    engine.terminate();
    let address = engine.url().replace("http://", "");
    eventually("no new connection is taken", async || tokio::net::TcpStream::connect(&address).await.is_err()).await;
    sender.send("2\n").await.expect("sent");
    drop(sender);
    assert_eq!(request.await.expect("the request").expect("an answer").status(), 200);
    assert!(engine.ended().await.success());
    engine.restart().await;
    assert_eq!(engine.number("SELECT sum(n) FROM numbers").await, 3);
}

#[tokio::test]
async fn a_killed_insert_leaves_nothing() {
    let mut engine = Engine::start().await;
    engine.execute(NUMBERS).await;
    let (sender, request) = open_insert(&engine).await;
    engine.kill();
    assert!(request.await.expect("the request").is_err());
    drop(sender);
    engine.restart().await;
    assert_eq!(engine.number("SELECT count() FROM numbers").await, 0);
}

#[tokio::test]
async fn it_ends_with_the_process_that_started_it() {
    let mut engine = Engine::start().await;
    engine.orphan();
    assert!(engine.ended().await.success());
}

#[tokio::test]
async fn a_second_engine_on_the_same_data_is_refused_with_the_reason() {
    let engine = Engine::start().await;
    let said = engine.second();
    assert!(said.contains("Another server instance in same directory is already running"), "{said}");
    assert!(said.contains("did not start"), "{said}");
}
