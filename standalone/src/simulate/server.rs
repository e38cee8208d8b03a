//! HTTP: connections and routes.

use std::time::Duration;

use http::header::ALLOW;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use schemas::outcome::Format;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Simulator;
use super::answer;
use super::ask::{Ask, Refusal};
use super::dialect;
use super::endpoint::{Address, Endpoint};
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
    let (method, path) = (request.method(), request.uri().path());
    let speaker = match request.headers() {
        headers if headers.contains_key("anthropic-version") => Format::Anthropic,
        headers if headers.contains_key("x-goog-api-key") || path.starts_with("/v1beta/") => Format::Gemini,
        _ => Format::OpenaiChat,
    };
    let Some(endpoint) = Endpoint::of(path, request.uri().query().unwrap_or_default(), speaker) else {
        return Ok(refuse(speaker, 404, &format!("Unknown request URL: {method} {path}"), ""));
    };
    let (allowed, format) = (endpoint.method(), endpoint.format());
    if *method != allowed {
        let mut reply = refuse(format, 405, &format!("{method} is not allowed here: use {allowed}"), "");
        if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
            reply.headers_mut().insert(ALLOW, allowed);
        }
        return Ok(reply);
    }
    match endpoint {
        Endpoint::Tally => Ok(respond(200, &json!(simulator.tally()))),
        Endpoint::Models(format) => Ok(respond(200, &dialect::models(format, &simulator.options.models))),
        Endpoint::Complete(address) if address.counts => Ok(count_tokens(&address, request).await),
        Endpoint::Complete(address) => answer::complete(&simulator, &address, request).await,
    }
}

async fn count_tokens(address: &Address, request: Request<Incoming>) -> Reply {
    let Ok(body) = Limited::new(request.into_body(), BODY_MAX_BYTES).collect().await else {
        return refuse(address.format, 413, "Request exceeds the maximum size", "");
    };
    match Ask::read(address, &body.to_bytes()) {
        Ok(ask) => respond(200, &dialect::count(&ask)),
        Err(Refusal { status, message }) => refuse(address.format, status, &message, ""),
    }
}
