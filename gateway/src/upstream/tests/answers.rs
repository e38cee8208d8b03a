//! Heads and bodies of answers, cut anywhere, right and wrong; beside hyper, which has read many more of them.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::upstream::framing::Framing;
use crate::upstream::head::{self, HeadReader, Malformed};

/// Status, headers in order, body.
type Answer = (StatusCode, Vec<(String, Vec<u8>)>, Vec<u8>);

fn answer(response: &http::Response<()>, body: Vec<u8>) -> Answer {
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let mut headers: Vec<_> = headers.collect();
    headers.sort();
    (response.status(), headers, body)
}

/// What is read of a connection that brings these bytes in pieces and is then closed; and whether it could be kept.
fn read(pieces: &[&[u8]]) -> Result<(Answer, bool), Malformed> {
    let (mut reader, mut head, mut body, mut surplus) = (HeadReader::default(), None, Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        if head.is_none() {
            let Some((found, length)) = reader.push(&Method::POST, rest)? else { continue };
            head = Some(found);
            rest = &rest[length..];
        }
        let (some, taken) = head.as_mut().unwrap().framing.take(rest)?;
        body.extend_from_slice(&some);
        surplus += rest.len() - taken;
    }
    let head = head.ok_or(Malformed("no head"))?;
    if !head.framing.is_over() && !matches!(head.framing, Framing::UntilClose) {
        return Err(Malformed("cut"));
    }
    Ok((answer(&head.response, body), head.keeps_alive && surplus == 0 && head.framing.is_over()))
}

/// What hyper reads of it.
async fn read_by_hyper(bytes: &[u8]) -> Option<Answer> {
    let (ours, mut theirs) = tokio::io::duplex(4096);
    let builder = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) = builder.handshake(TokioIo::new(ours)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::post("/").header("host", "h").body(Empty::<Bytes>::new()).unwrap();
    let server = async {
        let length = theirs.read(&mut [0; 1024]).await.unwrap();
        assert!(length > 0 && theirs.write_all(bytes).await.is_ok());
        theirs.shutdown().await.unwrap();
    };
    let answered = async {
        let (head, body) = sender.send_request(request).await.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes().to_vec();
        Some(answer(&http::Response::from_parts(head, ()), body))
    };
    let ((), answered) = tokio::join!(server, answered);
    driver.abort();
    answered
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn heads() -> impl Strategy<Value = String> {
    let status = prop_oneof![Just("200 OK"), Just("429 Too Many Requests"), Just("204 No Content"), Just("500")];
    let before = prop_oneof![
        8 => Just(""),
        1 => Just("HTTP/1.1 100 Continue\r\n\r\n"),
        1 => Just("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
    ];
    let other = vec(
        prop_oneof![
            Just("content-type: text/event-stream\r\n"),
            Just("Connection: keep-alive\r\n"),
            Just("connection: foo , close\r\n"),
            Just("x-a:\t spaced \r\n"),
            Just("x-a: \u{e9}\r\n"),
            Just("set-cookie: a\r\nset-cookie: b\r\n"),
        ],
        0..4,
    );
    let version = prop_oneof![9 => Just("1.1"), 1 => Just("1.0")];
    (before, version, status, other)
        .prop_map(|(before, version, status, other)| format!("{before}HTTP/{version} {status}\r\n{}", other.concat()))
}

/// The bytes of a body with the header that says how long it is.
fn bodies() -> impl Strategy<Value = (String, Vec<u8>)> {
    let data = vec(any::<u8>(), 0..60);
    let chunks = (vec(vec(any::<u8>(), 1..30), 0..5), prop_oneof![4 => Just(""), 1 => Just(";a=\"b\"")], any::<bool>());
    let trailers = prop_oneof![4 => Just(""), 1 => Just("x-checksum: 1\r\nx-more: 2\r\n")];
    prop_oneof![
        data.clone().prop_map(|data| (format!("content-length: {}\r\n\r\n", data.len()), data)),
        data.clone().prop_map(|data| (format!("content-length: {0}, {0}\r\n\r\n", data.len()), data)),
        data.prop_map(|data| ("\r\n".to_owned(), data)),
        (chunks, trailers).prop_map(|((chunks, extension, is_upper), trailers)| {
            let mut bytes = Vec::new();
            for chunk in chunks {
                let length = if is_upper { format!("{:X}", chunk.len()) } else { format!("{:02x}", chunk.len()) };
                bytes.extend_from_slice(format!("{length}{extension}\r\n").as_bytes());
                bytes.extend_from_slice(&chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
            ("Transfer-Encoding: chunked\r\n\r\n".to_owned(), bytes)
        }),
    ]
}

/// A change of one byte: put in, taken out or replaced.
fn damaged(mut bytes: Vec<u8>, (at, kind, byte): (usize, u8, u8)) -> Vec<u8> {
    let at = at % bytes.len();
    match kind % 4 {
        0 => bytes.insert(at, byte),
        1 => drop(bytes.remove(at)),
        2 => bytes[at] = byte,
        _ => bytes.truncate(at),
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn an_answer_is_read_as_hyper_reads_it_however_it_is_cut_and_damaged(
        (head, (length, body)) in (heads(), bodies()),
        damage in proptest::option::of((any::<usize>(), any::<u8>(), prop_oneof![
            any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b' '), Just(b','), Just(b'0'), Just(b'f'), Just(b':')
        ])),
        cuts in vec(any::<usize>(), 0..8),
    ) {
        let whole = [head.as_bytes(), length.as_bytes(), &body].concat();
        let bytes = damage.map_or(whole.clone(), |damage| damaged(whole.clone(), damage));
        let ours = read(&pieces(&bytes, &cuts));
        let at_once = read(&[&bytes]);
        prop_assert_eq!(ours.as_ref().ok(), at_once.as_ref().ok());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let theirs = runtime.block_on(read_by_hyper(&bytes));
        // Trailers, which are passed over here, hyper reads: wrong ones are an error to it.
        let has_trailers = ["x-more", "\n0"].iter().any(|sign| memchr::memmem::find(&bytes, sign.as_bytes()).is_some());
        if damage.is_none() || theirs.is_some() || !has_trailers || ours.is_err() {
            prop_assert_eq!(ours.ok().map(|(answer, _)| answer), theirs, "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn a_connection_is_kept_only_after_an_answer_whose_end_is_known() {
    let kept = |text: &str| read(&[text.as_bytes()]).map(|(_, kept)| kept);
    assert_eq!(kept("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), Ok(true));
    assert_eq!(kept("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), Ok(true));
    assert_eq!(kept("HTTP/1.1 204 No Content\r\n\r\n"), Ok(true));
    assert_eq!(kept("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok"), Ok(true));
    assert_eq!(kept("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"), Ok(false));
    assert_eq!(kept("HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 2\r\n\r\nok"), Ok(false));
    assert_eq!(kept("HTTP/1.1 200 OK\r\n\r\nok"), Ok(false), "its end is the connection's");
    assert_eq!(kept("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1"), Ok(false), "nobody asked for more");
}

#[test]
fn what_is_not_http_and_what_is_too_much_is_told_so() {
    let refused = |bytes: &[u8]| read(&[bytes]).unwrap_err().0;
    assert!(refused(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").contains("not the head"));
    assert!(refused(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").contains("another protocol"));
    assert!(refused(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n").contains("two lengths"));
    assert!(refused(b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n").contains("no number"));
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(70_000));
    assert!(refused(long.as_bytes()).contains("64 KiB"));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(129));
    assert!(refused(many.as_bytes()).contains("128 headers"));
    let chunked =
        |rest: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n{rest}").into_bytes();
    assert!(refused(&chunked("fffffffffffffffff\r\n")).contains("too long"));
    assert!(refused(&chunked("2\nok\r\n")).contains("not as HTTP/1.1"));
    assert!(refused(&chunked(&format!("2;{}\r\nok", "a".repeat(17 << 10)))).contains("too much beside"));
    assert!(refused(&chunked(&format!("0\r\nx: {}\r\n\r\n", "a".repeat(17 << 10)))).contains("too much beside"));
}

#[test]
fn a_length_beside_chunks_is_not_passed_on() {
    let text = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let ((_, headers, body), kept) = read(&[text]).unwrap();
    assert!(headers.iter().all(|(name, _)| name != "content-length"));
    assert_eq!((body.as_slice(), kept), (&b"ok"[..], true));
}

#[test]
fn a_request_is_one_head_with_its_length() {
    let mut request = Request::post("/v1/x?a=b").body(Bytes::from_static(b"{}")).unwrap();
    request.headers_mut().insert(header::HOST, "h:1".parse().unwrap());
    request.headers_mut().append("x-a", "1".parse().unwrap());
    request.headers_mut().append("x-a", "2".parse().unwrap());
    request.headers_mut().insert(header::CONTENT_LENGTH, "77".parse().unwrap());
    request.headers_mut().insert(header::TRANSFER_ENCODING, "chunked".parse().unwrap());
    let head = String::from_utf8(head::of_request(&request)).unwrap();
    assert_eq!(head, "POST /v1/x?a=b HTTP/1.1\r\nhost: h:1\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 2\r\n\r\n");
    let get = head::of_request(&Request::get("/v1/models").body(Bytes::new()).unwrap());
    assert_eq!(get, b"GET /v1/models HTTP/1.1\r\n\r\n");
    let empty = head::of_request(&Request::post("/").body(Bytes::new()).unwrap());
    assert_eq!(empty, b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
}
