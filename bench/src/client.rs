//! A client of the load: one connection, one request after the other, every byte checked.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::header;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::answer::{ANSWER_HEADER, Request};
use crate::error::Error;
use crate::settings::CLIENT_KEY;
use crate::stamp;

/// Who is asked, and how.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its name in errors.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it passes on what it gets byte for byte.
    pub is_byte_true: bool,
    /// Headers that it needs beside those that all get.
    pub headers: Vec<(&'static str, String)>,
}

/// Times, in microseconds.
#[derive(Clone, Debug)]
pub struct Times {
    /// From the request to the answer's head.
    pub first_byte: Histogram<u64>,
    /// From the request to the last byte.
    pub whole: Histogram<u64>,
    /// From an event's sending to its arrival, where events tell.
    pub lag: Histogram<u64>,
}

impl Times {
    /// No times yet.
    pub fn new() -> Result<Self, Error> {
        // Three digits, up to ten minutes.
        let empty = Histogram::new_with_max(600_000_000, 3).map_err(|error| Error::Setup(error.to_string()))?;
        Ok(Self { first_byte: empty.clone(), whole: empty.clone(), lag: empty })
    }

    /// Adds those of another client.
    pub fn add(&mut self, other: &Self) -> Result<(), Error> {
        let failed = |error: hdrhistogram::errors::AdditionError| Error::Setup(error.to_string());
        self.first_byte.add(&other.first_byte).map_err(failed)?;
        self.whole.add(&other.whole).map_err(failed)?;
        self.lag.add(&other.lag).map_err(failed)
    }
}

/// Notes a time, the longest that can be told where it is longer.
fn note(times: &mut Histogram<u64>, us: u64) {
    times.saturating_record(us);
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// One connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    asked: Asked,
}

/// An answer that is on its way.
pub struct Receiving {
    body: Incoming,
    status: u16,
    seen: usize,
    /// The next time in it that is to be read.
    next_stamp: usize,
}

impl Client {
    /// Connects.
    pub async fn connect(asked: &Asked) -> Result<Self, Error> {
        let (name, address) = (asked.name, asked.address);
        let stream = TcpStream::connect(address).await.map_err(Error::io(format!("connecting to {name}")))?;
        stream.set_nodelay(true).map_err(Error::io("TCP_NODELAY"))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // How it ended is told by the request that it ended under.
        tokio::spawn(connection);
        Ok(Self { sender, asked: asked.clone() })
    }

    /// One request and its whole answer.
    pub async fn send(&mut self, request: &Request, times: &mut Times) -> Result<(), Error> {
        let begun = Instant::now();
        let mut receiving = self.begin(request).await?;
        note(&mut times.first_byte, micros(begun.elapsed()));
        while receiving.next(&self.asked, request, Some(&mut times.lag)).await? {}
        note(&mut times.whole, micros(begun.elapsed()));
        let is_whole = receiving.seen == request.expected.len() || (!self.asked.is_byte_true && receiving.seen > 0);
        if receiving.status == 200 && is_whole { Ok(()) } else { Err(receiving.wrong(&self.asked, b"the end")) }
    }

    /// One request, up to the head of its answer.
    pub async fn begin(&mut self, request: &Request) -> Result<Receiving, Error> {
        self.sender.ready().await?;
        let mut http = http::Request::post(request.path.as_str())
            .header(header::HOST, "bench")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "bench/1")
            .header("x-api-key", CLIENT_KEY)
            .header(ANSWER_HEADER, request.answer.as_str());
        for (name, value) in &self.asked.headers {
            http = http.header(*name, value);
        }
        let (head, body) = self.sender.send_request(http.body(Full::new(request.body.clone()))?).await?.into_parts();
        Ok(Receiving { body, status: head.status.as_u16(), seen: 0, next_stamp: 0 })
    }

    /// Reads what comes of an answer before it falls silent.
    pub async fn read_to_silence(&self, receiving: &mut Receiving, request: &Request) -> Result<(), Error> {
        while receiving.seen < request.expected.len() && receiving.next(&self.asked, request, None).await? {}
        Ok(())
    }
}

impl Receiving {
    /// Reads and checks the next bytes; `false` at the end.
    async fn next(
        &mut self,
        asked: &Asked,
        request: &Request,
        lag: Option<&mut Histogram<u64>>,
    ) -> Result<bool, Error> {
        let Some(frame) = self.body.frame().await else { return Ok(false) };
        let Ok(chunk) = frame?.into_data() else { return Ok(true) };
        if asked.is_byte_true && (self.status != 200 || !self.is_expected(&chunk, request)) {
            return Err(self.wrong(asked, &chunk));
        }
        if let Some(lag) = lag {
            self.read_stamps(&chunk, request, lag);
        }
        self.seen += chunk.len();
        Ok(true)
    }

    /// Whether these are the next bytes, but for the times in them.
    fn is_expected(&self, chunk: &[u8], request: &Request) -> bool {
        let Some(expected) = request.expected.get(self.seen..self.seen + chunk.len()) else { return false };
        if request.stamps.is_empty() {
            return expected == chunk;
        }
        let is_time = |at: usize| {
            let place = request.stamps.partition_point(|place| place.end <= at);
            request.stamps.get(place).is_some_and(|place| place.contains(&at))
        };
        let same = |(at, (expected, seen)): (usize, (&u8, &u8))| expected == seen || is_time(self.seen + at);
        expected.iter().zip(chunk).enumerate().all(same)
    }

    /// Notes how long the events whose times stand in a chunk were under way.
    fn read_stamps(&mut self, chunk: &[u8], request: &Request, lag: &mut Histogram<u64>) {
        while let Some(place) = request.stamps.get(self.next_stamp).filter(|place| place.end <= self.seen + chunk.len())
        {
            // One that is cut by a chunk's end is left out.
            let start = place.start.checked_sub(self.seen);
            let digits = start.and_then(|start| chunk.get(start..place.end - self.seen));
            if let Some(us) = digits.and_then(stamp::lag_us) {
                note(lag, us);
            }
            self.next_stamp += 1;
        }
    }

    fn wrong(&self, asked: &Asked, seen: &[u8]) -> Error {
        let seen = String::from_utf8_lossy(seen).chars().take(200).collect();
        Error::WrongBytes { target: asked.name.to_owned(), status: self.status, at: self.seen, seen }
    }
}
