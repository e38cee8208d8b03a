//! HTTP: connections and routes.

use std::time::Duration;

use http::header::ALLOW;
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use schemas::outcome::Format;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Simulator;
use super::answer;
use super::ask::{Ask, Refusal};
use super::playback::Ended;
use super::reply::{Reply, refuse, respond};

/// Largest request body.
pub(super) const BODY_MAX_BYTES: usize = 64 << 20;
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn serve(simulator: Simulator, listener: TcpListener, shutdown: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            // A connection that broke while it was accepted, or no free file descriptor: try the next after a moment.
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(simulator.clone(), stream, shutdown.clone()))),
                Err(_) => sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    let _ = timeout(STOP_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one connection. How it ended is no concern of the provider: the tally knows what each answer came to.
async fn connection(simulator: Simulator, stream: TcpStream, shutdown: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| route(simulator.clone(), request));
    let builder = Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// An error closes the connection without a response, which is what [`super::Fault::Drop`] is.
async fn route(simulator: Simulator, request: Request<Incoming>) -> Result<Reply, Ended> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (get, post) = (Method::GET, Method::POST);
    let (allowed, format) = match path.as_str() {
        "/v1/messages" | "/v1/messages/count_tokens" => (post, Format::Anthropic),
        "/v1/chat/completions" => (post, Format::OpenaiChat),
        "/v1/models" if request.headers().contains_key("anthropic-version") => (get, Format::Anthropic),
        "/v1/models" | "/tally" => (get, Format::OpenaiChat),
        _ => return Ok(refuse(Format::OpenaiChat, 404, &format!("Unknown request URL: {method} {path}"), "")),
    };
    if method != allowed {
        let mut reply = refuse(format, 405, &format!("{method} is not allowed here: use {allowed}"), "");
        if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
            reply.headers_mut().insert(ALLOW, allowed);
        }
        return Ok(reply);
    }
    match path.as_str() {
        "/tally" => Ok(respond(200, &json!(simulator.tally()))),
        "/v1/models" => Ok(respond(200, &models(format, &simulator.options.models))),
        "/v1/messages/count_tokens" => Ok(count_tokens(request).await),
        _ => answer::complete(&simulator, format, request).await,
    }
}

async fn count_tokens(request: Request<Incoming>) -> Reply {
    let Ok(body) = Limited::new(request.into_body(), BODY_MAX_BYTES).collect().await else {
        return refuse(Format::Anthropic, 413, "Request exceeds the maximum size", "");
    };
    // Counting asks for no `max_tokens`, which is the one thing in which the two requests differ.
    let mut value: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("max_tokens".to_owned(), Value::from(1));
    }
    match Ask::read(Format::Anthropic, value.to_string().as_bytes()) {
        Ok(ask) => respond(200, &json!({"input_tokens": ask.input_tokens})),
        Err(Refusal { status, message }) => refuse(Format::Anthropic, status, &message, ""),
    }
}

fn models(format: Format, names: &[String]) -> Value {
    let created = 1_748_000_000;
    if format == Format::Anthropic {
        let entry = |name: &String| json!({"type": "model", "id": name, "display_name": name, "created_at": "2025-05-23T00:00:00Z"});
        let data: Vec<Value> = names.iter().map(entry).collect();
        return json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()});
    }
    let entry = |name: &String| json!({"id": name, "object": "model", "created": created, "owned_by": "simulator"});
    json!({"object": "list", "data": names.iter().map(entry).collect::<Vec<Value>>()})
}
