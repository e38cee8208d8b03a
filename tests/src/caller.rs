//! Somebody who sends requests to the gateway and looks closely at what comes back.

use std::sync::Once;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Chooses the TLS implementation of this process, once. Nothing here uses TLS, but every client must have one.
pub fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The services' own mains do the same; whoever comes first has chosen the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A client of the gateway.
#[derive(Clone)]
pub struct Caller {
    base: String,
    key: String,
    http: reqwest::Client,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body's bytes as they came.
    pub body: Bytes,
    /// From sending the request to the head of the answer.
    pub head_after: Duration,
    /// From sending the request to the end of the answer.
    pub end_after: Duration,
    /// Why the body ended before its end, if it did.
    pub broken: Option<String>,
}

impl Answer {
    /// Weir's id of the request.
    pub fn request_id(&self) -> uuid::Uuid {
        request_id(&self.headers)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("a UTF-8 body")
    }
}

/// An answer that is being read.
pub struct Reading {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    response: reqwest::Response,
}

impl Reading {
    /// The next bytes; `None` at the proper end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, reqwest::Error> {
        self.response.chunk().await
    }

    /// Reads on until `text` has come, and returns everything read by this call.
    pub async fn until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            let next = tokio::time::timeout(Duration::from_secs(20), self.next()).await;
            let next = next.unwrap_or_else(|_| panic!("no {text:?} within 20 s")).expect("an unbroken answer");
            seen.extend_from_slice(&next.unwrap_or_else(|| panic!("the answer ended without {text:?}")));
        }
        String::from_utf8(seen).expect("UTF-8")
    }

    /// Everything that is left, and whether it ended properly.
    pub async fn rest(&mut self) -> (Vec<u8>, Option<String>) {
        let mut seen = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(bytes)) => seen.extend_from_slice(&bytes),
                Ok(None) => return (seen, None),
                Err(error) => return (seen, Some(format!("{error:?}"))),
            }
        }
    }

    /// Weir's id of the request.
    pub fn request_id(&self) -> uuid::Uuid {
        request_id(&self.headers)
    }
}

fn request_id(headers: &HeaderMap) -> uuid::Uuid {
    let id = headers.get("x-weir-request-id").unwrap_or_else(|| panic!("no x-weir-request-id in {headers:?}"));
    id.to_str().expect("ASCII").parse().expect("a UUID")
}

impl Caller {
    /// A client with its own connections.
    pub fn new(base: &str, key: &str) -> Self {
        Self::built(base, key, reqwest::Client::builder())
    }

    /// One whose requests share one HTTP/2 connection.
    pub fn multiplexed(base: &str, key: &str) -> Self {
        Self::built(base, key, reqwest::Client::builder().http2_prior_knowledge())
    }

    fn built(base: &str, key: &str, http: reqwest::ClientBuilder) -> Self {
        install_tls();
        let http = http.no_proxy().timeout(Duration::from_secs(120)).build();
        Self { base: base.to_owned(), key: key.to_owned(), http: http.expect("an HTTP client") }
    }

    /// The same connections with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// A request with the key as `Authorization: Bearer`; the caller adds what else it wants.
    pub fn request(&self, method: http::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key)
    }

    /// A request without any credentials.
    pub fn anonymous(&self, method: http::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// A POST of these bytes as JSON.
    pub fn post(&self, path: &str, body: impl Into<Bytes>) -> reqwest::RequestBuilder {
        self.request(http::Method::POST, path).header("content-type", "application/json").body(body.into())
    }

    /// GET of JSON that must succeed.
    pub async fn get_json(&self, path: &str) -> Value {
        let answer = read(self.request(http::Method::GET, path)).await;
        assert_eq!(answer.status, 200, "GET {path}: {:?}", answer.body);
        answer.json()
    }

    /// Sends a body and reads the whole answer.
    pub async fn send(&self, path: &str, body: &Value) -> Answer {
        read(self.post(path, body.to_string())).await
    }

    /// Sends a body over a connection of its own, reads until `text` has come, hangs up, and returns the request's id once
    /// the gateway has noticed: it closes its side as well.
    pub async fn leave_after(&self, path: &str, body: &Value, text: &str) -> uuid::Uuid {
        let host = self.base.strip_prefix("http://").expect("an http address");
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.key,
            body.len()
        );
        let mut connection = TcpStream::connect(host).await.expect("a connection to the gateway");
        connection.write_all((head + &body).as_bytes()).await.expect("a gateway that takes the request");
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            let read = tokio::time::timeout(Duration::from_secs(20), connection.read_buf(&mut seen)).await;
            let count = read.unwrap_or_else(|_| panic!("no {text:?} within 20 s")).expect("an unbroken answer");
            assert!(count > 0, "the answer ended without {text:?}: {}", String::from_utf8_lossy(&seen));
        }
        connection.shutdown().await.expect("hanging up");
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(20), connection.read_to_end(&mut rest)).await;
        // An end or a reset: either way the gateway has let go of this client.
        let _ = end.unwrap_or_else(|_| panic!("the gateway does not notice that its client has left"));
        let seen = String::from_utf8_lossy(&seen);
        let id = seen.lines().find_map(|line| line.strip_prefix("x-weir-request-id: ")).expect("x-weir-request-id");
        id.trim().parse().expect("a UUID")
    }

    /// Sends a body and reads the head of the answer only.
    pub async fn open(&self, path: &str, body: &Value) -> Reading {
        let response = self.post(path, body.to_string()).send().await.expect("an answer");
        Reading { status: response.status(), headers: response.headers().clone(), response }
    }
}

/// Sends a request and reads its answer to the end.
pub async fn read(request: reqwest::RequestBuilder) -> Answer {
    match try_read(request).await {
        Ok(answer) => answer,
        Err(error) => panic!("no answer: {error:?}"),
    }
}

/// The same, for a gateway that may not answer at all.
pub async fn try_read(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let begin = Instant::now();
    let response = request.send().await?;
    let head_after = begin.elapsed();
    let mut reading = Reading { status: response.status(), headers: response.headers().clone(), response };
    let (body, broken) = reading.rest().await;
    let Reading { status, headers, .. } = reading;
    Ok(Answer { status, headers, body: body.into(), head_after, end_after: begin.elapsed(), broken })
}
