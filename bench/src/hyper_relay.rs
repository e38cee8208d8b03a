//! A floor: hyper's server and hyper-util's pooled client with nothing in between.
//!
//! Bytes go through as they come; those that are ready are joined into one frame, as the gateway does. It reads,
//! counts, checks and writes down nothing.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use gateway::upstream::burst::Burst;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use crate::error::Error;
use crate::http_server;

/// Where it listens and what is behind it.
#[derive(clap::Args)]
pub struct Options {
    /// Address to listen on.
    #[arg(long)]
    pub listen: SocketAddr,
    /// Address of the upstream.
    #[arg(long)]
    pub upstream: SocketAddr,
}

/// Relays until killed.
pub fn run(options: &Options) -> Result<(), Error> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(256).build(connector);
    let upstream = options.upstream;
    http_server::run(options.listen, move |request| forward(client.clone(), upstream, request))
}

/// Headers that belong to one connection.
pub fn for_another_connection(headers: &mut HeaderMap) {
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

async fn forward(
    client: Client<HttpConnector, Incoming>,
    upstream: SocketAddr,
    mut request: Request<Incoming>,
) -> Response<Either<Joined, Empty<Bytes>>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri = format!("http://{upstream}{path}").parse::<Uri>();
    for_another_connection(request.headers_mut());
    let Ok(uri) = uri else { return bad_gateway() };
    *request.uri_mut() = uri;
    let Ok(answer) = client.request(request).await else { return bad_gateway() };
    let (mut head, body) = answer.into_parts();
    head.headers.remove(header::TRANSFER_ENCODING);
    let mut joined = Joined { upstream: body, burst: Burst::new(Instant::now()), ready: Vec::new(), end: None };
    if joined.upstream.size_hint().exact().is_none() {
        // The head goes out with what is there of the body, in one write. In a task of its own, because every turn of
        // this one is a turn of the whole server connection.
        let gathered = tokio::spawn(async move {
            std::future::poll_fn(|context| joined.gather(context)).await;
            joined
        });
        match gathered.await {
            Ok(gathered) => joined = gathered,
            Err(_) => return bad_gateway(),
        }
    }
    Response::from_parts(head, Either::Left(joined))
}

fn bad_gateway() -> Response<Either<Joined, Empty<Bytes>>> {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

/// The upstream's body, with the frames that are ready joined.
struct Joined {
    upstream: Incoming,
    burst: Burst,
    ready: Vec<Bytes>,
    /// How the upstream ended, once it has.
    end: Option<Result<(), hyper::Error>>,
}

impl Joined {
    /// Reads what has come; pending while more of a burst may be on its way from the connection's task.
    fn gather(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.end.is_none() && (self.ready.is_empty() || !self.burst.is_full()) {
            match Pin::new(&mut self.upstream).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(chunk) = frame.into_data() else { continue };
                    self.burst.chunk(chunk.len());
                    self.ready.push(chunk);
                }
                Poll::Ready(Some(Err(error))) => self.end = Some(Err(error)),
                Poll::Ready(None) => self.end = Some(Ok(())),
                Poll::Pending if !self.ready.is_empty() && self.burst.wants_more(context) => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(())
    }
}

impl Body for Joined {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.gather(context).is_pending() {
            return Poll::Pending;
        }
        self.burst.taken();
        let joined = match self.ready.len() {
            0 | 1 => self.ready.pop().unwrap_or_default(),
            _ => std::mem::take(&mut self.ready).concat().into(),
        };
        match (joined.is_empty(), &self.end) {
            (false, _) => Poll::Ready(Some(Ok(Frame::data(joined)))),
            (true, None) => Poll::Pending,
            (true, Some(_)) => Poll::Ready(self.end.replace(Ok(())).and_then(Result::err).map(Err)),
        }
    }

    fn size_hint(&self) -> SizeHint {
        // What has been gathered already counts, and a known length is the whole body's.
        let gathered: u64 = self.ready.iter().map(|chunk| chunk.len() as u64).sum();
        self.upstream.size_hint().exact().map_or(SizeHint::default(), |rest| SizeHint::with_exact(rest + gathered))
    }
}
