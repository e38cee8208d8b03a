//! The client against scripted servers: which connections are used again, and what becomes of those that break.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use schemas::config::{Span, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::body::Body;
use super::client::Client;
use super::error::Error;

mod answers;

fn client() -> Client {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let seconds = Span::secs;
    let timeouts = Timeouts {
        connect: seconds(5),
        first_byte: seconds(5),
        plain_first_byte: seconds(5),
        idle: seconds(5),
        total: seconds(5),
        request_body: seconds(5),
    };
    Client::build(&timeouts).unwrap()
}

fn request(address: SocketAddr, path: &str) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from_static(b"{\"model\":\"m\"}"));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("http://{address}{path}").parse().unwrap();
    request
}

async fn text(answer: Response<Body>) -> Result<String, Error> {
    answer.into_body().collect().await.map(|body| String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

/// What a server does with a connection, given what came of a request and its number on this connection.
#[derive(Clone, Copy)]
enum Then {
    Send(&'static [u8]),
    SendAndClose(&'static [u8]),
    Close,
}

/// Serves by a script; returns its address and how many connections it has accepted.
async fn server(script: fn(&str, usize) -> Then) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, accepted) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, script));
        }
    });
    (address, accepted)
}

async fn serve(mut stream: TcpStream, script: fn(&str, usize) -> Then) {
    let mut requests = 0;
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        if !seen.ends_with('}') {
            continue;
        }
        requests += 1;
        match script(&std::mem::take(&mut seen), requests) {
            Then::Send(bytes) => stream.write_all(bytes).await.unwrap(),
            Then::SendAndClose(bytes) => return stream.write_all(bytes).await.unwrap(),
            Then::Close => return,
        }
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_is_used_again_and_the_request_is_what_http_wants() {
    let (address, accepted) = server(|request, _| {
        let head = request.to_ascii_lowercase();
        let is_right = head.starts_with("post /v1/x?a=b http/1.1\r\n")
            && head.contains("\r\nhost: 127.0.0.1:")
            && head.contains(concat!("\r\nuser-agent: weir/", env!("CARGO_PKG_VERSION"), "\r\n"))
            && head.contains("\r\naccept: */*\r\n")
            && head.contains("\r\ncontent-length: 13\r\n");
        if is_right { Then::Send(OK) } else { Then::Close }
    })
    .await;
    let client = client();
    for _ in 0..3 {
        let answer = client.send(request(address, "/v1/x?a=b")).await.unwrap();
        assert_eq!(text(answer).await.unwrap(), "ok");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn chunks_that_are_here_are_one_piece() {
    let (address, accepted) = server(|_, _| {
        Then::Send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n")
    })
    .await;
    let client = client();
    let mut body = client.send(request(address, "/")).await.unwrap().into_body();
    let all = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(all, "abcdef", "one read, one piece");
    assert!(body.frame().await.is_none());
    assert_eq!(text(client.send(request(address, "/")).await.unwrap()).await.unwrap(), "abcdef");
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "the first answer has ended whole");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_nobody_a_request() {
    let (address, accepted) = server(|_, _| Then::SendAndClose(OK)).await;
    let client = client();
    for number in 1..=5 {
        assert_eq!(text(client.send(request(address, "/")).await.unwrap()).await.unwrap(), "ok", "{number}");
        // The close must have arrived: what is sent into a connection that is closing may be lost with any client.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_to_its_end_takes_its_connection_along() {
    let (address, accepted) = server(|_, number| match number {
        1 => Then::Send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"),
        _ => Then::Close,
    })
    .await;
    let client = client();
    for _ in 0..2 {
        let mut body = client.send(request(address, "/")).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok() && body.size_hint().exact().is_none());
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_breaks_says_how() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = client();
    let refused = client.send(request(free, "/")).await.unwrap_err();
    assert!(matches!(&refused, Error::Connect(cause) if cause.contains("refused")), "{refused}");
    let (address, _) = server(|request, _| match request.contains("/cut") {
        true => Then::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"),
        false => Then::Close,
    })
    .await;
    let lost = client.send(request(address, "/")).await.unwrap_err();
    assert!(matches!(lost, Error::Lost(_)), "{lost}");
    let cut = text(client.send(request(address, "/cut")).await.unwrap()).await.unwrap_err();
    assert!(matches!(cut, Error::Lost(_)) && !cut.to_string().contains("127.0.0.1"), "{cut}");
}

#[tokio::test]
async fn an_address_with_credentials_is_the_full_clients() {
    let (address, _) = server(|_, _| Then::Send(OK)).await;
    let mut asked = request(address, "/");
    *asked.uri_mut() = format!("http://user:secret@{address}/").parse().unwrap();
    let answer = client().send(asked).await.unwrap();
    assert!(matches!(answer.body(), Body::Shared(_)));
    assert_eq!(text(answer).await.unwrap(), "ok");
}
