//! The HTTP client for all providers: one, so that connections, TLS sessions and HTTP/2 streams are shared.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use reqwest::redirect;
use schemas::config::Timeouts;

use super::body::Body;
use super::direct::{Direct, Sent};
use super::error::Error;

const USER_AGENT: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Its own connections cannot have TLS.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The full client.
    #[error(transparent)]
    Shared(#[from] reqwest::Error),
}

/// Sends requests to providers.
///
/// Where a provider speaks HTTP/1.1 and no proxy stands before it, its connections are our own: the task that relays an
/// answer reads the socket itself. HTTP/2, whose connections many requests share, and proxies are reqwest's.
#[derive(Clone, Debug)]
pub struct Client {
    direct: Arc<Direct>,
    shared: reqwest::Client,
}

impl Client {
    /// Builds the client. Call once per process.
    ///
    /// No total timeout: the pipeline times every phase itself. No redirects: they would carry our key elsewhere (W30). No
    /// decompression: bytes go through as they are.
    pub fn build(timeouts: &Timeouts) -> Result<Self, BuildError> {
        let shared = reqwest::Client::builder()
            .connect_timeout(timeouts.connect.0)
            .redirect(redirect::Policy::none())
            .tcp_nodelay(true)
            .tcp_keepalive(KEEPALIVE)
            .pool_max_idle_per_host(256)
            .pool_idle_timeout(Duration::from_secs(60))
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self { direct: Arc::new(Direct::new(timeouts.connect.0, KEEPALIVE)?), shared })
    }

    /// Sends a request to an absolute `http` or `https` URI, and waits for the answer's head.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Body>, Error> {
        let headers = request.headers_mut();
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        match self.direct.send(request).await {
            Sent::Here(answered) => answered,
            Sent::Other(request) => {
                let response = self.shared.execute(request.try_into()?).await?;
                Ok(Response::<reqwest::Body>::from(response).map(Body::Shared))
            }
        }
    }
}
