//! HTTP/1.1 to providers, without a task between the socket and the relay.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use tower_service::Service;

use super::body::Body;
use super::connection::{Connection, Unanswered};
use super::error::Error;
use super::idle::Idle;

/// How often idle connections are looked through.
const SWEEP_PERIOD: Duration = Duration::from_secs(10);
/// Idle connections may be closed just as they are used. After so many the request gets a new one.
const IDLE_TRIES: usize = 8;

/// Connections of our own.
#[derive(Debug)]
pub(super) struct Direct {
    connector: HttpsConnector<HttpConnector>,
    connect_timeout: Duration,
    proxies: Matcher,
    origins: Arc<Origins>,
}

type Origins = RwLock<HashMap<(Scheme, Authority), Arc<Origin>>>;

/// Where requests go.
#[derive(Debug)]
struct Origin {
    idle: Arc<Idle>,
    host: HeaderValue,
    /// It does not speak HTTP/1.1 with us, or only a proxy reaches it.
    is_other: AtomicBool,
}

/// What became of a request.
pub(super) enum Sent {
    /// It was answered, or not.
    Here(Result<Response<Body>, Error>),
    /// The origin speaks HTTP/2, or a proxy is in between: another client's business.
    Other(Request<Bytes>),
}

impl Direct {
    pub(super) fn new(connect_timeout: Duration, keepalive: Duration) -> Result<Self, rustls::Error> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        // Without it a small request waits for the acknowledgement of the one before.
        http.set_nodelay(true);
        http.set_keepalive(Some(keepalive));
        // All of it is timed below; this shares the time among several addresses of one name.
        http.set_connect_timeout(Some(connect_timeout));
        let connector = HttpsConnectorBuilder::new()
            .try_with_platform_verifier()?
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let (proxies, origins) = (Matcher::from_system(), Arc::default());
        Ok(Self { connector, connect_timeout, proxies, origins })
    }

    /// Sends a request to an absolute URI.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Sent {
        let Some(origin) = self.origin(request.uri()) else { return Sent::Other(request) };
        if origin.is_other.load(Ordering::Relaxed) {
            return Sent::Other(request);
        }
        let uri = request.uri().clone();
        let outgoing = origin_form(request, &origin);
        for _ in 0..IDLE_TRIES {
            let Some(connection) = origin.idle.take() else { break };
            match connection.send(&outgoing, &origin.idle).await {
                Ok(response) => return Sent::Here(Ok(response)),
                Err(Unanswered::Unsent) => {}
                Err(Unanswered::Lost(error)) => return Sent::Here(Err(error)),
            }
        }
        match self.connect(&uri).await {
            Ok(Some(connection)) => Sent::Here(connection.send(&outgoing, &origin.idle).await.map_err(told)),
            Ok(None) => {
                origin.is_other.store(true, Ordering::Relaxed);
                Sent::Other(absolute_form(outgoing, uri))
            }
            Err(error) => Sent::Here(Err(error)),
        }
    }

    /// A new connection; `None` if the origin has chosen HTTP/2.
    async fn connect(&self, uri: &Uri) -> Result<Option<Box<Connection>>, Error> {
        let mut connector = self.connector.clone();
        let connecting = async {
            let stream = connector.call(uri.clone()).await.map_err(|error| Error::connect(&*error))?;
            if stream.connected().is_negotiated_h2() {
                return Ok(None);
            }
            Ok(Some(Box::new(Connection::new(stream))))
        };
        let connected = tokio::time::timeout(self.connect_timeout, connecting).await;
        connected.unwrap_or_else(|_| Err(Error::Connect("operation timed out".to_owned())))
    }

    /// What is known of an origin. `None` for a URI that only a full client understands.
    fn origin(&self, uri: &Uri) -> Option<Arc<Origin>> {
        let key = (uri.scheme()?.clone(), uri.authority()?.clone());
        let known = self.origins.read().unwrap_or_else(PoisonError::into_inner).get(&key).map(Arc::clone);
        if known.is_some() {
            return known;
        }
        // An address with a name and a password in it is left to those who know what it means.
        let is_other = key.1.as_str().contains('@') || self.proxies.intercept(uri).is_some();
        let host = HeaderValue::from_str(key.1.as_str()).ok()?;
        let origin = Arc::new(Origin { idle: Arc::default(), host, is_other: AtomicBool::new(is_other) });
        let mut origins = self.origins.write().unwrap_or_else(PoisonError::into_inner);
        if origins.is_empty() {
            tokio::spawn(sweep(Arc::downgrade(&self.origins)));
        }
        Some(Arc::clone(origins.entry(key).or_insert(origin)))
    }
}

/// Looks through idle connections for as long as there is a client.
async fn sweep(origins: Weak<Origins>) {
    loop {
        tokio::time::sleep(SWEEP_PERIOD).await;
        let Some(origins) = origins.upgrade() else { return };
        let all: Vec<_> = origins.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        all.iter().for_each(|origin| origin.idle.sweep());
    }
}

/// The request as HTTP/1.1 has it: a path, and the host in a header of ours.
fn origin_form(mut request: Request<Bytes>, origin: &Origin) -> Request<Bytes> {
    let path = request.uri().path_and_query().map_or_else(|| Uri::from_static("/"), |path| path.clone().into());
    *request.uri_mut() = path;
    request.headers_mut().insert(header::HOST, origin.host.clone());
    request
}

/// The request as it was.
fn absolute_form(mut request: Request<Bytes>, uri: Uri) -> Request<Bytes> {
    *request.uri_mut() = uri;
    request.headers_mut().remove(header::HOST);
    request
}

fn told(unanswered: Unanswered) -> Error {
    match unanswered {
        Unanswered::Lost(error) => error,
        Unanswered::Unsent => Error::Lost("it was closed before the request was sent".to_owned()),
    }
}
