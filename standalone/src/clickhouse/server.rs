//! The HTTP server: paths, bodies in, answers out.

use std::future::IntoFuture;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::serve::ListenerExt;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, StatusCode, header, request};
use multer::Multipart;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::body;
use super::engine::Engine;
use super::exception::Exception;
use super::execute::{self, Cancel, Running};
use super::reply::{self, Arrival, Reply};
use super::request::{Call, Credentials, refuse_web_pages, url_pairs};

/// Statements that run at the same time; further ones wait. Each has a thread.
const STATEMENTS_AT_ONCE: usize = 100;
/// A form is held in memory.
const FORM_MAX_BYTES: u64 = 64 << 20;
/// What is read on of a body that nobody needs any more, so that the client gets to read why.
const DISCARD_MAX_BYTES: usize = 256 << 20;
const DISCARD_MAX_TIME: Duration = Duration::from_secs(10);
/// After an exception inside of a body, the time in which it can still leave before the connection is broken off.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// How long running statements are waited for at the end.
const DRAIN: Duration = Duration::from_secs(30);

/// What every request needs.
struct Shared {
    engine: Arc<Engine>,
    credentials: Credentials,
    slots: Arc<Semaphore>,
}

/// Serves the engine until `shutdown`, then finishes what is running.
pub(super) async fn serve(
    engine: Arc<Engine>,
    credentials: Credentials,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let shared = Arc::new(Shared { engine, credentials, slots: Arc::new(Semaphore::new(STATEMENTS_AT_ONCE)) });
    let ok = || async { "Ok.\n" };
    let router = Router::new()
        .route("/", any(root))
        .route("/ping", any(ok))
        .route("/replicas_status", any(ok))
        .fallback(no_such_path)
        .with_state(shared);
    // Without this a small insert waits 40 ms for the client's delayed acknowledgement.
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
    });
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    tokio::select! {
        ended = serving.into_future() => ended,
        () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN).await } => {
            tracing::warn!(waited_s = DRAIN.as_secs(), "statements are still running; leaving without them");
            Ok(())
        }
    }
}

async fn no_such_path(request: Request) -> Response {
    let path = request.uri().path();
    let text = format!(
        "There is no handle {path}\n\nUse / or /ping for health checks.\nSend queries from your program with POST method or GET /?query=...\n"
    );
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn root(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if reads && !url_pairs(parts.uri.query()).iter().any(|(name, _)| name == "query") {
        return "Ok.\n".into_response();
    }
    let mut body = body;
    match read(&shared, &parts, &mut body).await {
        Ok(call) => run(&shared, call, body).await,
        Err(exception) => {
            discard(body.into_data_stream()).await;
            refuse(&shared, &exception)
        }
    }
}

/// Lets the request in and takes it apart.
async fn read(shared: &Shared, parts: &request::Parts, body: &mut Body) -> Result<Call, Exception> {
    let mut pairs = url_pairs(parts.uri.query());
    refuse_web_pages(&parts.headers)?;
    shared.credentials.check(&parts.headers, &pairs)?;
    if let Some(boundary) = content_type(&parts.headers).and_then(|name| multer::parse_boundary(name).ok()) {
        pairs.extend(form(std::mem::take(body), boundary).await?);
    }
    Call::read(&parts.method, &parts.headers, &pairs, &shared.engine.facts)
}

fn refuse(shared: &Shared, exception: &Exception) -> Response {
    let (reply, mut arrival) = Reply::new(Arc::clone(&shared.engine.facts), "");
    reply.fail(exception);
    match arrival.head.try_recv() {
        Ok(head) => respond(head.status, head.headers, Body::from(head.whole.unwrap_or_default())),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// The fields of a multipart form: the statement, parameters, settings.
async fn form(body: Body, boundary: String) -> Result<Vec<(String, String)>, Exception> {
    let limit = multer::SizeLimit::new().whole_stream(FORM_MAX_BYTES);
    let constraints = multer::Constraints::new().size_limit(limit);
    let mut form = Multipart::with_constraints(body.into_data_stream(), boundary, constraints);
    let bad = |error: multer::Error| Exception::bad_arguments(format_args!("Cannot read the form: {error}"));
    let mut pairs = Vec::new();
    while let Some(field) = form.next_field().await.map_err(bad)? {
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some_and(|file| !file.is_empty()) {
            return Err(Exception::not_implemented(format_args!("External tables ({name}) are not supported here")));
        }
        pairs.push((name, field.text().await.map_err(bad)?));
    }
    Ok(pairs)
}

/// Runs a statement on a thread of its own while its body is brought there.
async fn run(shared: &Arc<Shared>, call: Call, body: Body) -> Response {
    let Ok(slot) = Arc::clone(&shared.slots).acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let running = Running::default();
    // Made before the answer's receivers, and so dropped after them: see `execute`.
    let mut cancel = Cancel::new(&shared.engine, &call, running.clone());
    let (reply, arrival) = Reply::new(Arc::clone(&shared.engine.facts), &call.query_id);
    let (sender, input) = body::channel();
    let engine = Arc::clone(&shared.engine);
    let thread = tokio::task::spawn_blocking(move || {
        execute::run(&engine, &call, input, reply, &running);
        drop(slot);
    });
    let Arrival { head, pieces } = arrival;
    let (head, ()) = tokio::join!(head, bring(body, sender));
    let Ok(head) = head else {
        cancel.settle();
        let reason = thread.await.map_or_else(|error| error.to_string(), |()| "no answer".to_owned());
        tracing::error!(reason, "the engine's thread failed");
        return (StatusCode::INTERNAL_SERVER_ERROR, "the engine's thread failed\n").into_response();
    };
    match head.whole {
        Some(body) => {
            cancel.settle();
            respond(head.status, head.headers, Body::from(body))
        }
        None => respond(head.status, head.headers, streamed(pieces, cancel)),
    }
}

/// Brings a body to the engine's thread, and lets what is no longer wanted run out.
async fn bring(body: Body, sender: mpsc::Sender<body::Piece>) {
    let mut body = body.into_data_stream();
    while let Some(data) = body.next().await {
        // A broken body: the channel closes without its end, and the thread takes it for a client that has gone.
        let Ok(data) = data else { return };
        if sender.send(body::Piece::Data(data)).await.is_err() {
            return discard(body).await;
        }
    }
    // Whether the thread still waits for it does not matter.
    let _ = sender.send(body::Piece::End).await;
}

/// Lets a body run out that nobody needs, so that a client that sends before it reads gets to read why. Over the limits
/// the answer goes out all the same, and the connection is closed behind it.
async fn discard(mut body: BodyDataStream) {
    let discarded = async {
        let mut discarded_bytes = 0;
        while let Some(Ok(data)) = body.next().await {
            discarded_bytes += data.len();
            if discarded_bytes > DISCARD_MAX_BYTES {
                break;
            }
        }
    };
    // Nothing is done differently when the time is over.
    let _ = tokio::time::timeout(DISCARD_MAX_TIME, discarded).await;
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn streamed(pieces: mpsc::Receiver<reply::Piece>, cancel: Cancel) -> Body {
    Body::from_stream(stream::unfold(Some((pieces, cancel)), |state| async move {
        let (mut pieces, mut cancel) = state?;
        let broken = match pieces.recv().await {
            Some(reply::Piece::Data(data)) => return Some((Ok(data), Some((pieces, cancel)))),
            Some(reply::Piece::End) => {
                cancel.settle();
                return None;
            }
            Some(reply::Piece::Broken) => "broken off behind an exception",
            None => "the engine's thread failed",
        };
        cancel.settle();
        tokio::time::sleep(LAST_WORDS).await;
        Some((Err(io::Error::other(broken)), None))
    }))
}
