//! From the provider to the client: bytes as they come, watched for usage and the end.
//!
//! After the first byte there is no other candidate. A stream is parsed before its bytes are forwarded (W3), and its
//! request is settled before the bytes that complete it are. An answer that breaks never looks complete: the client
//! gets an error event in its own dialect.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use schemas::events::ErrorNote;
use schemas::outcome::{ErrorClass, Outcome};
use schemas::time::Timestamp;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::attempt::{Opened, Whole};
use super::ending::End;
use super::failure::{ErrorAnswer, Failure};
use super::receipt::Ticket;
use super::{account, rejection};
use crate::app::App;
use crate::estimate::Prompt;
use crate::formats::{self, OwnError, StreamReader};
use crate::smoothing;
use crate::upstream;
use crate::upstream::body::{Body as UpstreamBody, join};
use crate::upstream::burst::Burst;

/// Answers with what is here whole. `left`: the client has gone already.
pub(super) fn whole(mut ticket: Box<Ticket>, whole: Box<Whole>, left: bool) -> Response<Body> {
    let Whole { status, headers, body, reading } = *whole;
    ticket.conclude(&reading);
    let mut response = respond(&mut ticket, status, &headers);
    ticket.receipt.ttft_ms = Some(ticket.elapsed().as_secs_f64() * 1000.0);
    if left {
        ticket.receipt.status = 499;
        ticket.receipt.delivered_output = ticket.receipt.usage.output.map(|_| 0);
        ticket.settle(Outcome::Cancelled, Some(account::client_left()));
    } else if reading.completed {
        ticket.relayed(&body);
        ticket.settle(Outcome::Completed, None);
    } else {
        ticket.relayed(&body);
        let note = account::note(ErrorClass::UpstreamInvalid, "the provider's answer does not say that it is complete");
        ticket.settle(Outcome::Interrupted, Some(note));
    }
    *response.body_mut() = Body::from(body);
    response
}

/// Answers a request that no candidate could answer: with the provider's own error where there is one, else with ours.
pub(super) fn fail(mut ticket: Box<Ticket>, failure: Failure, left: bool) -> Response<Body> {
    let note = failure.note();
    if let Some(reading) = &failure.reading {
        account::apply(&mut ticket.receipt, reading);
    }
    ticket.receipt.upstream_status = failure.status.map(|status| status.as_u16());
    let response = match failure.answer {
        Some(answer) => {
            let ErrorAnswer { status, headers, body } = *answer;
            let mut response = respond(&mut ticket, status, &headers);
            ticket.receipt.upstream_status = failure.status.map(|status| status.as_u16());
            ticket.relayed(&body);
            *response.body_mut() = Body::from(body);
            response
        }
        None => rejection::unanswered(&mut ticket, failure.class, &note.message, failure.retry_after_s),
    };
    if left {
        ticket.receipt.status = 499;
        ticket.settle(Outcome::Cancelled, Some(account::client_left()));
    } else {
        ticket.settle(Outcome::Failed, Some(note));
    }
    response
}

/// The head of an answer: the provider's, with our own headers.
fn respond(ticket: &mut Ticket, status: StatusCode, upstream: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = formats::downstream_headers(upstream);
    ticket.transcript.response_head(response.headers());
    let headers = response.headers_mut();
    rejection::own_headers(headers, ticket.id());
    if let Some(hold) = &ticket.hold {
        formats::state_limits(ticket.format(), headers, hold.standing(), Timestamp::now());
    }
    if let Ok(provider) = HeaderValue::from_str(&ticket.receipt.provider) {
        headers.insert(HeaderName::from_static("x-weir-provider"), provider);
    }
    headers.insert(HeaderName::from_static("x-weir-attempts"), HeaderValue::from(ticket.receipt.attempts));
    ticket.receipt.status = status.as_u16();
    ticket.receipt.upstream_status = Some(status.as_u16());
    let upstream_id = ["request-id", "x-request-id"].iter().find_map(|name| upstream.get(*name)?.to_str().ok());
    if let Some(id) = upstream_id {
        ticket.receipt.upstream_request_id = Some(id.to_owned());
    }
    response
}

/// The body of a streamed answer.
pub(super) struct Relay {
    /// Bytes to go out before anything else is read.
    ready: VecDeque<Bytes>,
    /// `None` once the request is settled.
    live: Option<Box<Live>>,
    /// What may still come after the end marker: forwarded for a moment, not read.
    tail: Option<(UpstreamBody, Pin<Box<Sleep>>)>,
    /// Chunks that are ready are joined; nothing ever waits for the provider.
    burst: Burst,
}

/// How long the provider may keep a stream open after its end marker.
const TAIL_TIME: Duration = Duration::from_millis(500);

/// A stream that is not over.
struct Live {
    ticket: Box<Ticket>,
    reader: StreamReader,
    upstream: UpstreamBody,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    abort: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Relay {
    /// Answers with a stream whose first content is there.
    pub(super) async fn start(app: &Arc<App>, mut ticket: Box<Ticket>, opened: Box<Opened>) -> Response<Body> {
        let Opened { status, headers, held, reader, upstream } = *opened;
        let mut response = respond(&mut ticket, status, &headers);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        ticket.receipt.ttft_ms = Some(ticket.elapsed().as_secs_f64() * 1000.0);
        let format = ticket.format();
        let idle = app.timeouts.idle.0;
        let now = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until((now + idle).min(ticket.deadline()).into()));
        let abort = Box::pin(app.abort.clone().cancelled_owned());
        // Only an estimate needs the request, and only where the provider has not counted it.
        let wants_prompt = reader.reading().usage().input.unwrap_or(0) == 0;
        ticket.prompt = ticket.prompt.take().filter(|_| wants_prompt).map(Prompt::compact);
        let live = Box::new(Live { ticket, reader, upstream, idle, timer, abort });
        let mut relay = Self { ready: held, live: Some(live), tail: None, burst: Burst::new(now) };
        relay.note_progress();
        // The head goes out with what is there of the body, in one write.
        std::future::poll_fn(|context| relay.gather(context)).await;
        *response.body_mut() = smoothing::smooth(relay, &app.smoothing, format, response.headers());
        response
    }

    /// After something was read: settles at the end marker.
    fn note_progress(&mut self) {
        if let Some(live) = self.live.take_if(|live| live.reader.is_ended()) {
            let tail = live.settle(&self.ready, &End::Closed);
            self.tail = Some((tail, Box::pin(tokio::time::sleep(TAIL_TIME))));
        }
    }

    /// Writes down what has been used so far, once it is known, before any of it goes out. An answer that is here whole
    /// needs none: its terminal event is written already.
    fn checkpoint(&mut self) {
        if let Some(live) = &mut self.live
            && !live.ticket.is_checkpointed()
            && live.reader.reading().usage().is_known()
        {
            account::apply(&mut live.ticket.receipt, live.reader.reading());
            live.ticket.checkpoint();
        }
    }

    /// Reads what is ready, up to a bound. `Some` when the stream is over.
    fn read(&mut self, context: &mut Context<'_>) -> Option<End> {
        while self.ready.is_empty() || !self.burst.is_full() {
            let live = self.live.as_mut()?;
            match Pin::new(&mut live.upstream).poll_frame(context) {
                Poll::Pending => return None,
                Poll::Ready(None) => {
                    let rest = live.reader.finish();
                    self.ready.extend((!rest.is_empty()).then_some(rest));
                    return Some(End::Closed);
                }
                Poll::Ready(Some(Err(_))) => {
                    let rest = live.reader.finish();
                    self.ready.extend((!rest.is_empty()).then_some(rest));
                    return Some(End::Broken);
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(chunk) = frame.into_data() else { continue };
                    self.burst.chunk(chunk.len());
                    let forward = live.reader.push(chunk);
                    self.ready.extend((!forward.is_empty()).then_some(forward));
                    self.note_progress();
                }
            }
        }
        None
    }

    /// Settles a stream that is over, and appends the error event where it did not end properly.
    fn finish(&mut self, end: &End) {
        let Some(live) = self.live.take() else { return };
        let reading = live.reader.reading();
        // The client has seen the provider's own error, or an answer that was complete: nothing to add.
        let broken = !reading.completed && reading.error.is_none();
        if broken {
            let (class, message) = end.explain();
            let id = live.ticket.id().to_string();
            let status = rejection::status(class).as_u16();
            let error = OwnError { status, class, message, param: None, request_id: &id };
            let event = live.reader.error_event(&error);
            self.ready.push_back(event);
        }
        live.settle(&self.ready, end);
    }

    /// Reads what has come. Pending, with the task woken again, while more of a burst may be on its way from the
    /// connection's task.
    fn gather(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(end) = self.read(context) {
            self.finish(&end);
        }
        if self.ready.is_empty() {
            return Poll::Ready(());
        }
        // What breaks after the end marker breaks nothing: the answer is complete.
        let tail = self.tail.as_mut().map(|(tail, _)| Pin::new(tail).poll_frame(context));
        match tail {
            Some(Poll::Ready(Some(Ok(frame)))) => self.ready.extend(frame.into_data().ok()),
            Some(Poll::Ready(_)) => self.tail = None,
            Some(Poll::Pending) | None => {}
        }
        let body = self.live.as_ref().map(|live| &live.upstream).or(self.tail.as_ref().map(|(tail, _)| tail));
        if body.is_some_and(UpstreamBody::may_hide_more) && self.burst.wants_more(context) {
            return Poll::Pending;
        }
        self.checkpoint();
        Poll::Ready(())
    }
}

impl Live {
    /// Writes the terminal event. `ready` is about to be forwarded. Returns what may still come.
    fn settle(self: Box<Self>, ready: &VecDeque<Bytes>, end: &End) -> UpstreamBody {
        let Self { mut ticket, reader, upstream, .. } = *self;
        let reading = reader.reading();
        ticket.conclude(reading);
        ready.iter().for_each(|bytes| ticket.relayed(bytes));
        if reading.completed {
            ticket.settle(Outcome::Completed, None);
        } else {
            let (class, message) = end.explain();
            let error = account::in_band(reading).unwrap_or_else(|| account::note(class, message));
            ticket.settle(Outcome::Interrupted, Some(error));
        }
        upstream
    }

    /// Whether a limit has been reached; otherwise the timer is set anew.
    fn timed_out(&mut self, last_chunk: Instant, context: &mut Context<'_>) -> Option<End> {
        if self.abort.as_mut().poll(context).is_ready() {
            return Some(End::Abort);
        }
        while self.timer.as_mut().poll(context).is_ready() {
            let (now, deadline) = (Instant::now(), self.ticket.deadline());
            if now >= deadline {
                return Some(End::Total);
            }
            let quiet_until = last_chunk + self.idle;
            if now >= quiet_until {
                return Some(End::Idle);
            }
            // Set once per limit rather than once per chunk: a chunk only moves that time.
            self.timer.as_mut().reset(quiet_until.min(deadline).into());
        }
        None
    }

    /// Whether the answer must end although it still comes.
    fn out_of_time(&self, now: Instant) -> Option<End> {
        if self.ticket.app().abort.is_cancelled() {
            return Some(End::Abort);
        }
        (now >= self.ticket.deadline()).then_some(End::Total)
    }

    /// Reads on after the client has left, within bounds, so that what the provider bills is what is recorded.
    async fn drain(mut self: Box<Self>) {
        let app = Arc::clone(self.ticket.app());
        let chars_delivered = account::chars(self.reader.reading());
        let was_complete = self.reader.reading().completed;
        let reading = async {
            while let Some(Ok(frame)) = self.upstream.frame().await {
                let Ok(chunk) = frame.into_data() else { continue };
                self.reader.push(chunk);
                let drained = account::chars(self.reader.reading()) - chars_delivered;
                // Four characters a token, the usual rule of thumb; the bound need not be exact.
                if self.reader.is_ended() || drained / 4 > app.drain.output_tokens {
                    return;
                }
            }
            self.reader.finish();
        };
        tokio::select! {
            _over_or_out_of_time = tokio::time::timeout(app.drain.time.0, reading) => {}
            () = app.abort.cancelled() => {}
        }
        let Self { mut ticket, reader, .. } = *self;
        let reading = reader.reading();
        ticket.conclude(reading);
        ticket.receipt.delivered_output = account::delivered_output(&ticket.receipt, reading, chars_delivered);
        if was_complete {
            ticket.settle(Outcome::Completed, None);
        } else {
            ticket.settle(Outcome::Cancelled, Some::<ErrorNote>(account::client_left()));
        }
    }
}

impl HttpBody for Relay {
    type Data = Bytes;
    type Error = upstream::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, upstream::Error>>> {
        if self.gather(context).is_pending() {
            return Poll::Pending;
        }
        let (last_chunk, is_quiet) = (self.burst.last_chunk(), self.ready.is_empty());
        if let Some(live) = &mut self.live
            // Where something always comes, nobody would ever wait for the timer.
            && let Some(end) = if is_quiet { live.timed_out(last_chunk, context) } else { live.out_of_time(last_chunk) }
        {
            self.finish(&end);
        }
        if !self.ready.is_empty() {
            self.burst.taken();
            let bytes = join(self.ready.drain(..).collect());
            if let Some(live) = &mut self.live {
                live.ticket.relayed(&bytes);
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.live.is_some() {
            return Poll::Pending;
        }
        let Some((tail, limit)) = &mut self.tail else { return Poll::Ready(None) };
        match Pin::new(tail).poll_frame(context) {
            // What breaks after the end marker breaks nothing: the answer is complete.
            Poll::Ready(frame) => Poll::Ready(frame.filter(Result::is_ok)),
            Poll::Pending => limit.as_mut().poll(context).map(|()| None),
        }
    }
}

impl Drop for Relay {
    /// The client left: read on in the background.
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            let app = Arc::clone(live.ticket.app());
            app.requests.spawn(live.drain());
        }
    }
}
