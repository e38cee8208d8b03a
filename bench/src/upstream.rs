//! The provider of a run: serves pre-rendered answers and reads nothing of a request but one header.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Interval, MissedTickBehavior};

use crate::answer::{self, ANSWER_HEADER, Answer, IDLE_EVENTS};
use crate::error::Error;
use crate::http_server;
use crate::pacing::{EVENT_PERIOD, Pacing};

/// Where it listens.
#[derive(clap::Args)]
pub struct Options {
    /// Address to listen on.
    #[arg(long)]
    listen: SocketAddr,
}

/// Serves until killed.
pub fn run(options: &Options) -> Result<(), Error> {
    let answers: HashMap<&str, (Pacing, Arc<Answer>)> =
        answer::all().map(|(name, pacing, answer)| (name, (pacing, Arc::new(answer)))).collect();
    let answers = Arc::new(answers);
    http_server::run(options.listen, move |request| respond(Arc::clone(&answers), request))
}

async fn respond(
    answers: Arc<HashMap<&'static str, (Pacing, Arc<Answer>)>>,
    request: Request<Incoming>,
) -> Response<Playback> {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    let wanted = head.headers.get(ANSWER_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some((pacing, answer)) = answers.get(wanted) else {
        let mut response = Response::new(Playback::new(Arc::new(Answer { content_type: "", pieces: Vec::new() })));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut playback = Playback::new(Arc::clone(answer));
    match pacing {
        Pacing::Plain | Pacing::Together => {}
        Pacing::OneByOne => {
            let mut ticks = tokio::time::interval(EVENT_PERIOD);
            // Late events stay apart: a burst would be another pacing.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            playback.ticks = Some(ticks);
        }
        Pacing::Idle => playback.stop_at = Some(IDLE_EVENTS),
    }
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
}

impl Playback {
    fn new(answer: Arc<Answer>) -> Self {
        Self { answer, next: 0, ticks: None, stop_at: None }
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
