//! What is lost with a process or a store comes again: open streams of a killed gateway, and a backlog that NATS forgot.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tests::answers::{self, Tokens, anthropic_events};
use tests::caller::{Caller, Reading};
use tests::configuration::KEY_A;
use tests::eventually;
use tests::load::{self, Load};
use tests::provider::{Gate, Received, Reply, Step};
use tests::services::GatewayProcess;
use tests::stack::{ARRIVAL, Plan, Stack};
use uuid::Uuid;

const STREAMS: u64 = 200;
const BACKLOG_EVENTS: u64 = 10_000;

fn tokens(number: u64) -> Tokens {
    Tokens { input: 1_000 + number, cache_read: number % 7, cache_write_5m: 0, cache_write_1h: 0, output: 8 }
}

/// Streams whose prompts have the size that the client names, and that wait after their first word.
fn gated(gate: &Gate) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    let gate = gate.clone();
    move |received| {
        let number = received.json()["messages"][0]["content"].as_str().unwrap().parse().unwrap();
        let events = anthropic_events("claude-sonnet-4-5-20250929", tokens(number), &["first", "second"]);
        let mut steps: Vec<Step> = events.into_iter().map(Step::Send).collect();
        steps.insert(4, Step::Await(gate.clone()));
        Reply::steps(200, "text/event-stream", steps)
    }
}

async fn open(caller: &Caller, number: u64) -> Reading {
    let mut body = answers::anthropic_request("sonnet", true);
    body["messages"][0]["content"] = json!(number.to_string());
    let mut reading = caller.open("/v1/messages", &body).await;
    reading.until("first").await;
    reading
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_200_open_streams_has_its_one_end_after_kill_9_with_the_prompt_it_had_seen() {
    let gate = Gate::closed();
    let stack = Stack::without_gateway(Plan::default(), gated(&gate)).await;
    let mut gateway = GatewayProcess::start(&stack.settings).await;
    let caller = Caller::new(&gateway.url(), KEY_A);
    let streams = futures_util::future::join_all((0..STREAMS).map(|number| open(&caller, number))).await;
    let inputs: BTreeMap<Uuid, u64> = streams
        .iter()
        .zip(0..STREAMS)
        .map(|(stream, number)| (stream.request_id(), tokens(number).input + tokens(number).cache_read))
        .collect();
    assert_eq!(inputs.len() as u64, STREAMS);
    gateway.kill();
    gateway.restart().await;
    let rows = stack.all_rows(inputs.len()).await;
    for (id, input) in &inputs {
        let row = &rows[id];
        let recorded = (row.outcome.as_str(), row.error_class.as_str(), row.input_tokens);
        assert_eq!(recorded, ("interrupted", "gateway_died", Some(*input)), "{row:?}");
    }
    // A second death finds nothing open any more; what a gateway settles goes out before what comes later.
    gateway.kill();
    gateway.restart().await;
    gate.open();
    let mut later = open(&Caller::new(&gateway.url(), KEY_A), STREAMS).await;
    assert_eq!(later.rest().await.1, None);
    let rows = stack.all_rows(inputs.len() + 1).await;
    assert_eq!(rows[&later.request_id()].outcome, "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_10_000_events_that_nats_forgets_arrives_all_the_same() {
    let mut stack = Stack::start(load::answer).await;
    drop(stack.recorder.take());
    // Opened, candidate and terminal event of each.
    let load = Load::start(&stack.caller(), 24);
    eventually("the backlog is long enough", Duration::from_secs(120), || async {
        if load.begun() * 3 >= BACKLOG_EVENTS + 100 { Ok(()) } else { Err(format!("{} requests", load.begun())) }
    })
    .await;
    let served = load.finish().await;
    let events = served.len() as u64 * 3;
    assert!(events >= BACKLOG_EVENTS, "{events} events");
    let metrics = format!("{}/metrics", stack.gateway.as_ref().unwrap().ops_url);
    eventually("NATS has acknowledged all of it", ARRIVAL, || async {
        let text = reqwest::get(&metrics).await.map_err(|error| error.to_string())?.text().await;
        let text = text.map_err(|error| error.to_string())?;
        let published = text.lines().find_map(|line| line.strip_prefix("weir_events_published_total "));
        if published == Some(&events.to_string()) { Ok(()) } else { Err(format!("{published:?} of {events}")) }
    })
    .await;

    stack.broker.kill();
    stack.broker.wipe();
    stack.broker.restart().await;
    stack.replace_recorder().await;
    let rows = stack.all_rows(served.len()).await;
    for (id, served) in &served {
        assert_eq!(rows[id].output_tokens, Some(served.tokens.output), "{:?}", rows[id]);
    }
    for table in ["opened", "candidates"] {
        let sql = format!("SELECT count() AS rows, uniqExact(request_id) AS requests FROM {{db}}.{table}");
        let expected = json!({ "rows": served.len(), "requests": served.len() });
        eventually(&format!("{table} has every request once"), ARRIVAL, || async {
            let counts: Vec<serde_json::Value> = stack.database.try_rows(&sql).await?;
            if counts[0] == expected { Ok(()) } else { Err(format!("{} instead of {expected}", counts[0])) }
        })
        .await;
    }
}
