//! Connections and paths. No decisions about requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use axum::routing::{MethodRouter, any};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use schemas::outcome::{Format, Operation};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pipeline::{self, Route};
use crate::reload::Current;

/// The open connections of a server that has stopped accepting.
pub(crate) struct Connections(TaskTracker);

impl Connections {
    /// Waits until they are closed, or for `limit`.
    pub(crate) async fn finish(self, limit: Duration) {
        self.0.close();
        let _closed_in_time = tokio::time::timeout(limit, self.0.wait()).await;
    }
}

/// Accepts connections until `shutdown`; then asks all of them to end after their running request.
pub(crate) async fn serve(listener: TcpListener, current: Arc<Current>, shutdown: CancellationToken) -> Connections {
    let router = router(&current);
    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: leave those that are open time to end.
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = shutdown.cancelled() => return Connections(connections),
        };
        let write_limit = current.get().timeouts.idle.0;
        connections.spawn(connection(stream, write_limit, router.clone(), shutdown.clone()));
    }
}

async fn connection(stream: TcpStream, write_limit: Duration, router: Router, shutdown: CancellationToken) {
    // Without this a small event waits for the previous one's acknowledgement: 40 ms on Linux.
    let _best_effort = stream.set_nodelay(true);
    // A client that stops reading would hold its stream, and the provider's, for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_limit));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30)).half_close(false);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
    let serving = builder.serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

fn router(current: &Arc<Current>) -> Router {
    let generate = |format| handler(current, move |_| Route::Upstream(Operation::Generate, format));
    let count = handler(current, |_| Route::Upstream(Operation::CountTokens, Format::Anthropic));
    let models = || handler(current, |request| Route::Models(dialect(request.headers(), request.uri().path())));
    Router::new()
        .route("/v1/messages", generate(Format::Anthropic))
        .route("/v1/messages/count_tokens", count)
        .route("/v1/chat/completions", generate(Format::OpenaiChat))
        .route("/v1/responses", generate(Format::OpenaiResponses))
        .route("/v1/models", models())
        .route("/v1/models/{*model_and_action}", handler(current, model))
        .route("/v1beta/models", models())
        .route("/v1beta/models/{*model_and_action}", handler(current, |request| gemini(request.uri().path())))
        .fallback_service(handler(current, |request| Route::Unknown(dialect(request.headers(), request.uri().path()))))
}

/// Hands a request to the pipeline, under what its path means.
fn handler(
    current: &Arc<Current>,
    route: impl Fn(&Request<Body>) -> Route + Clone + Send + Sync + 'static,
) -> MethodRouter {
    let current = Arc::clone(current);
    any(move |request: Request<Body>| {
        let route = route(&request);
        pipeline::handle(current.get(), route, request)
    })
}

/// Gemini has the action in the path's last segment, behind the model and a colon.
fn gemini(path: &str) -> Route {
    match path.rsplit_once(':').map(|(_, action)| action) {
        Some("generateContent" | "streamGenerateContent") => Route::Upstream(Operation::Generate, Format::Gemini),
        Some("countTokens") => Route::Upstream(Operation::CountTokens, Format::Gemini),
        Some(_) => Route::Unknown(Format::Gemini),
        None => Route::Models(Format::Gemini),
    }
}

/// Gemini's stable version shares this path with the other APIs, whose models may have a colon in their names.
fn model(request: &Request<Body>) -> Route {
    match gemini(request.uri().path()) {
        upstream @ Route::Upstream(..) => upstream,
        _ => Route::Models(dialect(request.headers(), request.uri().path())),
    }
}

/// The dialect of a client that asks for a path which does not exist.
fn dialect(headers: &HeaderMap, path: &str) -> Format {
    if headers.contains_key("anthropic-version") || path.starts_with("/v1/messages") {
        Format::Anthropic
    } else if headers.contains_key("x-goog-api-key") || path.starts_with("/v1beta") {
        Format::Gemini
    } else {
        Format::OpenaiChat
    }
}
