//! Whatever a client sends, it is itself: no header, body or path names another client's key, budget, row or label.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use proptest::prelude::*;
use schemas::config::Config;
use schemas::outcome::{Format, Operation, Outcome};
use schemas::time::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use super::{Route, handle};
use crate::app::{App, open_ledger};

const KEY_A: &str = "key-of-team-a";
const KEY_B: &str = "key-of-team-b";
/// Stands in every text that a client makes up, and nowhere else.
const INVENTED: &str = "Zz9";

/// A gateway with two clients, whose only provider is nobody: connections to it are refused.
struct Bench {
    app: Arc<App>,
    runtime: Runtime,
    folder: tempfile::TempDir,
}

static BENCH: LazyLock<Bench> = LazyLock::new(bench);

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        r#"
[gateway]
ledger_dir = "{}"
allow_unlisted_models = true
[[providers]]
name = "openai"
[[providers.endpoints]]
name = "e"
format = "openai_chat"
base_url = "http://127.0.0.1:1"
max_retries = 0
[[models]]
name = "gpt-4o-mini"
[[models.routes]]
endpoint = "e"
[[clients]]
name = "team-a"
key = {{ plain = "{KEY_A}" }}
user_requests_per_minute = 1000
tags = {{ project = "alpha" }}
[[clients]]
name = "team-b"
key = {{ plain = "{KEY_B}" }}
requests_per_minute = 5
budget = {{ usd = "1", per = "month" }}
tags = {{ project = "beta" }}
"#,
        folder.path().join("ledger").display()
    );
    let config = Config::parse(&text, &BTreeMap::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ledger = Arc::new(open_ledger(&config).unwrap());
    let app = Arc::new(App::build(&config, ledger).unwrap());
    Bench { app, runtime, folder }
}

/// Text of a client's: the other client's names and secrets, and inventions.
fn text() -> impl Strategy<Value = String> {
    let digest: String = Sha256::digest(KEY_B).iter().map(|byte| format!("{byte:02x}")).collect();
    prop_oneof![
        Just("team-b".to_owned()),
        Just(digest),
        Just("\",\"client\":\"team-b\",\"x\":\"".to_owned()),
        Just("project=beta,client=team-b".to_owned()),
        Just("0197f0c0-0000-7000-8000-000000000000".to_owned()),
        Just(format!("openai{INVENTED}")),
        "[ -~]{0,30}".prop_map(|text| format!("{INVENTED}{text}")),
    ]
}

fn header() -> impl Strategy<Value = (String, String)> {
    let known = [
        "x-weir-client",
        "x-weir-user",
        "x-weir-tags",
        "x-weir-budget",
        "x-weir-request-id",
        "x-request-id",
        "user-agent",
        "cookie",
        "x-client",
        "openai-organization",
        "x-forwarded-for",
        "anthropic-version",
        "x-weir-provider",
    ];
    let name = prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "[a-z][a-z0-9-]{0,20}"];
    // A second key of its own making is not the key: the first place that holds one counts.
    (
        name.prop_filter("no credentials", |name| !["x-api-key", "x-goog-api-key", "authorization"].contains(&&**name)),
        text(),
    )
}

fn body() -> impl Strategy<Value = String> {
    let fields = prop::collection::btree_map(
        prop::sample::select(vec![
            "client",
            "user",
            "tags",
            "budget",
            "key",
            "request_id",
            "provider",
            "safety_identifier",
        ]),
        text(),
        0..5,
    );
    let whole =
        (fields, prop_oneof![Just("gpt-4o-mini".to_owned()), text()], text()).prop_map(|(fields, model, said)| {
            let mut body = json!(fields);
            body["model"] = json!(model);
            body["metadata"] = json!({ "user_id": said, "client": "team-b" });
            body["messages"] = json!([{ "role": "user", "content": said }]);
            body.to_string()
        });
    prop_oneof![4 => whole, 1 => text(), 1 => Just(r#"{"client":"team-b","model":"gpt-4o-mini"}"#.to_owned())]
}

fn path() -> impl Strategy<Value = String> {
    let of = |text: String| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    prop_oneof![
        Just("/v1/chat/completions".to_owned()),
        text().prop_map(move |text| format!("/v1/chat/completions?client=team-b&budget={}", of(text))),
        text().prop_map(move |text| format!("/v1beta/models/{}:generateContent", of(text))),
        text().prop_map(move |text| format!("/clients/team-b/{}", of(text))),
    ]
}

fn route() -> impl Strategy<Value = Route> {
    let format = prop::sample::select(Format::ALL.to_vec());
    (format, 0..4_u8).prop_map(|(format, kind)| match kind {
        0 => Route::Models(format),
        1 => Route::Unknown(format),
        2 => Route::Upstream(Operation::CountTokens, format),
        _ => Route::Upstream(Operation::Generate, format),
    })
}

/// Everything that is in the ledger's segments.
fn written(folder: &std::path::Path) -> Vec<u8> {
    let segments = std::fs::read_dir(folder.join("ledger")).unwrap().map(|entry| entry.unwrap().path());
    let segments = segments.filter(|path| path.extension().is_some_and(|extension| extension == "segment"));
    segments.flat_map(|path| std::fs::read(path).unwrap()).collect()
}

/// How events begin or end that are a client's: next to fields that no client chooses, unlike a tag that is named so.
fn owned_by(client: &str) -> Vec<String> {
    let of_outcome = |outcome: &Outcome| format!(r#""outcome":"{outcome}","client":"{client}""#);
    let mut texts: Vec<String> = Outcome::ALL.iter().map(of_outcome).collect();
    texts.push(format!(r#""gateway":"{}","client":"{client}""#, BENCH.app.ledger.gateway()));
    texts.push(format!(r#","client":"{client}"}}"#));
    texts
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_client_is_itself_whatever_it_sends(
        route in route(),
        path in path(),
        headers in prop::collection::vec(header(), 0..6),
        body in body(),
        key in prop_oneof![3 => Just(Some(KEY_A.to_owned())), 1 => Just(None), 1 => text().prop_map(Some)],
    ) {
        let Bench { app, runtime, folder } = &*BENCH;
        let method = if matches!(route, Route::Models(_)) { Method::GET } else { Method::POST };
        let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
        let mut request = Request::new(Body::from(body));
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
                request.headers_mut().append(name, value);
            }
        }
        if let Some(value) = key.as_deref().and_then(|key| HeaderValue::from_str(&format!("Bearer {key}")).ok()) {
            request.headers_mut().insert("authorization", value);
        }
        let response = runtime.block_on(handle(Arc::clone(app), route, request));
        prop_assert!(key.as_deref() == Some(KEY_A) || response.status().is_client_error(), "only a key lets in");

        let now = Timestamp::now();
        let ours = app.limits.budgets_left(now);
        prop_assert_eq!(ours.iter().map(|(name, left)| (*name, left.to_string())).collect::<Vec<_>>(),
            [("team-b", "1.000000000000".to_owned())]);
        app.metrics.budgets(&ours);
        let metrics = app.metrics.exposition();
        prop_assert!(!metrics.contains(INVENTED), "a label that a client made up: {}", metrics);
        prop_assert_eq!(metrics.matches("team-b").count(), 1, "what the operator is told of team-b is its budget");

        // The ledger's events are JSON, in which a client's quotes are escaped: these texts are ours.
        let written = written(folder.path());
        for foreign in [r#""project":"beta""#, r#""request_id":"0197f0c0-0000-7000-8000-000000000000""#] {
            prop_assert!(!contains(&written, foreign), "{} was written", foreign);
        }
        for foreign in owned_by("team-b") {
            prop_assert!(!contains(&written, &foreign), "{} was written", foreign);
        }
        prop_assert!(!contains(&written, KEY_B), "a key was written");
    }
}

#[test]
fn what_the_property_looks_for_is_found_where_it_is_true() {
    // One of its own: the requests of the property make the only provider known as sick.
    let Bench { app, runtime, folder } = &bench();
    let send = |key: &str| {
        let mut request = Request::new(Body::from(r#"{"model":"gpt-4o-mini","messages":[]}"#));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert("authorization", HeaderValue::from_str(&format!("Bearer {key}")).unwrap());
        let route = Route::Upstream(Operation::Generate, Format::OpenaiChat);
        runtime.block_on(handle(Arc::clone(app), route, request)).status().as_u16()
    };
    assert_eq!(send(KEY_A), 502, "let in, and nobody there to answer");
    let written = written(folder.path());
    assert!(contains(&written, r#""project":"alpha""#));
    let ours: Vec<String> = owned_by("team-a").into_iter().filter(|text| contains(&written, text)).collect();
    assert!(ours.len() >= 3, "opened, candidate and receipt: {ours:?}");
}
