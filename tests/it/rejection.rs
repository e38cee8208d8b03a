//! What is refused is refused in the caller's dialect, once recorded, and no secret leaves its place.

use futures_util::StreamExt;
use http::Method;
use serde_json::{Value, json};
use tests::answers::{self, Tokens, anthropic_body, openai_body};
use tests::caller::{Answer, Caller, read};
use tests::configuration::{KEY_A, KEY_B, UPSTREAM_KEY_ANTHROPIC, UPSTREAM_KEY_OPENAI, catalogue};
use tests::ports::ReservedPort;
use tests::provider::{Received, Reply};
use tests::services::GatewayProcess;
use tests::stack::{Plan, Row, Stack};

const MESSAGES: &str = "/v1/messages";
const CHAT: &str = "/v1/chat/completions";

fn plain(received: &Received) -> Reply {
    let tokens = Tokens { input: 1, output: 1, ..Tokens::default() };
    let body = match received.uri.path().ends_with("/messages") {
        true => anthropic_body("claude-sonnet-4-5-20250929", tokens, "Hi"),
        false => openai_body("gpt-4o-mini", tokens, "Hi"),
    };
    Reply::whole(200, "application/json", body.to_string())
}

fn valid(path: &str) -> Value {
    if path == MESSAGES { answers::anthropic_request("sonnet", false) } else { answers::openai_request("small", false) }
}

/// The answer is an error that the vendor's client can read: shape, type and a message for people.
fn assert_dialect(path: &str, answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{path}: {:?}", answer.body);
    let content_type = answer.headers.get("content-type").expect("a content type");
    assert!(content_type.to_str().unwrap().starts_with("application/json"), "{content_type:?}");
    let body = answer.json();
    let error = &body["error"];
    assert_eq!(error["type"], kind, "{body}");
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "no clear message: {body}");
    if path == MESSAGES {
        assert_eq!(body["type"], "error", "{body}");
    } else {
        let object = error.as_object().expect("an object");
        assert!(object.contains_key("param") && object.contains_key("code"), "{body}");
    }
}

async fn assert_recorded(stack: &Stack, answer: &Answer, class: &str) -> Row {
    let row = stack.row(answer.request_id()).await;
    assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("rejected", class), "{row:?}");
    assert_eq!((row.status, row.upstream_status, row.attempts), (answer.status.as_u16(), None, 0), "{row:?}");
    assert_eq!((row.input_tokens, row.output_tokens, row.cost_usd.as_deref()), (None, None, None), "{row:?}");
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_speak_the_callers_dialect_and_leave_one_row() {
    let plan = Plan { gateway: "request_body_max = \"4KiB\"".to_owned(), ..Plan::default() };
    let stack = Stack::planned(plan, plain).await;
    let caller = stack.caller();
    let anonymous = |path: &str| {
        let request = caller.anonymous(Method::POST, path).header("content-type", "application/json");
        request.body(valid(path).to_string())
    };
    let mut refused = 0;
    for (path, format) in [(MESSAGES, "anthropic"), (CHAT, "openai_chat")] {
        let anthropic = path == MESSAGES;
        let of = |anthropic_type: &'static str, openai_type| if anthropic { anthropic_type } else { openai_type };
        let unknown_model = json!({ "model": "no-such-model", "max_tokens": 1, "messages": [] }).to_string();
        let large = json!({ "model": "sonnet", "messages": [{ "role": "user", "content": "x".repeat(5_000) }] });
        let cases = [
            (read(anonymous(path)).await, 401, of("authentication_error", "invalid_request_error"), "unauthenticated"),
            (
                read(caller.with_key("no-such-key").post(path, valid(path).to_string())).await,
                401,
                of("authentication_error", "invalid_request_error"),
                "unauthenticated",
            ),
            (
                read(caller.post(path, unknown_model)).await,
                404,
                of("not_found_error", "invalid_request_error"),
                "model_not_found",
            ),
            (
                read(caller.post(path, "{\"model\": \"sonnet\", ")).await,
                400,
                "invalid_request_error",
                "invalid_request",
            ),
            (read(caller.post(path, "[]")).await, 400, "invalid_request_error", "invalid_request"),
            (read(caller.post(path, "{\"model\": 5}")).await, 400, "invalid_request_error", "invalid_request"),
            (read(caller.post(path, "{\"messages\": []}")).await, 400, "invalid_request_error", "invalid_request"),
            (
                read(caller.post(path, large.to_string())).await,
                413,
                of("request_too_large", "invalid_request_error"),
                "body_too_large",
            ),
            (read(caller.request(Method::GET, path)).await, 405, "invalid_request_error", "method_not_allowed"),
        ];
        for (answer, status, kind, class) in cases {
            assert_dialect(path, &answer, status, kind);
            let row = assert_recorded(&stack, &answer, class).await;
            assert_eq!(row.format, format, "{row:?}");
            // A method is wrong for everybody, so nobody is asked for a key first.
            let known = !["unauthenticated", "method_not_allowed"].contains(&class);
            assert_eq!(row.client.as_str(), if known { "team-a" } else { "" }, "{row:?}");
            refused += 1;
        }
    }
    assert!(stack.provider.received().is_empty(), "what is refused is never sent upstream");
    stack.all_rows(refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_codes_tell_what_is_wrong() {
    let stack = Stack::start(plain).await;
    let caller = stack.caller();
    let code = |answer: Answer| answer.json()["error"]["code"].clone();
    let wrong_key = caller.with_key("no-such-key").post(CHAT, valid(CHAT).to_string());
    assert_eq!(code(read(wrong_key).await), "invalid_api_key");
    assert_eq!(code(caller.send(CHAT, &answers::openai_request("no-such-model", false)).await), "model_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_path_is_told_as_such() {
    let stack = Stack::start(plain).await;
    for path in ["/", "/v1/no/such/path", "/v1/messages/batches", "/metrics", "/healthz"] {
        let answer = stack.caller().send(path, &json!({})).await;
        assert_eq!(answer.status, 404, "{path}: {:?}", answer.body);
        assert!(answer.json()["error"]["message"].is_string(), "{path}: {:?}", answer.body);
        assert_recorded(&stack, &answer, "not_found").await;
    }
    let wrong_method = read(stack.caller().request(Method::DELETE, CHAT)).await;
    assert_eq!(wrong_method.headers.get("allow").map(|value| value.to_str().unwrap()), Some("POST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_keys_is_refused_whole_and_recorded_in_part() {
    const FLOOD: usize = 400;
    let stack = Stack::start(plain).await;
    let stranger = stack.caller().with_key("no-such-key");
    let begin = std::time::Instant::now();
    let flood = (0..FLOOD).map(|_| read(stranger.post(CHAT, valid(CHAT).to_string())));
    let answers: Vec<Answer> = futures_util::stream::iter(flood).buffer_unordered(16).collect().await;
    let seconds = begin.elapsed().as_secs() as usize + 1;
    assert!(answers.iter().all(|answer| answer.status == 401));

    // Events travel in order: once this one's row is there, whatever was written before it is there too.
    let last = stack.caller().send(CHAT, &valid(CHAT)).await;
    stack.row(last.request_id()).await;
    let sql = "SELECT * FROM {db}.requests WHERE error_class = 'unauthenticated'";
    let recorded = stack.database.rows::<Row>(sql).await.len();
    assert!((1..=10 * (seconds + 1)).contains(&recorded), "{recorded} of {FLOOD} within {seconds} s are recorded");

    let ops = &stack.gateway.as_ref().unwrap().ops_url;
    let metrics = read(Caller::new(ops, "").anonymous(Method::GET, "/metrics")).await.text();
    let rejected = metrics.lines().find_map(|line| line.strip_prefix("weir_requests_total{outcome=\"rejected\"} "));
    assert_eq!(rejected, Some(FLOOD.to_string().as_str()), "the metrics count all of them: {metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_whether_its_length_is_told_or_not() {
    let plan = Plan { gateway: "request_body_max = \"4KiB\"".to_owned(), ..Plan::default() };
    let stack = Stack::planned(plan, plain).await;
    let pieces = futures_util::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>("x".repeat(1_024))));
    let request = stack.caller().request(Method::POST, CHAT).body(reqwest::Body::wrap_stream(pieces));
    let answer = read(request).await;
    assert_dialect(CHAT, &answer, 413, "invalid_request_error");
    assert_recorded(&stack, &answer, "body_too_large").await;

    // A body of exactly the limit is let in.
    let mut body = valid(CHAT);
    let frame = body.to_string().len() - "Hello".len();
    body["messages"][0]["content"] = json!("x".repeat(4_096 - frame));
    assert_eq!(body.to_string().len(), 4_096);
    assert_eq!(stack.caller().send(CHAT, &body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_reached_is_a_bad_gateway() {
    // Reserved, so that nobody listens there.
    let nobody = ReservedPort::new();
    let catalogue = catalogue(&format!("http://{}", nobody.address()));
    let stack = Stack::planned(Plan { catalogue, ..Plan::default() }, plain).await;
    for (path, kind) in [(MESSAGES, "api_error"), (CHAT, "server_error")] {
        let answer = stack.caller().send(path, &valid(path)).await;
        assert_dialect(path, &answer, 502, kind);
        let address = nobody.address().to_string();
        assert!(!answer.text().contains(&address), "where our providers are is not the client's business");
        let row = stack.row(answer.request_id()).await;
        let recorded = (row.outcome.as_str(), row.error_class.as_str(), row.status, row.upstream_status);
        assert_eq!(recorded, ("failed", "upstream_connect", 502, None), "{row:?}");
        assert_eq!(row.attempts, 1);
    }
    stack.all_rows(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_giving_the_key_is_understood_and_none_goes_upstream() {
    let stack = Stack::start(plain).await;
    let caller = stack.caller();
    for (path, upstream_key) in [(MESSAGES, UPSTREAM_KEY_ANTHROPIC), (CHAT, UPSTREAM_KEY_OPENAI)] {
        let post =
            |suffix: &str| caller.anonymous(Method::POST, &format!("{path}{suffix}")).body(valid(path).to_string());
        let ways = [
            post("").header("authorization", format!("Bearer {KEY_A}")),
            post("").header("authorization", format!("bearer  {KEY_A}")),
            post("").header("x-api-key", KEY_A),
            post("").header("x-goog-api-key", KEY_A),
            post(&format!("?key={KEY_A}")),
            post("").header("x-api-key", KEY_A).header("authorization", format!("Bearer {KEY_A}")),
        ];
        for way in ways {
            let request = way
                .header("content-type", "application/json")
                .header("cookie", "session=client-cookie")
                .header("connection", "x-hop")
                .header("x-hop", "for this connection only")
                .header("proxy-authorization", "Basic client-proxy-credentials")
                .header("x-forwarded-for", "203.0.113.9")
                .header("anthropic-beta", "some-beta-1");
            let answer = read(request).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            let received = stack.provider.received().pop().unwrap();
            let sent = format!("{} {:?}", received.uri, received.headers);
            for secret in [KEY_A, "client-cookie", "for this connection", "client-proxy-credentials", "203.0.113.9"] {
                assert!(!sent.contains(secret), "{secret} went upstream: {sent}");
            }
            assert_eq!(sent.matches(upstream_key).count(), 1, "our key goes upstream, once: {sent}");
            assert_eq!(received.header("anthropic-beta"), Some("some-beta-1"), "what is the client's to say passes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_use_the_models_it_is_given() {
    let all = catalogue("{provider}");
    let catalogue = all.replace("name = \"team-b\"", "name = \"team-b\"\nmodels = [\"gpt-*\"]");
    assert_ne!(all, catalogue);
    let stack = Stack::planned(Plan { catalogue, ..Plan::default() }, plain).await;
    let caller = stack.caller().with_key(KEY_B);
    let answer = caller.send(CHAT, &answers::openai_request("gpt-4o-mini", false)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(stack.row(answer.request_id()).await.client, "team-b");
    let answer = caller.send(MESSAGES, &answers::anthropic_request("sonnet", false)).await;
    assert!([403, 404].contains(&answer.status.as_u16()), "{:?}", answer.body);
    assert_eq!(stack.row(answer.request_id()).await.outcome, "rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_or_recorded() {
    let stack = Stack::without_gateway(Plan::default(), |received| {
        // A provider that repeats our key in its error, as some do.
        let echo = received.header("x-api-key").or(received.header("authorization")).unwrap_or_default().to_owned();
        match received.json()["stream"] == json!(true) {
            true => {
                Reply::whole(401, "application/json", json!({ "error": { "type": "x", "message": echo } }).to_string())
            }
            false => plain(received),
        }
    })
    .await;
    let gateway = GatewayProcess::start(&stack.settings).await;
    let caller = Caller::new(&gateway.url(), KEY_A);
    let mut ids = Vec::new();
    for key in [KEY_A, KEY_B, "not-a-key-but-a-secret"] {
        for path in [MESSAGES, CHAT] {
            for stream in [false, true] {
                let mut body = valid(path);
                body["stream"] = json!(stream);
                let request = caller.with_key(key).post(&format!("{path}?key=key-in-the-query"), body.to_string());
                ids.push(read(request.header("cookie", "session=client-cookie")).await.request_id());
            }
        }
    }
    for id in ids {
        stack.row(id).await;
    }
    let mut seen = gateway.log();
    assert!(seen.contains("INFO") || seen.contains("\"level\""), "the gateway logs: {seen}");
    for table in ["requests", "candidates", "opened"] {
        let rows: Vec<Value> = stack.database.rows(&format!("SELECT * FROM {{db}}.{table}")).await;
        assert!(!rows.is_empty(), "{table}");
        seen.push_str(&json!(rows).to_string());
    }
    let own = [KEY_A, KEY_B, UPSTREAM_KEY_ANTHROPIC, UPSTREAM_KEY_OPENAI];
    for secret in own.iter().chain(&["not-a-key-but-a-secret", "key-in-the-query", "client-cookie"]) {
        let around = seen.find(secret).map(|at| seen[at.saturating_sub(200)..].chars().take(300).collect::<String>());
        assert_eq!(around, None, "{secret} was written down");
    }
}
