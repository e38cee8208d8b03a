//! Rates, requests at once, users, tags and rights of clients, on real gateways.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, Method};
use schemas::outcome::Format;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::answers::{self, Tokens};
use tests::broker::Broker;
use tests::caller::{self, Answer, Caller};
use tests::configuration::{self, Settings};
use tests::eventually;
use tests::provider::{Gate, Provider, Received, Reply, Step};
use tests::services::Gateway;
use tests::stack::{Plan, Stack};

const TOKENS: Tokens = Tokens { input: 11, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 5 };
const CHAT: &str = "/v1/chat/completions";

fn format_of(received: &Received) -> Format {
    match received.uri.path() {
        path if path.ends_with("/messages") => Format::Anthropic,
        path if path.ends_with("/responses") => Format::OpenaiResponses,
        path if path.contains(":streamGenerateContent") => Format::Gemini,
        _ => Format::OpenaiChat,
    }
}

/// A stream in the dialect of whoever asks, with figures of the provider's own limits.
fn stream(received: &Received) -> Reply {
    let reply = Reply::events(answers::events(format_of(received), "m", TOKENS, &["Hel", "lo"]));
    reply.header("x-ratelimit-remaining-requests", "4711").header("anthropic-ratelimit-input-tokens-limit", "4711")
}

/// The usual catalogue with other clients.
fn with_clients(clients: &str) -> String {
    let usual = configuration::catalogue("{provider}");
    let models = usual.split("[[clients]]").next().expect("models stand before clients");
    format!("{models}{clients}")
}

fn client(name: &str, lines: &str) -> String {
    format!("[[clients]]\nname = \"{name}\"\nkey = {{ plain = \"key-of-{name}\" }}\n{lines}\n")
}

fn ask(format: Format) -> (String, Value) {
    answers::streaming_request(format, configuration::model(format), "Hello")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_refused_in_every_dialect_with_its_headers_and_one_row() {
    let limited = |format: &Format| client(format.as_str(), "requests_per_minute = 2\ntokens_per_minute = 100000");
    let clients: String = Format::ALL.iter().map(limited).collect();
    let stack = Stack::planned(Plan { catalogue: with_clients(&clients), ..Plan::default() }, stream).await;
    for format in Format::ALL {
        let caller = stack.caller().with_key(&format!("key-of-{format}"));
        let (path, body) = ask(*format);
        let [first, second] = [caller.send(&path, &body).await, caller.send(&path, &body).await];
        assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200), "{}", second.text());
        let refused = caller.send(&path, &body).await;
        assert_eq!(refused.status, 429, "{format}: {}", refused.text());

        let seconds: u64 = text(&refused.headers, "retry-after").expect("retry-after").parse().unwrap();
        assert!((1..=120).contains(&seconds), "{format}: {seconds}");
        let remaining = match format {
            Format::Anthropic => Some("anthropic-ratelimit-requests-remaining"),
            Format::OpenaiChat | Format::OpenaiResponses => Some("x-ratelimit-remaining-requests"),
            Format::Gemini => None,
        };
        for (answer, left) in [(&first, "1"), (&second, "0"), (&refused, "0")] {
            assert!(!format!("{:?}", answer.headers).contains("4711"), "{format}: what the provider says of us");
            if let Some(name) = remaining {
                assert_eq!(text(&answer.headers, name), Some(left), "{format}: {:?}", answer.headers);
            }
        }
        if *format == Format::Anthropic {
            let reset = text(&refused.headers, "anthropic-ratelimit-tokens-reset").expect("a reset");
            assert!(reset.parse::<schemas::time::Timestamp>().is_ok(), "{reset}");
        }
        let error = &refused.json()["error"];
        let kind = if *format == Format::Gemini { &error["status"] } else { &error["type"] };
        let expected = if *format == Format::Gemini { "RESOURCE_EXHAUSTED" } else { "rate_limit_error" };
        assert_eq!(kind, expected, "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains("2 requests per minute")), "{error}");
        let row = stack.row(refused.request_id()).await;
        let told = (row.outcome.as_str(), row.error_class.as_str(), row.attempts, row.input_tokens);
        assert_eq!(told, ("rejected", "limit_exceeded", 0, None), "{row:?}");
        assert_eq!(row.client, format.as_str());
    }
    assert_eq!(stack.provider.received().len(), 8, "what is refused is never sent upstream");
    stack.all_rows(12).await;
    let ops = Caller::new(&stack.gateway.as_ref().unwrap().ops_url, "");
    let metrics = caller::read(ops.anonymous(Method::GET, "/metrics")).await.text();
    assert!(metrics.contains("weir_limited_total{limit=\"requests_per_minute\"} 4"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_held_to_the_end_of_the_answer_and_given_back_by_whoever_leaves() {
    let gate = Gate::closed();
    let held = gate.clone();
    let clients = client("a", "max_concurrent = 2\nuser_max_concurrent = 1");
    let stack = Stack::planned(Plan { catalogue: with_clients(&clients), ..Plan::default() }, move |_| {
        let mut steps: Vec<Step> =
            answers::openai_events("m", TOKENS, &["Hel", "lo"], true).into_iter().map(Step::Send).collect();
        steps.insert(2, Step::Await(held.clone()));
        Reply::steps(200, "text/event-stream", steps)
    })
    .await;
    let caller = stack.caller().with_key("key-of-a");
    let body = answers::openai_request("gpt-4o-mini", true);
    let of = |user: &str| {
        let mut body = body.clone();
        body["user"] = json!(user);
        body
    };
    let mut first = caller.open(CHAT, &of("u")).await;
    assert_eq!(first.status, 200);
    let refused = caller.send(CHAT, &of("u")).await;
    assert_eq!((refused.status.as_u16(), text(&refused.headers, "retry-after")), (429, Some("1")));
    assert!(refused.text().contains("for this user"), "{}", refused.text());
    // The second place is taken by a client that leaves in the middle: it is drained, and only then free again.
    caller.leave_after(CHAT, &of("v"), "Hel").await;
    let refused = caller.send(CHAT, &of("w")).await;
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("2 requests at once"), "{}", refused.text());

    gate.open();
    let (_, broken) = first.rest().await;
    assert_eq!(broken, None);
    eventually("both places are free", Duration::from_secs(30), || async {
        let answer = caller.send(CHAT, &of("v")).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_count_as_estimated_until_the_provider_has_counted_them() {
    let clients = client("a", "tokens_per_minute = 1000") + &client("b", "tokens_per_minute = 1000");
    let catalogue = with_clients(&clients);
    let stack = Stack::planned(Plan { catalogue, ..Plan::default() }, |received| {
        let output = received.json()["max_tokens"].as_u64().unwrap_or(0);
        let tokens = Tokens { input: 400, output, ..Tokens::default() };
        Reply::whole(200, "application/json", answers::openai_body("m", tokens, "Hi").to_string())
    })
    .await;
    let caller = stack.caller().with_key("key-of-a");
    let send = async |max_tokens: u64| {
        let mut body = answers::openai_request("gpt-4o-mini", false);
        body["max_tokens"] = json!(max_tokens);
        caller.send(CHAT, &body).await
    };
    let remaining =
        |answer: &Answer| text(&answer.headers, "x-ratelimit-remaining-tokens").unwrap().parse::<u64>().unwrap();
    let first = send(100).await;
    // The prompt is short: estimated at a few dozen tokens and the hundred that it may answer with.
    assert!((850..900).contains(&remaining(&first)), "{:?}", first.headers);
    // In truth it were five hundred, so that as many are left; and again.
    let second = send(100).await;
    assert!((350..400).contains(&remaining(&second)), "{:?}", second.headers);
    let refused = send(100).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("1000 tokens per minute"), "{}", refused.text());

    // A large picture is not a million tokens: a request that seems too large is looked at more closely.
    let picture = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(20_000));
    let content = json!([{ "type": "image_url", "image_url": { "url": picture } }]);
    let body =
        json!({ "model": "gpt-4o-mini", "max_tokens": 10, "messages": [{ "role": "user", "content": content }] });
    let answer = stack.caller().with_key("key-of-b").send(CHAT, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let long = "word ".repeat(2_000);
    let body = json!({ "model": "gpt-4o-mini", "messages": [{ "role": "user", "content": long }] });
    let refused = stack.caller().with_key("key-of-b").send(CHAT, &body).await;
    assert_eq!((refused.status.as_u16(), text(&refused.headers, "x-should-retry")), (429, Some("false")));
    assert_eq!(text(&refused.headers, "retry-after"), None, "waiting does not help");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_tags_and_formats_come_from_where_they_may() {
    let clients = client("a", "tags = { project = \"alpha\" }") + &client("b", "formats = [\"openai_*\"]");
    let stack = Stack::planned(Plan { catalogue: with_clients(&clients), ..Plan::default() }, stream).await;
    let a = stack.caller().with_key("key-of-a");
    let with = async |format: Format, field: Value, headers: &[(&str, &str)]| {
        let (path, mut body) = ask(format);
        body.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
        let mut request = a.post(&path, body.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = caller::read(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        stack.row(answer.request_id()).await
    };
    for (format, field, headers, user) in [
        (Format::OpenaiChat, json!({ "user": "u1" }), vec![], "u1"),
        (Format::OpenaiResponses, json!({ "safety_identifier": "u2", "user": "x" }), vec![], "u2"),
        (Format::Anthropic, json!({ "metadata": { "user_id": "u3" } }), vec![], "u3"),
        (Format::Gemini, json!({}), vec![("x-weir-user", "u4")], "u4"),
        (Format::OpenaiChat, json!({ "user": "x" }), vec![("x-weir-user", "u5")], "u5"),
    ] {
        assert_eq!(with(format, field, &headers).await.user, user, "{format}");
    }
    let row = with(Format::OpenaiChat, json!({}), &[("x-weir-tags", "feature=search, project=beta, nonsense")]).await;
    let tags: Vec<(&str, &str)> = row.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("feature", "search"), ("project", "alpha")]);

    let b = stack.caller().with_key("key-of-b");
    for format in Format::ALL {
        let (path, body) = ask(*format);
        let answer = b.send(&path, &body).await;
        let may = format.as_str().starts_with("openai_");
        assert_eq!(answer.status, if may { 200 } else { 403 }, "{format}: {}", answer.text());
        if !may {
            let row = stack.row(answer.request_id()).await;
            assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("rejected", "forbidden"));
        }
    }
    let listed = b.get_json("/v1/models").await;
    assert!(!listed["data"].as_array().unwrap().is_empty());
    let anthropic = caller::read(b.request(Method::GET, "/v1/models").header("anthropic-version", "2023-06-01")).await;
    assert_eq!(anthropic.json()["data"], json!([]));
}

/// Two gateways with one catalogue, each with a ledger of its own.
async fn two_gateways(broker: &Broker, catalogue: &str) -> (Vec<Gateway>, Vec<TempDir>) {
    let (mut gateways, mut ledgers) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let ledger = tempfile::tempdir().expect("a folder for a ledger");
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let settings = Settings {
            nats_url: broker.url(),
            // Nobody reads what these gateways record.
            clickhouse_url: "http://127.0.0.1:1".to_owned(),
            database: "none".to_owned(),
            ledger_dir: ledger.path().join("ledger"),
            listen: nowhere,
            ops_listen: nowhere,
            recorder_ops_listen: nowhere,
            nats: String::new(),
            gateway: String::new(),
            recorder: String::new(),
            analytics: String::new(),
            catalogue: catalogue.to_owned(),
        };
        gateways.push(Gateway::start(&settings).await);
        ledgers.push(ledger);
    }
    (gateways, ledgers)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_gateway_lets_in_counts_at_the_other_and_without_nats_each_is_alone() {
    let (provider, mut broker) = tokio::join!(Provider::start(stream), Broker::start());
    let clients = client("a", "requests_per_minute = 1000\nuser_requests_per_minute = 20");
    let catalogue = with_clients(&clients).replace("{provider}", &provider.url());
    let (gateways, _ledgers) = two_gateways(&broker, &catalogue).await;
    let callers: Vec<Caller> = gateways.iter().map(|gateway| Caller::new(&gateway.url, "key-of-a")).collect();
    let send = async |gateway: usize, user: &str| {
        let mut body = answers::openai_request("gpt-4o-mini", true);
        body["user"] = json!(user);
        callers[gateway].send(CHAT, &body).await
    };
    for _ in 0..20 {
        assert_eq!(send(0, "busy").await.status, 200);
    }
    assert_eq!(send(0, "busy").await.status, 429);
    eventually("the other gateway knows", Duration::from_secs(60), || async {
        let answer = send(1, "busy").await;
        if answer.status == 429 { Ok(()) } else { Err(format!("{:?}", answer.headers)) }
    })
    .await;
    // It has let in some itself meanwhile; both together are counted.
    let quiet = send(1, "quiet").await;
    assert_eq!(quiet.status, 200);

    broker.kill();
    for gateway in [0, 1] {
        for _ in 0..20 {
            assert_eq!(send(gateway, "alone").await.status, 200, "each serves by itself");
        }
        assert_eq!(send(gateway, "alone").await.status, 429, "and holds the limit by itself");
    }
}
