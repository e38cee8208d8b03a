//! Requests are told as they end, to everybody who listens, and no slow listener costs anybody anything.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use schemas::events::{Body, Place, Prepared, Receipt};
use schemas::pack::PackBuilder;
use schemas::time::Timestamp;
use serde_json::{Value, json};
use tests::caller::{self, Caller};
use tests::configuration::KEY_B;
use tests::provider::Reply;
use tests::stack::{ARRIVAL, Plan, Stack};
use tests::{answers, eventually, load};
use uuid::Uuid;

/// Generous: what is waited for comes within milliseconds on a quiet machine.
const SOON: Duration = Duration::from_secs(30);

/// Somebody who listens.
struct Tail {
    response: reqwest::Response,
    text: String,
}

impl Tail {
    /// Opens it, whatever the answer.
    async fn open(reader: &Caller, query: &str) -> Self {
        let request = reader.request(Method::GET, &format!("/v1/live{query}"));
        Self { response: request.send().await.unwrap(), text: String::new() }
    }

    /// Opens it and waits until nothing can be missed any more.
    async fn listening(reader: &Caller, query: &str) -> Self {
        let mut tail = Self::open(reader, query).await;
        assert_eq!(tail.response.status(), 200);
        assert_eq!(tail.response.headers()["content-type"], "text/event-stream");
        assert_eq!(tail.response.headers()["cache-control"], "no-store");
        assert_eq!(tail.next().await, ("listening".to_owned(), json!({})));
        tail
    }

    /// The next piece of the stream, up to its blank line; `None` at the end.
    async fn piece(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let piece = self.text[..end].to_owned();
                self.text.drain(..end + 2);
                return Some(piece);
            }
            let chunk = tokio::time::timeout(SOON, self.response.chunk()).await.expect("something within 30 s");
            self.text += std::str::from_utf8(&chunk.expect("an unbroken stream")?).expect("UTF-8");
        }
    }

    /// The next event.
    async fn next(&mut self) -> (String, Value) {
        loop {
            let piece = self.piece().await.expect("the stream goes on");
            let field = |name: &str| piece.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let (Some(event), Some(data)) = (field("event: "), field("data: ")) else {
                assert!(piece.starts_with(':'), "{piece:?} is neither an event nor a comment");
                continue;
            };
            return (event, serde_json::from_str(&data).expect("data is JSON"));
        }
    }

    /// The next event, which tells of a request.
    async fn request(&mut self) -> Value {
        let (event, data) = self.next().await;
        assert_eq!(event, "request", "{data}");
        data
    }
}

/// Refuses what asks for it, and answers everything else.
async fn stack() -> Stack {
    Stack::start(|received| match received.json()["messages"][0]["content"].as_str() {
        Some("refuse me") => {
            let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
            Reply::whole(529, "application/json", error.to_string())
        }
        _ => load::answer(received),
    })
    .await
}

async fn refused(stack: &Stack) -> Uuid {
    let mut body = answers::anthropic_request("sonnet", false);
    body["messages"][0]["content"] = json!("refuse me");
    let answer = stack.caller().with_key(KEY_B).send("/v1/messages", &body).await;
    assert_eq!(answer.status, 529, "{:?}", answer.body);
    answer.request_id()
}

/// Everybody who reads the stream of events in NATS.
async fn consumers(stack: &Stack) -> usize {
    let client = async_nats::connect(stack.broker.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream(schemas::subjects::stream(0)).await.unwrap();
    stream.cached_info().state.consumer_count
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_told_as_they_end_and_as_their_rows_will_say() {
    let stack = stack().await;
    let (warm_up, _) = load::send_one(&stack.caller(), 0).await;
    stack.row(warm_up).await;
    let before = consumers(&stack).await;
    let reader = stack.reader();
    let mut all = Tail::listening(&reader, "").await;
    let mut failed = Tail::listening(&reader, "?client=team-b&client=nobody&outcome=failed&tag:project=").await;
    let mut nothing = Tail::listening(&reader, "?client=nobody").await;
    assert_eq!(consumers(&stack).await, before, "listening leaves no trace in JetStream");

    let mut told: BTreeMap<String, Value> = BTreeMap::new();
    let mut sent = Vec::new();
    for number in 1..5 {
        sent.push(load::send_one(&stack.caller(), number).await.0);
    }
    sent.push(refused(&stack).await);
    for _ in &sent {
        let event = all.request().await;
        told.insert(event["request_id"].as_str().unwrap().to_owned(), event);
    }
    assert_eq!(told.len(), sent.len(), "each is told once");
    assert_eq!(failed.request().await["request_id"], json!(sent[4].to_string()));
    for id in &sent {
        stack.row(*id).await;
        let mut row = reader.get_json(&format!("/v1/requests/{id}")).await["request"].take();
        let columns = row.as_object_mut().unwrap();
        columns.remove("recorded_at").expect("the row knows when it was written");
        assert_eq!(told[&id.to_string()], row);
    }
    assert!(told.values().any(|event| event["cost_usd"].is_string()), "costs are told: {told:?}");

    // The gateway and the recorder do not notice; the service ends the streams in order, and at once.
    let Stack { analytics, .. } = stack;
    tokio::time::timeout(Duration::from_secs(8), analytics.service.stop()).await.expect("nobody is waited for");
    assert_eq!(nothing.piece().await, None, "nothing was told, and the stream has its proper end");
    assert_eq!(all.piece().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_nats_is_told_and_outlived() {
    let mut stack = stack().await;
    let reader = stack.reader();
    let mut early = Tail::listening(&reader, "").await;
    stack.broker.stop().await;
    assert_eq!(early.next().await, ("interrupted".to_owned(), json!({})));
    let mut late = Tail::open(&reader, "").await;
    assert_eq!(late.next().await, ("interrupted".to_owned(), json!({})));
    // Silence is filled, so that nobody on the way takes the stream for dead.
    assert_eq!(late.piece().await.as_deref(), Some(": keep-alive"));
    // Everything else is answered all the while.
    assert_eq!(reader.get_json("/v1/usage?from=-1h").await["rows"], json!([]));
    let (served, _) = load::send_one(&stack.caller(), 1).await;

    stack.broker.restart().await;
    for tail in [&mut early, &mut late] {
        let (event, data) = tail.next().await;
        assert_eq!(event, "resumed", "{data}");
        assert!(data["away_ms"].as_u64().is_some_and(|away| away > 0), "{data}");
    }
    stack.row(served).await;
    let (after, _) = load::send_one(&stack.caller(), 2).await;
    for tail in [&mut early, &mut late] {
        // The one from the time between may be told or not, as the stream has said.
        let mut event = tail.request().await;
        if event["request_id"] == json!(served.to_string()) {
            event = tail.request().await;
        }
        assert_eq!(event["request_id"], json!(after.to_string()));
    }

    // Killed, and back without anything that it knew: what is sent then is told, and may be preceded by what gateways
    // send again because nobody has told them that it is stored.
    stack.row(after).await;
    stack.broker.kill();
    stack.broker.wipe();
    stack.broker.restart().await;
    for tail in [&mut early, &mut late] {
        let mut events = vec![tail.next().await.0];
        while events.last().is_some_and(|event| event != "resumed") {
            events.push(tail.next().await.0);
        }
        assert_eq!(events[0], "interrupted", "{events:?}");
    }
    let (last, _) = load::send_one(&stack.caller(), 3).await;
    for tail in [&mut early, &mut late] {
        while tail.request().await["request_id"] != json!(last.to_string()) {}
    }
    stack.row(last).await;
}

/// Publishes that many failures of `team-a`, and as many completed requests of nobody, as a gateway would.
async fn flood(stack: &Stack, count: u64) {
    let client = async_nats::connect(stack.broker.url()).await.unwrap();
    // What is no event is nobody's, and stops nothing.
    for garbage in [&b""[..], b"\n\n", b"{}\n[]\nnull\n", b"{\"v\":1,\"kind\":\"failure\"}", &[0xff; 100]] {
        client.publish("weir.v1.failure.0", garbage.into()).await.unwrap();
    }
    let template = json!({
        "outcome": "failed", "client": "team-a", "format": "anthropic", "status": 502, "attempts": 1,
        "received_at": Timestamp::now(), "duration_ms": 1.0, "usage_source": "none", "normaliser": 1,
        "error": { "class": "upstream_connect", "message": "no ".repeat(160) },
    });
    let failed: Receipt = serde_json::from_value(template.clone()).unwrap();
    let completed =
        Receipt { outcome: schemas::outcome::Outcome::Completed, client: "nobody".into(), ..failed.clone() };
    let place = |seq| Place { epoch: Uuid::nil(), partition: 0, seq, gateway: "flood" };
    for receipt in [failed, completed] {
        let mut pack = PackBuilder::default();
        for seq in 1..=count {
            let body = Body::Terminal(Box::new(receipt.clone()));
            let event = Prepared::new(Uuid::now_v7(), Timestamp::now(), &body).unwrap();
            let mut line = Vec::new();
            event.seal_into(place(seq), &mut line).unwrap();
            let subject = schemas::subjects::subject(event.kind, 0);
            if !pack.push(seq, &line) {
                client.publish(subject.clone(), pack.take().0.into()).await.unwrap();
                pack.push(seq, &line);
            }
            if seq == count {
                client.publish(subject, pack.take().0.into()).await.unwrap();
            }
        }
    }
    client.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_too_slowly_is_told_how_much_was_dropped() {
    const EVENTS: u64 = 20_000;
    let mut stack = Stack::start(load::answer).await;
    // What is published below has no ledger behind it.
    stack.gateway.take().unwrap().service.stop().await;
    stack.recorder.take().unwrap().stop().await;
    let reader = stack.reader();
    let mut slow = Tail::listening(&reader, "?client=team-a").await;
    let mut picky = Tail::listening(&reader, "?client=team-c").await;
    flood(&stack, EVENTS).await;
    // The service has read it all when it can tell what comes after it, to one who has been told nothing so far.
    let client = async_nats::connect(stack.broker.url()).await.unwrap();
    let last: Receipt = serde_json::from_value(json!({
        "outcome": "failed", "client": "team-c", "format": "anthropic", "status": 502, "attempts": 1,
        "received_at": Timestamp::now(), "duration_ms": 1.0, "usage_source": "none", "normaliser": 1,
    }))
    .unwrap();
    let event = Prepared::new(Uuid::now_v7(), Timestamp::now(), &Body::Terminal(Box::new(last))).unwrap();
    let mut line = Vec::new();
    event.seal_into(Place { epoch: Uuid::nil(), partition: 0, seq: EVENTS + 1, gateway: "flood" }, &mut line).unwrap();
    client.publish("weir.v1.failure.0", line.into()).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(picky.request().await["client"], "team-c");

    let (mut read, mut dropped) = (0, 0);
    while read + dropped < EVENTS {
        match slow.next().await {
            (event, data) if event == "request" => {
                assert_eq!(data["client"], "team-a", "{data}");
                read += 1;
            }
            (event, data) if event == "dropped" => dropped += data["events"].as_u64().expect("a count"),
            (event, data) => panic!("{event}: {data}"),
        }
    }
    println!("a slow reader read {read} events and was told of {dropped} more");
    assert_eq!(read + dropped, EVENTS, "every event is told or counted");
    assert!(dropped > 0, "the queue is bounded");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_listen_and_wrong_filters_are_named() {
    let plan = Plan { analytics: "token = { plain = \"read-only\" }".to_owned(), ..Plan::default() };
    let stack = Stack::planned(plan, load::answer).await;
    let anonymous = caller::read(stack.reader().anonymous(Method::GET, "/v1/live")).await;
    assert_eq!(anonymous.status, 401);
    let reader = stack.reader().with_key("read-only");
    for (query, named) in [("outcome=done", "outcome"), ("from=-1h", "from"), ("format=csv", "format")] {
        let answer = caller::read(reader.request(Method::GET, &format!("/v1/live?{query}"))).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"]["parameter"].clone()), (400, json!(named)));
    }
    let mut tails = Vec::new();
    for _ in 0..64 {
        tails.push(Tail::listening(&reader, "").await);
    }
    let refused = caller::read(reader.request(Method::GET, "/v1/live")).await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"]["code"].clone()), (503, json!("too_many_listeners")));
    tails.clear();
    eventually("a place is free again", ARRIVAL, || async {
        let tail = Tail::open(&reader, "").await;
        if tail.response.status() == 200 { Ok(()) } else { Err(tail.response.status()) }
    })
    .await;
}
