//! The service on a real socket while ClickHouse is not there, or not as it should be.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::*;

struct Service {
    url: String,
    client: reqwest::Client,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
}

fn config(clickhouse: SocketAddr, more: &str) -> Config {
    let text = format!("[clickhouse]\nurl = \"http://{clickhouse}\"\ntimeout = \"1s\"\n{more}");
    Config::parse(&text, &Default::default()).unwrap()
}

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

impl Service {
    async fn start(config: Config) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(run(config, listener, shutdown.clone()));
        Self { url, client: reqwest::Client::builder().build().unwrap(), shutdown, running }
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth("s3cret");
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn error(&self, path: &str) -> (u16, String) {
        let (status, body) = self.get(path).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
        (status.as_u16(), body["error"]["code"].as_str().unwrap().to_owned())
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn without_clickhouse_questions_are_refused_and_metrics_answered() {
    let service = Service::start(config(nobody().await, "")).await;
    for path in
        ["/v1/usage", "/v1/costs?format=csv", "/v1/requests", "/v1/requests/01960000-0000-7000-8000-000000000001"]
    {
        assert_eq!(service.error(path).await, (503, "clickhouse_unavailable".into()), "{path}");
    }
    assert_eq!(service.error("/v1/usage?from=x").await, (400, "invalid_parameter".into()));
    assert_eq!(service.error("/v1/requests/%ff").await, (400, "invalid_parameter".into()));
    assert_eq!(service.error("/nothing").await, (404, "not_found".into()));
    assert_eq!(service.get("/healthz").await.0, StatusCode::OK);
    let (status, body) = service.get("/readyz").await;
    assert_eq!((status.as_u16(), body.contains("cannot be reached")), (503, true), "{body}");
    let (status, metrics) = service.get("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(metrics.lines().any(|line| line == "weir_clickhouse_up 0"), "{metrics}");
    assert!(metrics.contains(r#"weir_api_answers_total{endpoint="/v1/usage",status="503"} 1"#), "{metrics}");
    assert!(!metrics.contains("/nothing"), "a path that somebody made up is no label: {metrics}");
    service.stop().await;
}

#[tokio::test]
async fn everything_but_health_asks_for_the_token() {
    let more = "[analytics]\ntoken = { plain = \"s3cret\" }\n";
    let service = Service::start(config(nobody().await, more)).await;
    for (path, with, without) in [
        ("/v1/usage", 503, 401),
        ("/v1/requests/x", 400, 401),
        ("/metrics", 200, 401),
        ("/openapi.json", 200, 401),
        ("/nothing", 404, 401),
        ("/healthz", 200, 200),
        ("/readyz", 503, 503),
    ] {
        assert_eq!(service.get(path).await.0.as_u16(), with, "{path}");
        let bare = service.client.get(format!("{}{path}", service.url)).send().await.unwrap();
        assert_eq!(bare.status().as_u16(), without, "{path}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_public_address_without_a_token_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let result = run(config(nobody().await, ""), listener, CancellationToken::new()).await;
    assert!(matches!(result, Err(Error::Unguarded(_))), "{result:?}");
}

/// Something that answers every statement with one status and text.
async fn pretend(status: StatusCode, text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().fallback(move || async move { (status, text) });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

#[tokio::test]
async fn what_clickhouse_says_decides_the_answer() {
    for (status, text, expected) in [
        (404, "Code: 60. DB::Exception: Unknown table weir.requests", (503, "clickhouse_not_migrated")),
        (403, "Code: 516. DB::Exception: default: Authentication failed", (503, "clickhouse_refused")),
        (408, "Code: 159. DB::Exception: Timeout exceeded", (504, "query_too_slow")),
        (500, "Code: 396. DB::Exception: Limit for result exceeded", (400, "query_too_large")),
        (500, "Code: 202. DB::Exception: Too many simultaneous queries", (503, "busy")),
        (500, "Code: 47. DB::Exception: Unknown identifier", (500, "query_failed")),
        (502, "Bad Gateway", (503, "clickhouse_unavailable")),
    ] {
        let clickhouse = pretend(StatusCode::from_u16(status).unwrap(), text).await;
        let service = Service::start(config(clickhouse, "")).await;
        for path in ["/v1/usage", "/v1/usage?format=csv"] {
            assert_eq!(service.error(path).await, (expected.0, expected.1.to_owned()), "{path}: {text}");
        }
        let (_, body) = service.get("/v1/usage").await;
        assert!(!body.contains("DB::Exception"), "callers do not read what is for the log: {body}");
        service.stop().await;
    }
}
