//! A provider that answers exactly as the test says, byte by byte, over a real socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the gateway sent.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Every header.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

impl Received {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// A step of a scripted body.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes, written by themselves.
    Send(Bytes),
    /// These bytes, so many times, made only as they are taken.
    Repeat(Bytes, u64),
    /// Nothing for a while.
    Pause(Duration),
    /// Nothing until the test opens the gate.
    Await(Gate),
    /// Nothing, ever, until the other side leaves.
    Stall,
    /// The connection is closed in the middle of the body.
    Cut,
}

/// Holds a scripted answer until the test lets it go on.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets everybody through from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn passed(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// A scripted answer.
#[derive(Clone, Debug)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Script,
}

#[derive(Clone, Debug)]
enum Script {
    /// With its length.
    Whole(Bytes),
    /// Chunked.
    Steps(Vec<Step>),
}

impl Reply {
    /// A body in one piece, with its length announced.
    pub fn whole(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::new(status, content_type, Script::Whole(body.into()))
    }

    /// A body in steps, its length unknown.
    pub fn steps(status: u16, content_type: &str, steps: Vec<Step>) -> Self {
        Self::new(status, content_type, Script::Steps(steps))
    }

    /// A stream of events, each written by itself.
    pub fn events(events: Vec<Bytes>) -> Self {
        Self::steps(200, "text/event-stream; charset=utf-8", events.into_iter().map(Step::Send).collect())
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Adds or replaces a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header name");
        self.headers.insert(name, HeaderValue::try_from(value).expect("a header value"));
        self
    }

    fn new(status: u16, content_type: &str, body: Script) -> Self {
        let status = StatusCode::from_u16(status).expect("an HTTP status");
        Self { status, headers: HeaderMap::new(), body }.header("content-type", content_type)
    }

    fn into_response(self, inner: &Arc<Inner>) -> Response {
        let body = match self.body {
            Script::Whole(bytes) => Body::from(bytes),
            Script::Steps(steps) => {
                let inner = Arc::clone(inner);
                let steps = futures_util::stream::iter(steps.into_iter().flat_map(Step::singly));
                let pieces = steps.filter_map(take).inspect_ok(move |bytes| {
                    inner.sent_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                });
                Body::from_stream(pieces)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Yields before each piece: the server then writes out what it has, so that pieces do not grow together on the way.
async fn take(step: Step) -> Option<Result<Bytes, std::io::Error>> {
    match step {
        Step::Send(bytes) => {
            tokio::task::yield_now().await;
            Some(Ok(bytes))
        }
        Step::Pause(time) => {
            tokio::time::sleep(time).await;
            None
        }
        Step::Await(gate) => {
            gate.passed().await;
            None
        }
        Step::Stall => std::future::pending().await,
        Step::Cut => {
            tokio::task::yield_now().await;
            Some(Err(std::io::Error::other("cut by the script")))
        }
        Step::Repeat(..) => unreachable!("taken apart before"),
    }
}

impl Step {
    /// A repeated step as the single ones that it stands for.
    fn singly(self) -> impl Iterator<Item = Self> {
        let (step, times) = match self {
            Self::Repeat(bytes, times) => (Self::Send(bytes), times),
            single => (single, 1),
        };
        std::iter::repeat_n(step, usize::try_from(times).expect("a countable number of times"))
    }
}

type Answer = dyn Fn(&Received) -> Reply + Send + Sync;

struct Inner {
    answer: Box<Answer>,
    connections: AtomicU64,
    sent_bytes: AtomicU64,
    received: Mutex<Vec<Received>>,
}

/// A provider on a port of its own. It ends when dropped.
pub struct Provider {
    address: SocketAddr,
    inner: Arc<Inner>,
    _end: DropGuard,
}

impl Provider {
    /// Starts a provider that answers every request with what `answer` says.
    pub async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the port just bound");
        let inner = Arc::new(Inner {
            answer: Box::new(answer),
            connections: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            received: Mutex::default(),
        });
        let router = axum::Router::new().fallback(respond).with_state(Arc::clone(&inner));
        let end = CancellationToken::new();
        let counted = Arc::clone(&inner);
        let listener = listener.tap_io(move |stream| {
            counted.connections.fetch_add(1, Ordering::Relaxed);
            stream.set_nodelay(true).expect("TCP_NODELAY");
        });
        let served = axum::serve(listener, router);
        tokio::spawn(end.clone().run_until_cancelled_owned(async move { served.await }));
        Self { address, inner, _end: end.drop_guard() }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often somebody has connected.
    pub fn connections(&self) -> u64 {
        self.inner.connections.load(Ordering::Relaxed)
    }

    /// Bytes of scripted bodies that were taken from it so far.
    pub fn sent_bytes(&self) -> u64 {
        self.inner.sent_bytes.load(Ordering::Relaxed)
    }

    /// Everything it was asked, in order.
    pub fn received(&self) -> Vec<Received> {
        self.inner.received.lock().expect("the list of requests").clone()
    }
}

async fn respond(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Infallible> {
    let (head, body) = request.into_parts();
    // A gateway that goes away while it sends has asked for nothing.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return Ok(Response::new(Body::empty()));
    };
    let received = Received { method: head.method, uri: head.uri, headers: head.headers, body };
    let reply = (inner.answer)(&received);
    inner.received.lock().expect("the list of requests").push(received);
    Ok(reply.into_response(&inner))
}
