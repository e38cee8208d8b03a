//! The load: clients that send one request after the other over a connection of their own, and check every byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::answer::{ANSWER_HEADER, Request};
use crate::error::Error;
use crate::process::Process;
use crate::target::{CLIENT_KEY, Running};

/// What the closed loop saw.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    /// Requests that were answered in the window.
    pub requests: u64,
    /// Length of the window.
    pub window: Duration,
    /// CPU that the target used in the window, in microseconds; `None` without a target.
    pub cpu_us: Option<u64>,
    /// Median of the time from request to last byte, in microseconds.
    pub median_us: u64,
}

/// How the closed loop runs.
#[derive(Clone, Copy, Debug)]
pub struct Loop {
    /// Clients at once.
    pub clients: usize,
    /// Before the window.
    pub warm_up: Duration,
    /// The window.
    pub window: Duration,
}

/// One connection.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    target: &'static str,
}

/// An answer that is on its way.
struct Receiving {
    body: Incoming,
    status: u16,
    seen: usize,
}

/// Sends requests in a closed loop; figures are of the window alone.
pub async fn closed_loop(
    to: (&'static str, SocketAddr),
    process: Option<&Process>,
    request: &Arc<Request>,
    how: Loop,
) -> Result<Observed, Error> {
    let (answered, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut workers = JoinSet::new();
    for _ in 0..how.clients {
        let (request, answered, ended) = (Arc::clone(request), Arc::clone(&answered), Arc::clone(&ended));
        workers.spawn(async move {
            let mut client = Client::connect(to).await?;
            let mut took_us = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let begun = Instant::now();
                client.send(&request).await?;
                took_us.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Error>(took_us)
        });
    }
    let watch = async {
        tokio::time::sleep(how.warm_up).await;
        let cpu_us = || process.map(Process::cpu_us).transpose();
        let (begun, before, cpu_before) = (Instant::now(), answered.load(Ordering::Relaxed), cpu_us()?);
        tokio::time::sleep(how.window).await;
        let (window, after, cpu_after) = (begun.elapsed(), answered.load(Ordering::Relaxed), cpu_us()?);
        ended.store(true, Ordering::Relaxed);
        let cpu_us = cpu_after.zip(cpu_before).map(|(after, before)| after - before);
        Ok::<_, Error>(Observed { requests: after - before, window, cpu_us, median_us: 0 })
    };
    let mut observed = watch.await?;
    let mut took_us = Vec::new();
    while let Some(worker) = workers.join_next().await {
        took_us.extend(worker.map_err(|error| Error::Setup(format!("a client of the load: {error}")))??);
    }
    took_us.sort_unstable();
    observed.median_us = took_us.get(took_us.len() / 2).copied().unwrap_or(0);
    Ok(observed)
}

/// Streams that have begun and stay open.
pub struct Held(
    #[expect(dead_code, reason = "the streams stay open for as long as this value lives")] Vec<(Client, Receiving)>,
);

/// Opens streams and reads what comes of each before it falls silent.
pub async fn hold(target: &Running, request: &Request, streams: usize) -> Result<Held, Error> {
    let mut held = Vec::with_capacity(streams);
    for _ in 0..streams {
        let mut client = Client::connect((target.name, target.address)).await?;
        let mut receiving = client.begin(request).await?;
        while receiving.seen < request.expected.len() && receiving.next(client.target, request).await? {}
        held.push((client, receiving));
    }
    Ok(Held(held))
}

impl Client {
    async fn connect((target, address): (&'static str, SocketAddr)) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await.map_err(Error::io(format!("connecting to {target}")))?;
        stream.set_nodelay(true).map_err(Error::io("TCP_NODELAY"))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // How it ended is told by the request that it ended under.
        tokio::spawn(connection);
        Ok(Self { sender, target })
    }

    /// One request and its whole answer.
    async fn send(&mut self, request: &Request) -> Result<(), Error> {
        let mut receiving = self.begin(request).await?;
        while receiving.next(self.target, request).await? {}
        if receiving.seen != request.expected.len() {
            return Err(receiving.wrong(self.target, receiving.seen, b"the end"));
        }
        Ok(())
    }

    async fn begin(&mut self, request: &Request) -> Result<Receiving, Error> {
        self.sender.ready().await?;
        let http = http::Request::post(request.path.as_str())
            .header(header::HOST, "bench")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "bench/1")
            .header("x-api-key", CLIENT_KEY)
            .header(ANSWER_HEADER, request.answer)
            .body(Full::new(request.body.clone()))?;
        let (head, body) = self.sender.send_request(http).await?.into_parts();
        Ok(Receiving { body, status: head.status.as_u16(), seen: 0 })
    }
}

impl Receiving {
    /// Reads and checks the next bytes; `false` at the end.
    async fn next(&mut self, target: &'static str, request: &Request) -> Result<bool, Error> {
        let Some(frame) = self.body.frame().await else { return Ok(false) };
        let Ok(chunk) = frame?.into_data() else { return Ok(true) };
        let expected = request.expected.get(self.seen..).unwrap_or_default();
        if self.status != 200 || !expected.starts_with(&chunk) {
            let same = expected.iter().zip(&chunk).take_while(|(expected, seen)| expected == seen).count();
            return Err(self.wrong(target, self.seen + same, chunk.get(same..).unwrap_or_default()));
        }
        self.seen += chunk.len();
        Ok(true)
    }

    fn wrong(&self, target: &str, at: usize, seen: &[u8]) -> Error {
        let seen = String::from_utf8_lossy(seen).chars().take(200).collect();
        Error::WrongBytes { target: target.to_owned(), status: self.status, at, seen }
    }
}
