//! The heads of HTTP/1.1 messages: ours as bytes, a provider's from bytes.
//!
//! Rules: <https://www.rfc-editor.org/rfc/rfc9112>

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use memchr::memchr_iter;

use super::framing::Framing;

/// Most bytes of an answer's head.
const HEAD_MAX: usize = 64 << 10;
/// Most headers of an answer.
const HEADERS_MAX: usize = 128;

/// What came is not HTTP/1.1, or more than is taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// The head of a request in origin form, with its body's length.
pub(super) fn of_request(request: &Request<Bytes>) -> Vec<u8> {
    let (method, path, headers) = (request.method(), request.uri().path_and_query(), request.headers());
    let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let mut head = Vec::with_capacity(length + 256);
    head.extend_from_slice(method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(path.map_or("/", |path| path.as_str()).as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in headers {
        if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(name) {
            continue;
        }
        put(&mut head, name.as_str(), value.as_bytes());
    }
    let length = request.body().len();
    if length > 0 || ![Method::GET, Method::HEAD].contains(method) {
        put(&mut head, header::CONTENT_LENGTH.as_str(), length.to_string().as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn put(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    /// Status and headers.
    pub(super) response: Response<()>,
    /// How its body's end is told.
    pub(super) framing: Framing,
    /// Whether the connection may have another request after it.
    pub(super) keeps_alive: bool,
}

/// Gathers the head of an answer.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    held: Vec<u8>,
}

impl HeadReader {
    /// Takes what has come. `Some` once the head is whole, with the number of these bytes that belong to it.
    ///
    /// Informational answers (1xx) go by unseen.
    pub(super) fn push(&mut self, method: &Method, bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
        let mut taken = 0;
        loop {
            let bytes = bytes.get(taken..).unwrap_or_default();
            let before = self.held.len();
            let all = if before == 0 {
                bytes
            } else {
                self.held.extend_from_slice(bytes);
                &self.held
            };
            let Some(end) = end_of_head(all, before.saturating_sub(2)) else {
                if all.len() > HEAD_MAX {
                    return Err(Malformed("the head of its answer is longer than 64 KiB"));
                }
                if before == 0 {
                    self.held.extend_from_slice(bytes);
                }
                return Ok(None);
            };
            let head = parse(method, all.get(..end).unwrap_or_default())?;
            self.held.clear();
            taken += end - before;
            match head.response.status() {
                StatusCode::SWITCHING_PROTOCOLS => return Err(Malformed("it switches to another protocol unasked")),
                status if status.is_informational() => {}
                _ => return Ok(Some((head, taken))),
            }
        }
    }
}

/// Where a head ends: after the first empty line. No newline before `from` is followed by one.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'\n', bytes.get(from..)?).find_map(|at| {
        let after = from + at + 1;
        match bytes.get(after..)? {
            [b'\n', ..] => Some(after + 1),
            [b'\r', b'\n', ..] => Some(after + 2),
            _ => None,
        }
    })
}

fn parse(method: &Method, head: &[u8]) -> Result<Head, Malformed> {
    let head = Bytes::copy_from_slice(head);
    let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let read = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, &head, &mut room);
    match read {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed("its answer has more than 128 headers")),
        _ => return Err(Malformed("what it sent is not the head of an HTTP/1.1 answer")),
    }
    let mut response = Response::new(());
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    *response.status_mut() = status.ok_or(Malformed("the status of its answer is none"))?;
    let is_old = parsed.version == Some(0);
    *response.version_mut() = if is_old { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let name = name.map_err(|_| Malformed("the name of a header of its answer is none"))?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(header.value));
        headers.append(name, value.map_err(|_| Malformed("a header of its answer has bytes that none may have"))?);
    }
    let framing = framing(method, *response.status_mut(), is_old, &mut headers)?;
    let keeps_alive = keeps_alive(is_old, &headers);
    *response.headers_mut() = headers;
    Ok(Head { response, framing, keeps_alive })
}

/// How the end of a body is told. <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>
fn framing(method: &Method, status: StatusCode, is_old: bool, headers: &mut HeaderMap) -> Result<Framing, Malformed> {
    let is_bodiless = status.is_informational() || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if method == Method::HEAD || is_bodiless {
        return Ok(Framing::Length(0));
    }
    if let Some(codings) = headers.get_all(header::TRANSFER_ENCODING).iter().next_back() {
        if is_old {
            return Err(Malformed("an answer in HTTP/1.0 cannot have a transfer encoding"));
        }
        let last = codings.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        // A length beside it means nothing, and must not be passed on.
        headers.remove(header::CONTENT_LENGTH);
        return Ok(if is_chunked { Framing::chunked() } else { Framing::UntilClose });
    }
    let mut length = None;
    let values = headers.get_all(header::CONTENT_LENGTH).iter();
    for value in values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        let one = decimal(value.trim_ascii()).ok_or(Malformed("the length of its answer is no number"))?;
        if length.replace(one).is_some_and(|other| other != one) {
            return Err(Malformed("its answer has two lengths"));
        }
    }
    Ok(length.map_or(Framing::UntilClose, Framing::Length))
}

/// Digits and nothing else: a sign is none.
fn decimal(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

fn keeps_alive(is_old: bool, headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if is_old {
        options.any(|option| option.eq_ignore_ascii_case(b"keep-alive"))
    } else {
        !options.any(|option| option.eq_ignore_ascii_case(b"close"))
    }
}
