//! The floor: hyper's server and the gateway's own HTTP client with nothing in between.
//!
//! Bytes go through as they come; those that are ready are joined into one frame, as the gateway does. It reads,
//! counts, checks and writes down nothing.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use gateway::upstream::burst::Burst;
use http::{Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use schemas::config::{Span, Timeouts};

use crate::error::Error;
use crate::http_server;

/// Those of the gateway's defaults; the client uses the first alone.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Span::secs(10),
    first_byte: Span::secs(30),
    idle: Span::secs(60),
    total: Span::secs(600),
    request_body: Span::secs(30),
};

/// Where it listens and what is behind it.
#[derive(clap::Args)]
pub struct Options {
    /// Address to listen on.
    #[arg(long)]
    listen: SocketAddr,
    /// Address of the upstream.
    #[arg(long)]
    upstream: SocketAddr,
}

/// Relays until killed.
pub fn run(options: &Options) -> Result<(), Error> {
    // Only a second installation in one process fails, and there is none.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = gateway::upstream::client::build(&TIMEOUTS)?;
    let upstream = options.upstream;
    http_server::run(options.listen, move |request| forward(client.clone(), upstream, request))
}

async fn forward(client: reqwest::Client, upstream: SocketAddr, request: Request<Incoming>) -> Response<Joined> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = head.headers;
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let sent = client
        .request(head.method, format!("http://{upstream}{path}"))
        .headers(headers)
        .body(reqwest::Body::wrap(body))
        .send()
        .await;
    let Ok(answer) = sent else { return bad_gateway() };
    let (mut head, body) = Response::<reqwest::Body>::from(answer).into_parts();
    head.headers.remove(header::TRANSFER_ENCODING);
    let mut joined = Joined::new(body);
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
    Response::from_parts(head, joined)
}

fn bad_gateway() -> Response<Joined> {
    let mut response = Response::new(Joined::new(reqwest::Body::default()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

/// The upstream's body, with the frames that are ready joined.
struct Joined {
    upstream: reqwest::Body,
    burst: Burst,
    ready: Vec<Bytes>,
    /// How the upstream ended, once it has.
    end: Option<Result<(), reqwest::Error>>,
}

impl Joined {
    fn new(upstream: reqwest::Body) -> Self {
        Self { upstream, burst: Burst::new(Instant::now()), ready: Vec::new(), end: None }
    }

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
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
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
