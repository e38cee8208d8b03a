//! A caller gets an answer whenever anybody can give one, nobody is hammered, and every try has its row.
//!
//! The faults are those of the public FailoverBench catalogue and some more. Every scenario has two endpoints of its own,
//! a primary and a fallback, behind one scripted provider whose log is compared with the rows of candidates.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tests::answers::{self, Tokens, openai_events, unnamed};
use tests::caller::Answer;
use tests::configuration::KEY_A;
use tests::eventually;
use tests::provider::{Received, Reply, Step};
use tests::stack::{ARRIVAL, Plan, Row, Stack};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use uuid::Uuid;

/// Both sides count differently, so that a row shows whose answer it was.
const PRIMARY: Tokens = Tokens { input: 11, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 5 };
const FALLBACK: Tokens = Tokens { input: 13, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 7 };
const FIRST_BYTE: Duration = Duration::from_secs(3);

/// What an endpoint answers the nth time, from 1. `None`: a good answer.
type Script = fn(usize) -> Option<Reply>;

/// A scenario: its name, what the two endpoints do, and whether there is a second one at all.
struct Scenario {
    name: &'static str,
    primary: Script,
    fallback: Option<Script>,
}

const fn scenario(name: &'static str, primary: Script, fallback: Option<Script>) -> Scenario {
    Scenario { name, primary, fallback }
}

const GOOD: Option<Script> = Some(|_| None);

fn refusal(status: u16, kind: &str, code: &str, message: &str) -> Reply {
    let error = json!({ "error": { "message": message, "type": kind, "code": code, "param": null } });
    Reply::whole(status, "application/json", error.to_string())
}

fn overloaded() -> Reply {
    refusal(503, "service_unavailable_error", "overloaded", "The primary is overloaded")
}

/// The first events of a good answer, then something else.
fn beginning(count: usize, then: Step) -> Reply {
    let mut events = openai_events("primary-model", PRIMARY, &["one ", "two"], true);
    events.truncate(count);
    let steps = events.into_iter().map(Step::Send).chain([then]).collect();
    Reply::steps(200, "text/event-stream", steps)
}

/// What the provider was asked by one request, and what it answered.
#[derive(Clone, Debug)]
struct Asked {
    endpoint: String,
    at: Instant,
}

/// A row of `candidates`.
#[derive(Clone, Debug, Deserialize)]
struct Candidate {
    attempt_index: u16,
    verdict: String,
    reason: String,
    endpoint: String,
    status: Option<u16>,
}

struct Bench {
    stack: Stack,
    log: &'static Mutex<Vec<Asked>>,
}

/// What one request came to.
struct Told {
    answer: Answer,
    row: Row,
    candidates: Vec<Candidate>,
    asked: Vec<Asked>,
    took: Duration,
}

impl Told {
    /// Who was asked, in order.
    fn order(&self) -> Vec<&str> {
        self.asked.iter().map(|asked| asked.endpoint.rsplit('-').next().unwrap()).collect()
    }

    fn reasons(&self) -> Vec<&str> {
        self.candidates.iter().map(|candidate| candidate.reason.as_str()).collect()
    }

    /// A whole answer of this side, with its usage, its model and its provider, and nothing of the other.
    fn assert_answered_by(&self, side: &str) {
        let tokens = if side == "primary" { PRIMARY } else { FALLBACK };
        let text = self.answer.text();
        assert_eq!(self.answer.status, 200, "{text}");
        assert!(text.contains("one ") && text.contains("two") && self.answer.broken.is_none(), "{text}");
        assert!(text.contains(&format!("{side}-model")), "{text}");
        assert_eq!(self.answer.headers["x-weir-provider"].to_str().unwrap(), self.row.provider);
        assert_eq!(self.answer.headers["x-weir-attempts"].to_str().unwrap(), self.asked.len().to_string());
        let Row { outcome, endpoint, input_tokens, output_tokens, .. } = &self.row;
        assert_eq!(
            (outcome.as_str(), *input_tokens, *output_tokens),
            ("completed", Some(tokens.input), Some(tokens.output))
        );
        assert!(endpoint.ends_with(side), "{endpoint}");
        assert_eq!(self.candidates.last().unwrap().verdict, "succeeded");
    }
}

impl Bench {
    async fn start(scenarios: &'static [Scenario]) -> Self {
        let log: &'static Mutex<Vec<Asked>> = Box::leak(Box::default());
        let script = move |received: &Received| {
            let endpoint = received.uri.path().split('/').nth(1).unwrap().to_owned();
            let (name, side) = endpoint.rsplit_once('-').unwrap();
            let scenario = scenarios.iter().find(|scenario| scenario.name == name).unwrap();
            let mut log = log.lock().unwrap();
            log.push(Asked { endpoint: endpoint.clone(), at: Instant::now() });
            let nth = log.iter().filter(|asked| asked.endpoint == endpoint).count();
            let script = if side == "primary" { scenario.primary } else { scenario.fallback.unwrap() };
            let tokens = if side == "primary" { PRIMARY } else { FALLBACK };
            let model = received.json()["model"].as_str().unwrap().to_owned();
            script(nth).unwrap_or_else(|| Reply::events(openai_events(&model, tokens, &["one ", "two"], true)))
        };
        let mut catalogue = format!("[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n");
        for Scenario { name, fallback, .. } in scenarios {
            let sides: &[&str] = if fallback.is_some() { &["primary", "fallback"] } else { &["primary"] };
            for side in sides {
                catalogue += &endpoint(name, side, &format!("{{provider}}/{name}-{side}/v1"));
            }
            catalogue += &model(name, sides);
        }
        let gateway = "[gateway.timeouts]\nfirst_byte = \"3s\"\nidle = \"2s\"\n".to_owned();
        let stack = Stack::planned(Plan { gateway, catalogue, ..Plan::default() }, script).await;
        Self { stack, log }
    }

    async fn ask(&self, scenario: &str) -> Told {
        let before = Instant::now();
        let answer = self.stack.caller().send("/v1/chat/completions", &answers::openai_request(scenario, true)).await;
        let took = before.elapsed();
        let log = self.log.lock().unwrap().clone();
        let is_ours = |asked: &Asked| asked.endpoint.rsplit_once('-').unwrap().0 == scenario && asked.at >= before;
        let asked: Vec<Asked> = log.into_iter().filter(is_ours).collect();
        let row = self.stack.row(answer.request_id()).await;
        let candidates = candidates(&self.stack, answer.request_id(), asked.len()).await;
        // One to one: as many as were asked, in the order in which they were asked.
        let rows: Vec<&str> = candidates.iter().map(|candidate| candidate.endpoint.as_str()).collect();
        assert_eq!(rows, asked.iter().map(|asked| asked.endpoint.as_str()).collect::<Vec<_>>(), "{candidates:?}");
        assert_eq!(usize::from(row.attempts), asked.len(), "{row:?}");
        Told { answer, row, candidates, asked, took }
    }
}

fn endpoint(name: &str, side: &str, base_url: &str) -> String {
    let priority = if side == "primary" { 1 } else { 2 };
    format!(
        "[[providers]]\nname = \"{name}-{side}\"\npriority = {priority}\n[[providers.endpoints]]\n\
         name = \"{name}-{side}\"\nformat = \"openai_chat\"\nbase_url = \"{base_url}\"\nmax_retries = 2\n\
         [[providers.endpoints.keys]]\nname = \"main\"\nsecret = {{ plain = \"upstream-key-of-{name}\" }}\n"
    )
}

fn model(name: &str, sides: &[&str]) -> String {
    let route = |side: &&str| format!("[[models.routes]]\nendpoint = \"{name}-{side}\"\nmodel = \"{side}-model\"\n");
    format!("[[models]]\nname = \"{name}\"\n{}", sides.iter().map(route).collect::<String>())
}

/// The rows of the tries of a request, once all are there.
async fn candidates(stack: &Stack, request_id: Uuid, count: usize) -> Vec<Candidate> {
    eventually(&format!("{count} tries of {request_id}"), ARRIVAL, || async {
        let sql = format!(
            "SELECT attempt_index, verdict, reason, endpoint, status FROM {{db}}.candidates \
             WHERE request_id = '{request_id}' AND verdict != 'skipped' ORDER BY started_at"
        );
        let rows: Vec<Candidate> = stack.database.try_rows(&sql).await?;
        assert!(rows.len() <= count, "more rows than tries: {rows:?}");
        if rows.len() == count { Ok(rows) } else { Err(format!("{rows:?}")) }
    })
    .await
}

/// Between the tries at one endpoint.
fn gaps(told: &Told, side: &str) -> Vec<Duration> {
    let times: Vec<Instant> =
        told.asked.iter().filter(|asked| asked.endpoint.ends_with(side)).map(|asked| asked.at).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// At most two tries within a second and a half, and six in all. The clock is the provider's, a few milliseconds late.
fn assert_not_hammered(told: &Told) {
    for pair in gaps(told, "primary").windows(2) {
        assert!(pair[0] + pair[1] >= Duration::from_millis(1450), "hammered: {:?}", told.asked);
    }
    assert!(told.asked.len() <= 6, "{:?}", told.asked);
}

static BEFORE_CONTENT: &[Scenario] = &[
    scenario("limited", |nth| (nth == 1).then(|| limited().header("retry-after", "2")), GOOD),
    scenario("limited-alone", |nth| (nth == 1).then(|| limited().header("retry-after", "2")), None),
    scenario("limited-until", |nth| (nth == 1).then(|| limited().header("retry-after", &in_two_seconds())), None),
    scenario("limited-for-ever", |_| Some(limited()), GOOD),
    scenario("limited-for-ever-alone", |_| Some(limited()), None),
    scenario("once", |nth| (nth == 1).then(|| refusal(500, "server_error", "", "oops")), GOOD),
    scenario("overloaded", |_| Some(overloaded()), GOOD),
    scenario("overloaded-alone", |_| Some(overloaded()), None),
    scenario("slow", |_| Some(beginning(0, Step::Stall)), GOOD),
    scenario("slow-after-preamble", |_| Some(beginning(1, Step::Stall)), GOOD),
    scenario("too-long", |_| Some(too_long()), GOOD),
    scenario("too-long-alone", |_| Some(too_long()), None),
    scenario("forbidden", |_| Some(forbidden()), GOOD),
    scenario("prefill", |_| Some(overloaded()), Some(|_| Some(prefill()))),
    scenario("dead-key", |_| Some(refusal(401, "invalid_request_error", "invalid_api_key", "Incorrect key")), GOOD),
    scenario("in-band", |_| Some(Reply::whole(200, "application/json", error_body())), GOOD),
    scenario("after-preamble", |_| Some(beginning(1, Step::Send(format!("data: {}\n\n", error_body()).into()))), GOOD),
    scenario("empty", |_| Some(Reply::whole(200, "text/event-stream", "")), GOOD),
    scenario("page", |_| Some(Reply::whole(200, "text/html", "<html><title>hello</title></html>")), GOOD),
];

fn limited() -> Reply {
    refusal(429, "rate_limit_error", "rate_limit_exceeded", "Slow down")
}

fn too_long() -> Reply {
    refusal(400, "invalid_request_error", "context_length_exceeded", "This model's maximum context length is 8 tokens")
}

fn forbidden() -> Reply {
    refusal(400, "invalid_request_error", "content_policy_violation", "Not with us")
}

fn prefill() -> Reply {
    refusal(400, "invalid_request_error", "", "This model does not support assistant message prefill")
}

fn error_body() -> String {
    json!({ "error": { "message": "no capacity", "type": "server_error", "code": null } }).to_string()
}

/// As an HTTP date, which has whole seconds: the next but two, to be two at least.
fn in_two_seconds() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_primary_is_retried_or_left_and_never_hammered() {
    let bench = Bench::start(BEFORE_CONTENT).await;
    let names = BEFORE_CONTENT.iter().map(|scenario| scenario.name);
    let told = futures_util::future::join_all(names.clone().map(|name| bench.ask(name))).await;
    let told: BTreeMap<&str, Told> = names.zip(told).collect();
    told.values().for_each(assert_not_hammered);

    for (name, order, reason) in [
        ("limited", &["primary", "fallback"][..], "rate_limited"),
        ("limited-for-ever", &["primary", "fallback"], "rate_limited"),
        ("overloaded", &["primary", "primary", "fallback"], "overloaded"),
        ("slow", &["primary", "fallback"], "silent"),
        ("slow-after-preamble", &["primary", "fallback"], "silent"),
        ("too-long", &["primary", "fallback"], "context_length"),
        ("dead-key", &["primary", "fallback"], "key_refused"),
        ("in-band", &["primary", "primary", "fallback"], "server_error"),
        ("after-preamble", &["primary", "primary", "fallback"], "server_error"),
        ("empty", &["primary", "primary", "fallback"], "unusable_answer"),
        ("page", &["primary", "primary", "fallback"], "unusable_answer"),
    ] {
        let told = &told[name];
        assert_eq!(told.order(), order, "{name}");
        assert!(told.reasons()[..order.len() - 1].iter().all(|word| *word == reason), "{name}: {:?}", told.reasons());
        told.assert_answered_by("fallback");
    }
    assert!(told["slow"].took < FIRST_BYTE + Duration::from_secs(8), "{:?}", told["slow"].took);

    assert_eq!(told["once"].order(), ["primary", "primary"]);
    told["once"].assert_answered_by("primary");
    let attempts: Vec<u16> = told["once"].candidates.iter().map(|candidate| candidate.attempt_index).collect();
    assert_eq!(attempts, [0, 1]);

    for name in ["limited-alone", "limited-until"] {
        assert_eq!(told[name].order(), ["primary", "primary"], "{name}");
        let gap = gaps(&told[name], "primary")[0];
        assert!(gap >= Duration::from_millis(1900), "{name}: {gap:?}");
        told[name].assert_answered_by("primary");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_telling_error_reaches_the_caller() {
    let bench = Bench::start(BEFORE_CONTENT).await;
    let names = ["limited-for-ever-alone", "overloaded-alone", "too-long-alone", "forbidden", "prefill"];
    let told = futures_util::future::join_all(names.map(|name| bench.ask(name))).await;
    for (told, (name, status, words, outcome_class)) in told.iter().zip([
        (names[0], 429, "Slow down", "upstream_rate_limited"),
        (names[1], 503, "The primary is overloaded", "upstream_server_error"),
        (names[2], 400, "maximum context length", "upstream_client_error"),
        (names[3], 400, "Not with us", "upstream_client_error"),
        (names[4], 503, "The primary is overloaded", "upstream_server_error"),
    ]) {
        assert_not_hammered(told);
        assert_eq!(told.answer.status, status, "{name}");
        assert!(told.answer.text().contains(words), "{name}: {}", told.answer.text());
        let Row { outcome, error_class, upstream_status, endpoint, .. } = &told.row;
        assert_eq!((outcome.as_str(), error_class.as_str()), ("failed", outcome_class), "{name}");
        assert_eq!(*upstream_status, Some(status), "{name}");
        assert!(endpoint.ends_with("primary"), "{name}: the row names whose error it is, not {endpoint}");
        assert_eq!(told.row.cost_usd, None, "{name}: a failed try is not billed");
    }
    assert_eq!(told[2].order(), ["primary"]);
    assert_eq!(told[3].order(), ["primary"], "what is forbidden is not taken elsewhere");
    assert_eq!(told[3].reasons(), ["content_policy"]);
    assert!(told[4].order().contains(&"fallback"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_key_is_not_used_again() {
    let bench = Bench::start(BEFORE_CONTENT).await;
    bench.ask("dead-key").await.assert_answered_by("fallback");
    let second = bench.ask("dead-key").await;
    assert_eq!(second.order(), ["fallback"]);
    second.assert_answered_by("fallback");
    let id = second.answer.request_id();
    let skipped: Vec<Candidate> = eventually("the row of the skipped key", ARRIVAL, || async {
        let sql = format!(
            "SELECT attempt_index, verdict, reason, endpoint, status FROM {{db}}.candidates \
             WHERE request_id = '{id}' AND verdict = 'skipped'"
        );
        let rows: Vec<Candidate> = bench.stack.database.try_rows(&sql).await?;
        if rows.is_empty() { Err("none".to_owned()) } else { Ok(rows) }
    })
    .await;
    let skipped: Vec<_> = skipped.iter().map(|row| (row.endpoint.as_str(), row.reason.as_str(), row.status)).collect();
    assert_eq!(skipped, [("dead-key-primary", "key_disabled", None)]);
}

static AFTER_CONTENT: &[Scenario] = &[
    scenario("cut", |_| Some(beginning(2, Step::Cut)), GOOD),
    scenario("stall", |_| Some(beginning(2, Step::Stall)), GOOD),
    scenario("malformed", |_| Some(malformed()), GOOD),
    scenario("no-done", |_| Some(no_done()), GOOD),
];

fn malformed() -> Reply {
    let mut events = openai_events("primary-model", PRIMARY, &["one ", "two"], true);
    events.insert(2, Bytes::from_static(b"data: {\"choices\":[{\"delta\n\n"));
    Reply::events(events)
}

fn no_done() -> Reply {
    let mut events = openai_events("primary-model", PRIMARY, &["one ", "two"], true);
    events.pop();
    Reply::events(events)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_is_finished_or_ends_in_a_clean_error() {
    let bench = Bench::start(AFTER_CONTENT).await;
    let names = AFTER_CONTENT.iter().map(|scenario| scenario.name);
    let told = futures_util::future::join_all(names.clone().map(|name| bench.ask(name))).await;
    let told: BTreeMap<&str, Told> = names.zip(told).collect();
    for (name, class) in [("cut", "stream_cut"), ("stall", "stream_idle")] {
        let Told { answer, row, candidates, .. } = &told[name];
        assert_eq!(told[name].order(), ["primary"], "{name}: nothing is tried once the client reads");
        assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("interrupted", class), "{name}");
        let text = answer.text();
        assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{name} looks complete: {text}");
        assert_eq!((candidates[0].verdict.as_str(), candidates[0].status), ("failed", Some(200)), "{name}");
        assert!(told[name].took < Duration::from_secs(10), "{name}: {:?}", told[name].took);
    }
    for name in ["malformed", "no-done"] {
        assert_eq!(told[name].order(), ["primary"], "{name}");
        told[name].assert_answered_by("primary");
        assert!(told[name].took < Duration::from_secs(8), "{name}: {:?}", told[name].took);
    }
}

/// A server that takes connections and never answers: it resets the first so many, and leaves all others open.
async fn unresponsive(resets: usize) -> (String, &'static Mutex<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count: &'static Mutex<usize> = Box::leak(Box::default());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = [0; 64];
            let _ = connection.read(&mut head).await;
            let nth = {
                let mut count = count.lock().unwrap();
                *count += 1;
                *count
            };
            if nth <= resets {
                // Closed with bytes unread: the system answers the rest with a reset.
                drop(connection);
            } else {
                open.push(connection);
            }
        }
    });
    (url, count)
}

/// One request to a model whose primary is a bare socket; how often that was asked, and by the rows.
async fn with_bare_primary(resets: usize) -> (Answer, Row, Vec<Candidate>, usize) {
    let (url, count) = unresponsive(resets).await;
    let key = format!("[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n");
    let catalogue = [
        key,
        endpoint("bare", "primary", &url),
        endpoint("bare", "fallback", "{provider}/v1"),
        model("bare", &["primary", "fallback"]),
    ];
    let plan = Plan {
        gateway: "[gateway.timeouts]\nfirst_byte = \"3s\"\n".to_owned(),
        catalogue: catalogue.concat(),
        ..Plan::default()
    };
    let stack = Stack::planned(plan, |received| {
        let model = received.json()["model"].as_str().unwrap().to_owned();
        Reply::events(openai_events(&model, FALLBACK, &["one ", "two"], true))
    })
    .await;
    let answer = stack.caller().send("/v1/chat/completions", &answers::openai_request("bare", true)).await;
    let row = stack.row(answer.request_id()).await;
    let primary = *count.lock().unwrap();
    let fallback = stack.provider.received().len();
    let candidates = candidates(&stack, answer.request_id(), primary + fallback).await;
    assert_eq!(candidates.iter().filter(|row| row.endpoint == "bare-primary").count(), primary, "{candidates:?}");
    (answer, row, candidates, primary)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_at_all_is_asked_once() {
    let (answer, row, candidates, asked) = with_bare_primary(0).await;
    assert_eq!((answer.status.as_u16(), asked), (200, 1), "{candidates:?}");
    assert_eq!((row.endpoint.as_str(), row.output_tokens), ("bare-fallback", Some(FALLBACK.output)));
    assert_eq!((candidates[0].reason.as_str(), candidates[0].status), ("silent", None));
    assert!(answer.end_after < FIRST_BYTE + Duration::from_secs(8), "{:?}", answer.end_after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_connection_is_tried_again() {
    let (answer, row, candidates, asked) = with_bare_primary(10).await;
    assert_eq!((answer.status.as_u16(), asked), (200, 2), "{candidates:?}");
    assert_eq!(row.endpoint, "bare-fallback");
    assert!(candidates[..2].iter().all(|row| row.reason == "connect_failed"), "{candidates:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flapping_primary_is_left_alone_and_returned_to() {
    static SCENARIO: &[Scenario] = &[scenario("flapping", |nth| (nth <= 5).then(overloaded), GOOD)];
    let bench = Bench::start(SCENARIO).await;
    let mut probes = 0;
    for _ in 0..20 {
        let told = bench.ask("flapping").await;
        told.assert_answered_by("fallback");
        probes += told.order().iter().filter(|side| **side == "primary").count();
    }
    assert_eq!(probes, 5, "the breaker opens at five failures");
    let begin = Instant::now();
    eventually("the primary answers again", Duration::from_secs(45), || async {
        let told = bench.ask("flapping").await;
        assert_eq!(told.answer.status, 200, "{}", told.answer.text());
        if told.row.endpoint == "flapping-primary" { Ok(()) } else { Err(format!("{:?}", begin.elapsed())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_inside_a_success_moves_on_in_every_format() {
    let bodies: [(&str, &str, Value); 4] = [
        (
            "anthropic",
            "/v1/messages",
            json!({ "type": "error", "error": { "type": "overloaded_error", "message": "m" } }),
        ),
        ("openai_chat", "/v1/chat/completions", json!({ "error": { "type": "server_error", "message": "m" } })),
        (
            "openai_responses",
            "/v1/responses",
            json!({ "type": "error", "error": { "type": "server_error", "message": "m" } }),
        ),
        (
            "gemini",
            "/v1beta/models/gemini:streamGenerateContent?alt=sse",
            json!({ "error": { "code": 503, "status": "UNAVAILABLE", "message": "m" } }),
        ),
    ];
    let mut catalogue = format!("[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n");
    for (format, ..) in &bodies {
        for (side, priority) in [("primary", 1), ("fallback", 2)] {
            catalogue += &format!(
                "[[providers]]\nname = \"{format}-{side}\"\npriority = {priority}\n[[providers.endpoints]]\n\
                 name = \"{format}-{side}\"\nformat = \"{format}\"\nbase_url = \"{{provider}}/{format}-{side}\"\n"
            );
        }
        catalogue += &model(format, &["primary", "fallback"]);
    }
    let errors = bodies.clone();
    let stack = Stack::planned(Plan { catalogue, ..Plan::default() }, move |received| {
        let side = received.uri.path().split('/').nth(1).unwrap();
        let (format, side) = side.rsplit_once('-').unwrap();
        let (_, _, error) = errors.iter().find(|(name, ..)| *name == format).unwrap();
        let format = format.parse().unwrap();
        match side {
            "primary" => Reply::events(vec![unnamed(error)]),
            _ => Reply::events(answers::events(format, "fallback-model", FALLBACK, &["one ", "two"])),
        }
    })
    .await;
    for (format, path, _) in &bodies {
        let (_, body) = answers::streaming_request(format.parse().unwrap(), format, "Hello");
        let answer = stack.caller().send(path, &body).await;
        assert_eq!(answer.status, 200, "{format}: {}", answer.text());
        let row = stack.row(answer.request_id()).await;
        let told = (row.outcome.as_str(), row.endpoint.clone(), row.attempts, row.output_tokens);
        assert_eq!(told, ("completed", format!("{format}-fallback"), 3, Some(FALLBACK.output)), "{row:?}");
        let received = stack.provider.received();
        let asked = received.iter().filter(|one| one.uri.path().starts_with(&format!("/{format}-"))).count();
        assert_eq!(candidates(&stack, answer.request_id(), asked).await.len(), 3, "{format}");
    }
}
