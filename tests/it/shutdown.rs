//! A gateway may be stopped or killed at any moment: every request still ends in exactly one row.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tests::answers::{self, Tokens, anthropic_events};
use tests::caller::{Caller, Reading, try_read};
use tests::configuration::KEY_A;
use tests::eventually;
use tests::load::{self, Load};
use tests::provider::{Gate, Received, Reply, Step};
use tests::services::GatewayProcess;
use tests::stack::{ARRIVAL, Plan, Stack};
use uuid::Uuid;

const TOKENS: Tokens = Tokens { input: 21, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 8 };
const REST: &str = "message_stop";

/// Streams that wait for the gate after their first word.
fn gated(gate: &Gate) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    let gate = gate.clone();
    move |received| {
        if received.json()["model"] != json!("claude-sonnet-4-5-20250929") || !received.json()["metadata"].is_object() {
            return load::answer(received);
        }
        let events = anthropic_events("claude-sonnet-4-5-20250929", TOKENS, &["first", "second"]);
        let mut steps: Vec<Step> = events.into_iter().map(Step::Send).collect();
        steps.insert(4, Step::Await(gate.clone()));
        Reply::steps(200, "text/event-stream", steps)
    }
}

/// Opens streams and reads their first word.
async fn open_streams(caller: &Caller, count: usize) -> Vec<Reading> {
    let mut body = answers::anthropic_request("sonnet", true);
    body["metadata"] = json!({ "user_id": "gated" });
    let opened = futures_util::future::join_all((0..count).map(|_| async {
        let mut reading = caller.open("/v1/messages", &body).await;
        reading.until("first").await;
        reading
    }));
    opened.await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_finishes_running_streams_takes_no_new_ones_and_ships_the_ledger() {
    let gate = Gate::closed();
    let mut stack = Stack::start(gated(&gate)).await;
    let caller = stack.caller();
    let mut streams = open_streams(&caller, 8).await;

    let gateway = stack.gateway.take().unwrap();
    gateway.service.ask_to_stop();
    refuses(&gateway.url).await;
    gate.open();
    for stream in &mut streams {
        let (rest, broken) = stream.rest().await;
        assert_eq!(broken, None, "a running stream was cut by a graceful stop");
        assert!(String::from_utf8(rest).unwrap().contains(REST));
    }
    gateway.service.stop().await;

    // The gateway is gone; what it knew is not.
    for stream in &streams {
        let row = stack.row(stream.request_id()).await;
        assert_eq!((row.outcome.as_str(), row.output_tokens), ("completed", Some(8)), "{row:?}");
    }
}

/// Waits until a new request is not let in: no connection, or an honest 503.
async fn refuses(url: &str) {
    eventually("new requests are refused", Duration::from_secs(10), || async {
        let newcomer = Caller::new(url, KEY_A);
        let body = answers::openai_request("small", false).to_string();
        match try_read(newcomer.post("/v1/chat/completions", body)).await {
            Err(error) if error.is_connect() || error.is_request() => Ok(()),
            Err(error) => Err(format!("{error:?}")),
            Ok(answer) if answer.status == 503 => Ok(()),
            Ok(answer) => Err(answer.status.to_string()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_shipped_before_a_stop_is_shipped_after_the_next_start() {
    let plan = Plan { gateway: "shutdown_timeout = \"1s\"".to_owned(), ..Plan::default() };
    let mut stack = Stack::planned(plan, load::answer).await;
    stack.broker.stop().await;
    let mut ids = BTreeSet::new();
    for number in 0..40 {
        ids.insert(load::send_one(&stack.caller(), number).await.0);
    }
    stack.gateway.take().unwrap().service.stop().await;
    stack.broker.restart().await;
    stack.start_gateway().await;
    let (newest, _) = load::send_one(&stack.caller(), 40).await;
    ids.insert(newest);
    let rows = stack.all_rows(ids.len()).await;
    assert!(rows.keys().eq(ids.iter()));
    assert!(rows.values().all(|row| row.outcome == "completed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sigterm_ends_the_process_after_its_streams() {
    let gate = Gate::closed();
    let stack = Stack::without_gateway(Plan::default(), gated(&gate)).await;
    let mut gateway = GatewayProcess::start(&stack.settings).await;
    let mut streams = open_streams(&Caller::new(&gateway.url(), KEY_A), 3).await;
    gateway.terminate();
    refuses(&gateway.url()).await;
    gate.open();
    for stream in &mut streams {
        let (rest, broken) = stream.rest().await;
        assert_eq!((broken, String::from_utf8(rest).unwrap().contains(REST)), (None, true));
    }
    let ids: Vec<Uuid> = streams.iter().map(Reading::request_id).collect();
    drop(streams);
    assert_eq!(gateway.ended().await.code(), Some(0));
    for id in ids {
        assert_eq!(stack.row(id).await.outcome, "completed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_every_opened_request_has_exactly_one_row() {
    let gate = Gate::closed();
    let stack = Stack::without_gateway(Plan::default(), gated(&gate)).await;
    let mut gateway = GatewayProcess::start(&stack.settings).await;
    let mut complete = BTreeSet::new();
    let mut cut = BTreeSet::new();
    for round in 0..3 {
        let caller = Caller::new(&gateway.url(), KEY_A);
        // Some that are certainly in the middle, and a crowd that is wherever it is.
        let streams = open_streams(&caller, 5).await;
        let crowd = futures_util::future::join_all((0..40).map(|number| {
            let caller = caller.clone();
            tokio::spawn(async move { load::try_send_one(&caller, round * 1_000 + number).await })
        }));
        let received = stack.provider.received().len();
        eventually("the crowd is on its way", Duration::from_secs(30), || async {
            let more = stack.provider.received().len() - received;
            if more >= 10 { Ok(()) } else { Err(format!("{more} requests upstream")) }
        })
        .await;
        gateway.kill();
        cut.extend(streams.iter().map(Reading::request_id));
        let answers = crowd.await.into_iter().filter_map(|answer| answer.unwrap());
        complete.extend(answers.filter(|(_, is_complete)| *is_complete).map(|(id, _)| id));
        gateway.restart().await;
    }
    for id in &cut {
        let row = stack.row(*id).await;
        let recorded = (row.outcome.as_str(), row.error_class.as_str());
        assert_eq!(recorded, ("interrupted", "gateway_died"), "{row:?}");
    }
    for id in &complete {
        assert_eq!(stack.row(*id).await.outcome, "completed", "the client had the whole answer of {id}");
    }
    settled(&stack).await;
}

#[derive(Deserialize, Debug)]
struct Balance {
    opened: u64,
    distinct_opened: u64,
    terminal: u64,
    distinct_terminal: u64,
    open: u64,
}

/// Every opened request has its one terminal row, and no terminal row lacks its opened one.
async fn settled(stack: &Stack) {
    let sql = "SELECT (SELECT count() FROM {db}.opened) AS opened, \
               (SELECT uniqExact(request_id) FROM {db}.opened) AS distinct_opened, \
               (SELECT count() FROM {db}.requests) AS terminal, \
               (SELECT uniqExact(request_id) FROM {db}.requests) AS distinct_terminal, \
               (SELECT count() FROM {db}.open_requests) AS open";
    eventually("every opened request is settled once", ARRIVAL, || async {
        let balance: Vec<Balance> = stack.database.try_rows(sql).await?;
        let Balance { opened, distinct_opened, terminal, distinct_terminal, open } = balance[0];
        let even = [distinct_opened, terminal, distinct_terminal].iter().all(|count| *count == opened) && open == 0;
        if even && opened > 0 { Ok(()) } else { Err(format!("{:?}", balance[0])) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_loses_nothing_that_nats_did_not_have() {
    let mut stack = Stack::without_gateway(Plan::default(), load::answer).await;
    let mut gateway = GatewayProcess::start(&stack.settings).await;
    stack.broker.kill();
    let load = Load::start(&Caller::new(&gateway.url(), KEY_A), 3);
    eventually("requests are served without NATS", Duration::from_secs(60), || async {
        if load.begun() >= 60 { Ok(()) } else { Err(load.begun().to_string()) }
    })
    .await;
    let served = load.finish().await;
    gateway.kill();
    stack.broker.restart().await;
    gateway.restart().await;
    let rows = stack.all_rows(served.len()).await;
    for (id, served) in &served {
        assert_eq!(rows[id].output_tokens, Some(served.tokens.output), "{:?}", rows[id]);
    }
}
