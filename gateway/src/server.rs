//! Connections and paths. No decisions about requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use schemas::outcome::{Format, Operation};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pipeline::{self, Route};
use crate::reload::Current;

/// Most bytes that wait in a connection for its client to read them; a request's head must fit in it, too.
const BUFFER_MAX: usize = 64 << 10;

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
        connections.spawn(connection(stream, Arc::clone(&current), shutdown.clone()));
    }
}

async fn connection(stream: TcpStream, current: Arc<Current>, shutdown: CancellationToken) {
    // Without this a small event waits for the previous one's acknowledgement: 40 ms on Linux.
    let _best_effort = stream.set_nodelay(true);
    // A client that stops reading would hold its stream, and the provider's, for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(current.get().timeouts.idle.0));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30)).half_close(false);
    builder.http1().max_buf_size(BUFFER_MAX);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
    let service = service_fn(move |request: Request<Incoming>| {
        let handled = pipeline::handle(current.get(), route(&request), request.map(Body::new));
        // In a box, so that a connection does not keep the room that a request needs for as long as it is open.
        let handled = Box::pin(handled);
        async move { Ok::<_, Infallible>(handled.await) }
    });
    let serving = builder.serve_connection(TokioIo::new(Box::pin(stream)), service);
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

/// What a path means.
fn route<B>(request: &Request<B>) -> Route {
    let path = request.uri().path();
    let is_below = |parent: &str| path.strip_prefix(parent).is_some_and(|rest| !rest.is_empty());
    match path {
        "/v1/messages" => Route::Upstream(Operation::Generate, Format::Anthropic),
        "/v1/messages/count_tokens" => Route::Upstream(Operation::CountTokens, Format::Anthropic),
        "/v1/chat/completions" => Route::Upstream(Operation::Generate, Format::OpenaiChat),
        "/v1/responses" => Route::Upstream(Operation::Generate, Format::OpenaiResponses),
        "/v1/models" | "/v1beta/models" => Route::Models(dialect(request.headers(), path)),
        _ if is_below("/v1beta/models/") => gemini(path),
        _ if is_below("/v1/models/") => model(request),
        _ => Route::Unknown(dialect(request.headers(), path)),
    }
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
fn model<B>(request: &Request<B>) -> Route {
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
