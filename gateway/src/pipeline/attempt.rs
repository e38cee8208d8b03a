//! One candidate, one try: send, wait for the first content, or say why there was none.
//!
//! What the client will see begins only with the first content (S84 to S93, W5, W6, W9): until then nothing has been
//! sent to it, and another candidate can still answer.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use schemas::events::Candidate;
use schemas::outcome::{ErrorClass, Format, Operation};
use schemas::usage::Usage;

use super::failure::{ErrorAnswer, Failure};
use super::route::Routed;
use crate::app::App;
use crate::formats::{self, Reading, StreamReader, UpstreamError};
use crate::upstream::body::{Body, join};

/// What a try needs.
pub(super) struct Call<'a> {
    pub(super) app: &'a App,
    pub(super) candidate: &'a crate::catalog::Candidate,
    pub(super) routed: &'a Routed,
    pub(super) operation: Operation,
    /// How long it may be before the first content comes; as long as the request has where nobody else could answer.
    pub(super) patience: Option<Duration>,
    pub(super) deadline: Instant,
}

/// An answer that may go to the client.
pub(super) enum Answer {
    Whole(Box<Whole>),
    Stream(Box<Opened>),
}

/// An answer that is here whole.
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) reading: Reading,
}

/// A stream whose first content has come.
pub(super) struct Opened {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// What was read up to now, still to be forwarded.
    pub(super) held: VecDeque<Bytes>,
    pub(super) reader: StreamReader,
    pub(super) upstream: Body,
}

/// Most bytes held back while waiting for the first content.
const HELD_MAX_BYTES: usize = 1 << 20;
/// Most bytes of a plain answer.
const WHOLE_MAX_BYTES: usize = 64 << 20;
/// Most bytes of an error answer.
const ERROR_MAX_BYTES: usize = 1 << 20;

/// Tries one candidate. `event` gets the figures of the try.
pub(super) async fn attempt(call: &Call<'_>, event: &mut Candidate) -> Result<Answer, Failure> {
    let started = Instant::now();
    let result = exchange(call, event, started).await;
    event.duration_ms = millis(started.elapsed());
    result.map_err(|failure| {
        let unreadable = failure.reading.as_ref().map_or(0, |reading| reading.unreadable_events);
        call.app.metrics.events_unreadable(unreadable);
        failure.without_secret(call.candidate.target.secret.as_ref())
    })
}

/// What may take as long as the first content may, and then the rest: of a stream up to its first content, which is the
/// same to it; of a plain answer all that is left, for it comes in one go once it has begun.
async fn exchange(call: &Call<'_>, event: &mut Candidate, started: Instant) -> Result<Answer, Failure> {
    let (request, hides_usage) = build(call)?;
    let patience = call.patience.map_or(call.deadline, |patience| (started + patience).min(call.deadline));
    let arrived = {
        let begun = pin!(async {
            let response = call.app.http.send(request).await.map_err(|error| Failure::unreachable(&error))?;
            event.headers_ms = Some(millis(started.elapsed()));
            event.status = Some(response.status().as_u16());
            Arrived::begun(response).await
        });
        within(call, patience, begun).await?
    };
    let limit = if call.routed.peeked.stream { patience } else { call.deadline };
    let answer = {
        let reading = pin!(read(call, event, arrived, hides_usage));
        within(call, limit, reading).await?
    };
    event.first_content_ms = Some(millis(started.elapsed()));
    Ok(answer)
}

/// Reads what has arrived, as far as it must be known before anything goes to the client.
async fn read(call: &Call<'_>, event: &mut Candidate, arrived: Arrived, hides_usage: bool) -> Result<Answer, Failure> {
    let status = arrived.status;
    let answer = if !status.is_success() {
        Err(refused(call, event, arrived).await)
    } else if call.routed.peeked.stream && !is_plain(call, &arrived.headers, &arrived.beginning) {
        let Arrived { status, headers, beginning, upstream } = arrived;
        let reader = StreamReader::new(call.candidate.target.format, hides_usage);
        let opened = Box::new(Opened { status, headers, held: VecDeque::new(), reader, upstream });
        stream(call, event, beginning, opened).await
    } else {
        whole(call, event, arrived).await
    };
    answer.map_err(|failure| Failure { status: Some(status), ..failure })
}

/// The same, unless its time is up before. The work stays where it is: it is large, and every hand would copy it.
async fn within<T>(
    call: &Call<'_>,
    limit: Instant,
    work: Pin<&mut impl Future<Output = Result<T, Failure>>>,
) -> Result<T, Failure> {
    tokio::time::timeout_at(limit.into(), work).await.unwrap_or_else(|_| {
        let (class, waited) = match call.patience {
            Some(patience) if limit < call.deadline => (ErrorClass::UpstreamTimeout, patience),
            Some(_) | None => (ErrorClass::TotalTimeout, call.app.timeouts.total.0),
        };
        Err(Failure::new(class, format!("the provider sent no content within {} s", waited.as_secs_f64())))
    })
}

/// The request to the provider: the client's, with our key instead of its own.
fn build(call: &Call<'_>) -> Result<(Request<Bytes>, bool), Failure> {
    let (routed, target) = (call.routed, &call.candidate.target);
    let rewritten = formats::rewrite(&routed.body, &routed.peeked, &call.candidate.model_upstream);
    let uri = address(call)
        .ok_or_else(|| Failure::new(ErrorClass::Internal, "the provider's address is not one that HTTP can have"))?;
    let headers = formats::upstream_headers(target.format, &routed.headers, target.secret.as_ref());
    let mut headers = headers.map_err(|error| Failure::new(ErrorClass::Internal, error.to_string()))?;
    for (name, value) in &target.headers {
        headers.insert(name.clone(), value.clone());
    }
    let mut request = Request::new(rewritten.body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok((request, rewritten.hides_usage))
}

/// The candidate's address, with what of the client's query goes on.
fn address(call: &Call<'_>) -> Option<Uri> {
    let address = call.candidate.address(call.operation, call.routed.peeked.stream)?;
    let Some(query) = formats::forward_query(call.routed.query.as_deref()) else { return Some(address.clone()) };
    let mut parts = address.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{query}", address.path()).parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// An error status, with the provider's words.
async fn refused(call: &Call<'_>, event: &mut Candidate, arrived: Arrived) -> Failure {
    let Arrived { status, headers, beginning, upstream } = arrived;
    let idle = call.app.timeouts.idle.0;
    // All of it in that time: it only says why.
    let body = tokio::time::timeout(idle, collect((beginning, upstream), ERROR_MAX_BYTES, idle)).await;
    let body = body.ok().and_then(Result::ok).unwrap_or_default();
    event.response_bytes = body.len() as u64;
    let error = formats::read_error(call.candidate.target.format, status.as_u16(), &body);
    let class = match status.as_u16() {
        401 | 403 => ErrorClass::UpstreamAuth,
        429 => ErrorClass::UpstreamRateLimited,
        400..=499 => ErrorClass::UpstreamClientError,
        500.. => ErrorClass::UpstreamServerError,
        // A redirect is a wrong base_url: following it would carry our key elsewhere (W30).
        _ => ErrorClass::UpstreamInvalid,
    };
    let answer = Some(Box::new(ErrorAnswer { status, headers, body }));
    Failure { error, status: Some(status), answer, ..Failure::new(class, "") }
}

/// A response whose body has begun.
struct Arrived {
    status: StatusCode,
    headers: HeaderMap,
    beginning: Bytes,
    upstream: Body,
}

impl Arrived {
    async fn begun(response: Response<Body>) -> Result<Self, Failure> {
        let (head, mut upstream) = response.into_parts();
        // An error status says enough: its words are waited for, but not so long.
        let beginning = if head.status.is_success() { beginning(&mut upstream).await? } else { Bytes::new() };
        Ok(Self { status: head.status, headers: head.headers, beginning, upstream })
    }
}

/// The first bytes of a body up to one that is not white space: some providers send blanks while they think.
async fn beginning(upstream: &mut Body) -> Result<Bytes, Failure> {
    let mut parts: Vec<Bytes> = Vec::new();
    while let Some(frame) = upstream.frame().await {
        let Ok(chunk) = frame.map_err(|error| Failure::cut(&error))?.into_data() else { continue };
        let blank = chunk.iter().all(u8::is_ascii_whitespace);
        parts.push(chunk);
        if !blank {
            break;
        }
    }
    Ok(join(parts))
}

/// Whether an answer to a streaming request is a plain body after all. What it holds counts, not what it is called:
/// recorded providers have sent streams as `application/json`.
fn is_plain(call: &Call<'_>, headers: &HeaderMap, beginning: &[u8]) -> bool {
    let first = beginning.iter().find(|byte| !byte.is_ascii_whitespace());
    let json = matches!(first, Some(b'{' | b'['));
    let gemini_array = call.candidate.target.format == Format::Gemini && formats::is_stream(Format::Gemini, headers);
    json && !formats::is_event_stream(headers) && !gemini_array
}

/// A plain answer.
async fn whole(call: &Call<'_>, event: &mut Candidate, arrived: Arrived) -> Result<Answer, Failure> {
    let Arrived { status, headers, beginning, upstream } = arrived;
    let body = collect((beginning, upstream), WHOLE_MAX_BYTES, call.app.timeouts.idle.0).await?;
    event.response_bytes = body.len() as u64;
    let reading = match call.operation {
        Operation::Generate => formats::read_body(call.candidate.target.format, &body),
        // It costs nothing, and that is known: zero, not unknown.
        Operation::CountTokens => Reading::counted(FREE),
    };
    let Some(error) = reading.error.clone() else {
        return Ok(Answer::Whole(Box::new(Whole { status, headers, body, reading })));
    };
    if error.kind == formats::INVALID_BODY {
        return Err(Failure::invalid(error, &headers, &body));
    }
    // An error inside a success: its bytes go to the client unchanged, under a status that says what they are.
    let told = error.status.and_then(|status| StatusCode::from_u16(status).ok()).filter(|s| !s.is_success());
    let answer = ErrorAnswer { status: told.unwrap_or(StatusCode::BAD_GATEWAY), headers, body };
    Err(Failure::in_band(error, &reading, status, answer))
}

/// What counting tokens uses.
const FREE: Usage = Usage {
    input: Some(0),
    fresh_input: Some(0),
    cache_read: Some(0),
    cache_write_5m: Some(0),
    cache_write_1h: Some(0),
    output: Some(0),
    reasoning: Some(0),
};

/// Reads a stream up to its first content.
async fn stream(
    call: &Call<'_>,
    event: &mut Candidate,
    beginning: Bytes,
    mut opened: Box<Opened>,
) -> Result<Answer, Failure> {
    let mut held_bytes = 0;
    let mut next = Some(beginning).filter(|chunk| !chunk.is_empty());
    loop {
        let chunk = match next.take() {
            Some(chunk) => chunk,
            None => match opened.upstream.frame().await {
                None => break,
                Some(frame) => match frame.map_err(|error| Failure::cut(&error))?.into_data() {
                    Ok(chunk) => chunk,
                    Err(_trailers) => continue,
                },
            },
        };
        event.response_bytes += chunk.len() as u64;
        held_bytes += chunk.len();
        let forward = opened.reader.push(chunk);
        if !forward.is_empty() {
            opened.held.push_back(forward);
        }
        // Content that came before an error is an answer that broke, however the two were cut into chunks.
        let reading = opened.reader.reading();
        if !reading.has_content && reading.error.is_some() {
            // Also where the event that tells of it ends the stream, as `response.failed` does.
            break;
        }
        if reading.has_content || opened.reader.is_ended() || held_bytes > HELD_MAX_BYTES {
            return Ok(Answer::Stream(opened));
        }
    }
    no_content(call, opened).await
}

/// A stream that ended, or failed, before any content.
async fn no_content(call: &Call<'_>, mut opened: Box<Opened>) -> Result<Answer, Failure> {
    let rest = collect_rest(&mut opened).await;
    let leftover = opened.reader.finish();
    let bytes: Bytes = opened.held.iter().chain([&rest, &leftover]).flat_map(|part| part.iter().copied()).collect();
    let reading = opened.reader.reading();
    if reading.has_content || (reading.completed && reading.error.is_none()) {
        opened.held = VecDeque::from([bytes]);
        opened.upstream = Body::Empty;
        return Ok(Answer::Stream(opened));
    }
    if let Some(error) = reading.error.clone() {
        let answer = ErrorAnswer { status: opened.status, headers: opened.headers.clone(), body: bytes };
        return Err(Failure::in_band(error, reading, opened.status, answer));
    }
    // A plain body that calls itself a stream.
    let whole = formats::read_body(call.candidate.target.format, &bytes);
    if whole.error.is_none() {
        let Opened { status, headers, .. } = *opened;
        return Ok(Answer::Whole(Box::new(Whole { status, headers, body: bytes, reading: whole })));
    }
    let message =
        if bytes.is_empty() { "the provider's answer is empty" } else { "the provider's answer holds no content" };
    let error = UpstreamError { message: message.to_owned(), ..UpstreamError::default() };
    Err(Failure::invalid(error, &opened.headers, &bytes))
}

/// What is left of a stream that turned out to be an error, for a short while.
async fn collect_rest(opened: &mut Opened) -> Bytes {
    let mut rest = BytesMut::new();
    let reading = async {
        while let Some(Ok(frame)) = opened.upstream.frame().await {
            let Ok(chunk) = frame.into_data() else { continue };
            rest.extend_from_slice(&opened.reader.push(chunk));
            if rest.len() > ERROR_MAX_BYTES {
                return;
            }
        }
    };
    let _kept_open = tokio::time::timeout(Duration::from_secs(2), reading).await;
    rest.freeze()
}

/// All of a body, of which this much is here. Once it has begun it is no more silent than a stream may be.
async fn collect((beginning, mut upstream): (Bytes, Body), max_bytes: usize, idle: Duration) -> Result<Bytes, Failure> {
    let mut length = beginning.len();
    let mut parts: Vec<Bytes> = Some(beginning).filter(|beginning| !beginning.is_empty()).into_iter().collect();
    loop {
        let Ok(frame) = tokio::time::timeout(idle, upstream.frame()).await else {
            return Err(Failure::new(ErrorClass::UpstreamTimeout, "the provider's answer stopped in the middle"));
        };
        let Some(frame) = frame else { return Ok(join(parts)) };
        let Ok(chunk) = frame.map_err(|error| Failure::cut(&error))?.into_data() else { continue };
        length += chunk.len();
        if length > max_bytes {
            let message = format!("the provider's answer is larger than {max_bytes} bytes");
            return Err(Failure::new(ErrorClass::UpstreamInvalid, message));
        }
        parts.push(chunk);
    }
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
