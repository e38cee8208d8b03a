//! The provider of a run: serves pre-rendered answers and reads nothing of a request but one header.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use memchr::memmem;
use tokio::time::{Interval, MissedTickBehavior};

use crate::answer::{self, ANSWER_HEADER, Answer, IDLE_EVENTS};
use crate::error::Error;
use crate::http_server;
use crate::pacing::Pacing;
use crate::stamp;

/// Where it listens.
#[derive(clap::Args)]
pub struct Options {
    /// Address to listen on.
    #[arg(long)]
    listen: SocketAddr,
}

/// Serves until killed.
pub fn run(options: &Options) -> Result<(), Error> {
    let answers: HashMap<String, (Pacing, Arc<Answer>)> =
        answer::all().map(|(name, pacing, answer)| (name, (pacing, Arc::new(answer)))).collect();
    let answers = Arc::new(answers);
    let asked = Arc::new(AtomicUsize::new(0));
    http_server::run(options.listen, move |request| respond(Arc::clone(&answers), Arc::clone(&asked), request))
}

/// Below it every second request is refused, as by a provider that does not have the model.
pub const FLAKY: &str = "/flaky";

/// What a request for a stream has in its body.
const STREAM_WORDS: [&[u8]; 2] = [b"\"stream\":true", b"\"stream\": true"];

async fn respond(
    answers: Arc<HashMap<String, (Pacing, Arc<Answer>)>>,
    asked: Arc<AtomicUsize>,
    request: Request<Incoming>,
) -> Response<Playback> {
    let (head, mut body) = request.into_parts();
    let mut asks_for_stream = false;
    while let Some(Ok(frame)) = body.frame().await {
        let asks = |data: &Bytes| STREAM_WORDS.iter().any(|words| memmem::find(data, words).is_some());
        asks_for_stream |= !head.headers.contains_key(ANSWER_HEADER) && frame.data_ref().is_some_and(asks);
    }
    // Relays that pass on no header of the client's get the answer that their request looks like.
    let usual = if asks_for_stream { "openai-chat-together" } else { "openai-chat-plain" };
    let wanted = head.headers.get(ANSWER_HEADER).and_then(|value| value.to_str().ok()).unwrap_or(usual);
    let is_refused = head.uri.path().starts_with(FLAKY) && asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
    let Some((pacing, answer)) = answers.get(wanted).filter(|_| !is_refused) else {
        let told = br#"{"error":{"message":"The model does not exist","type":"invalid_request_error","code":"model_not_found"}}"#;
        let answer = Answer { content_type: "application/json", pieces: vec![Bytes::from_static(told)] };
        let mut response = Response::new(Playback::new(Arc::new(answer)));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut playback = Playback::new(Arc::clone(answer));
    playback.stop_at = (*pacing == Pacing::Idle).then_some(IDLE_EVENTS);
    playback.is_stamped = *pacing == Pacing::Spoken;
    playback.ticks = pacing.period().map(|period| {
        let mut ticks = tokio::time::interval(period);
        // Late events stay apart: a burst would be another pacing.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    });
    let mut response = Response::new(playback);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    response.headers_mut().insert("x-request-id", HeaderValue::from_static("req_011CSHoEeqs5C35K2UUqR7Fy"));
    response
}

/// An answer on its way.
struct Playback {
    answer: Arc<Answer>,
    next: usize,
    ticks: Option<Interval>,
    /// Stays open after this many pieces.
    stop_at: Option<usize>,
    /// Each piece tells when it was sent.
    is_stamped: bool,
}

impl Playback {
    fn new(answer: Arc<Answer>) -> Self {
        Self { answer, next: 0, ticks: None, stop_at: None, is_stamped: false }
    }
}

impl Body for Playback {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.stop_at == Some(self.next) {
            return Poll::Pending;
        }
        let Some(piece) = self.answer.pieces.get(self.next).cloned() else { return Poll::Ready(None) };
        if let Some(ticks) = &mut self.ticks
            && ticks.poll_tick(context).is_pending()
        {
            return Poll::Pending;
        }
        self.next += 1;
        let piece = if self.is_stamped { stamp::stamped(&piece) } else { piece };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        match self.answer.pieces.as_slice() {
            [] => SizeHint::with_exact(0),
            [whole] => SizeHint::with_exact(whole.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
