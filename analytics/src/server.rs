//! Routes, authentication by default, health. No SQL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clickhouse::ClickHouse;
use crate::dashboard;
use crate::endpoints;
use crate::error::Error;
use crate::exposition::Exposition;
use crate::live::Listeners;
use crate::queries;
use crate::rollups::Backfill;
use crate::tellings::Teller;

/// The only paths that answer without a token: they say nothing about anybody's use.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];
/// How long a readiness check waits for ClickHouse.
const READY_WAIT: Duration = Duration::from_secs(2);

/// Everything that requests are answered from.
pub struct App {
    /// The rows.
    pub clickhouse: ClickHouse,
    /// The metrics.
    pub exposition: Exposition,
    /// Who may ask; `None` on a loopback address without a configured token.
    pub token: Option<Token>,
    /// What gateways and recorders tell in NATS.
    pub teller: Teller,
    /// Who is told of requests as they end.
    pub listeners: Arc<Listeners>,
    /// Whether the rollups hold everything.
    pub backfill: Backfill,
    /// The longest that a request can take to its last row.
    pub request_time_max: Duration,
}

/// What the app is to handlers.
pub type Shared = State<Arc<App>>;

/// A digest of the bearer token: comparing digests takes the same time whatever was sent, its length included.
pub struct Token([u8; 32]);

impl Token {
    /// Keeps the digest and forgets the token.
    pub fn new(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        match sent {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
                let digest: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
                digest.ct_eq(&self.0).into()
            }
            _ => false,
        }
    }
}

/// All paths of the service.
pub fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/usage", get(endpoints::usage::answer))
        .route("/v1/costs", get(endpoints::costs::answer))
        .route("/v1/latency", get(endpoints::latency::answer))
        .route("/v1/failures", get(endpoints::failures::answer))
        .route("/v1/providers", get(endpoints::providers::answer))
        .route("/v1/requests", get(endpoints::requests::answer))
        .route("/v1/requests/{id}", get(endpoints::request::answer))
        .route("/v1/audit", get(endpoints::audit::answer))
        .route("/v1/live", get(endpoints::live::answer))
        .route("/openapi.json", get(endpoints::openapi::answer))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .fallback(|| async { Error::NotFound })
        .method_not_allowed_fallback(|| async { Error::MethodNotAllowed })
        .layer(from_fn_with_state(app.clone(), authenticate))
        // Behind the layer above, which asks for the token: here is only the form to enter it.
        .merge(dashboard::routes())
        .layer(from_fn_with_state(app.clone(), observe))
        .with_state(app)
}

async fn authenticate(State(app): Shared, request: Request, next: Next) -> Response {
    let open = OPEN_PATHS.contains(&request.uri().path());
    match &app.token {
        Some(token) if !open && !token.admits(request.headers()) => Error::Unauthorized.into_response(),
        _ => next.run(request).await,
    }
}

async fn observe(State(app): Shared, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let endpoint = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    app.exposition.answered(endpoint.as_deref().unwrap_or("other"), response.status(), started.elapsed());
    // What somebody spends is for who asked, not for caches on the way; the dashboard's own files say otherwise.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn metrics(State(app): Shared) -> Response {
    match app.exposition.render().await {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn healthy() -> &'static str {
    "ok\n"
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    missing: Vec<String>,
}

async fn ready(State(app): Shared) -> (StatusCode, Json<Readiness>) {
    let missing = match tokio::time::timeout(READY_WAIT, queries::check_tables(&app.clickhouse)).await {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(error)) => vec![error.to_string()],
        Err(_) => vec![format!("ClickHouse did not answer within {} s", READY_WAIT.as_secs())],
    };
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: missing.is_empty(), missing }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_admitted() {
        let token = Token::new("s3cret");
        let admits = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            token.admits(&headers)
        };
        assert!(admits("Bearer s3cret"));
        assert!(admits("bearer s3cret "));
        for wrong in ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crett", "Basic s3cret", "s3cret"] {
            assert!(!admits(wrong), "{wrong:?}");
        }
        assert!(!token.admits(&HeaderMap::new()));
    }
}
