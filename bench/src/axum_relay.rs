//! A floor: axum and reqwest, frame by frame, as a proxy in Rust is usually written.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode, header};
use std::net::SocketAddr;
use tokio::net::TcpListener;

use crate::error::Error;
use crate::hyper_relay::{Options, for_another_connection};

/// Relays until killed.
pub fn run(options: &Options) -> Result<(), Error> {
    // Only a second installation in one process fails, and there is none.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().tcp_nodelay(true).pool_max_idle_per_host(256).build()?;
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("a runtime"))?;
    runtime.block_on(async {
        let listen = options.listen;
        let listener = TcpListener::bind(listen).await.map_err(Error::io(format!("listening on {listen}")))?;
        let router = Router::new().fallback(forward).with_state((client, options.upstream));
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream: &mut tokio::net::TcpStream| {
            let _best_effort = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await.map_err(Error::io("serving"))
    })
}

async fn forward(State((client, upstream)): State<(reqwest::Client, SocketAddr)>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = head.headers;
    for_another_connection(&mut headers);
    let sent = client
        .request(head.method, format!("http://{upstream}{path}"))
        .headers(headers)
        .body(reqwest::Body::wrap_stream(body.into_data_stream()))
        .send()
        .await;
    let Ok(answer) = sent else {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        return response;
    };
    let (mut head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
    head.headers.remove(header::TRANSFER_ENCODING);
    Response::from_parts(head, Body::new(body))
}
