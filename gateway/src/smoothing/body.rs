//! The body that deals out: reads what the relay has at once, sends it when it is due.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame};
use schemas::config::Smoothing;
use schemas::outcome::Format;
use tokio::time::Sleep;

use super::pace::{Next, Pace};
use super::smoother::Smoother;

/// A body whose long texts go out in pieces.
pub(super) struct Smoothed<B: Body> {
    inner: B,
    smoother: Smoother,
    pace: Pace,
    timer: Pin<Box<Sleep>>,
    is_over: bool,
    /// What comes after all data: trailers, or the error that ended it.
    last: Option<Result<Frame<Bytes>, B::Error>>,
}

impl<B: Body<Data = Bytes> + Unpin> Smoothed<B> {
    pub(super) fn new(inner: B, settings: &Smoothing, format: Format) -> Self {
        let pause = settings.delay.0;
        Self {
            inner,
            smoother: Smoother::new(format, settings.chunk_chars as usize),
            pace: Pace::new(pause),
            timer: Box::pin(tokio::time::sleep(pause)),
            is_over: false,
            last: None,
        }
    }

    /// Reads what is there. Reading goes on during pauses, so that the relay sees its limits pass, and the end.
    fn read(&mut self, context: &mut Context<'_>) {
        while !self.is_over && self.pace.has_room() {
            let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) else { return };
            let now = Instant::now();
            let pace = &mut self.pace;
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(chunk))) => self.smoother.push(&chunk, |part| pace.add(now, part)),
                Some(Ok(Err(trailers))) => self.last = Some(Ok(trailers)),
                end => {
                    self.smoother.finish(|part| pace.add(now, part));
                    self.is_over = true;
                    if let Some(Err(error)) = end {
                        self.last = Some(Err(error));
                    }
                }
            }
        }
    }
}

/// Nothing but `inner` is ever pinned.
impl<B: Body + Unpin> Unpin for Smoothed<B> {}

impl<B: Body<Data = Bytes> + Unpin> Body for Smoothed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        loop {
            this.read(context);
            match this.pace.next(Instant::now()) {
                Next::Send(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Next::Wait(due) => {
                    this.timer.as_mut().reset(due.into());
                    if this.timer.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
                Next::Nothing if this.is_over => return Poll::Ready(this.last.take()),
                Next::Nothing => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Waker;
    use std::time::Duration;

    use axum::http::{HeaderMap, HeaderValue};
    use http_body_util::{BodyExt, StreamBody};
    use schemas::config::Span;
    use tokio::sync::mpsc;

    use super::*;
    use crate::smoothing::smooth;

    const EVENT: &[u8] = b"data: {\"type\":\"response.output_text.delta\",\"delta\":\"0123456789\"}\n\n";

    fn settings(delay_ms: u64) -> Smoothing {
        Smoothing { enabled: true, chunk_chars: 2, delay: Span(Duration::from_millis(delay_ms)) }
    }

    fn scripted<E>(frames: Vec<Result<Frame<Bytes>, E>>) -> impl Body<Data = Bytes, Error = E> + Unpin {
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn pieces_go_out_one_by_one_with_a_pause_between() {
        let frames = vec![Ok::<_, Infallible>(Frame::data(Bytes::from_static(EVENT)))];
        let mut body = Smoothed::new(scripted(frames), &settings(10), Format::OpenaiResponses);
        let (begin, mut pieces) = (Instant::now(), 0);
        while let Some(frame) = body.frame().await {
            assert!(begin.elapsed() >= Duration::from_millis(10) * pieces);
            let text = String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap();
            assert!(text.ends_with(&format!("\"delta\":\"{}{}\"}}\n\n", pieces * 2, pieces * 2 + 1)), "{text}");
            pieces += 1;
        }
        assert_eq!(pieces, 5);
    }

    #[tokio::test]
    async fn what_ends_a_body_comes_after_its_last_piece() {
        let data = || Ok(Frame::data(Bytes::from_static(EVENT)));
        let trailers = HeaderMap::from_iter([("x-end".parse().unwrap(), HeaderValue::from_static("1"))]);
        let ends: [Vec<Result<Frame<Bytes>, &str>>; 2] =
            [vec![data(), Err("broken")], vec![data(), Ok(Frame::trailers(trailers))]];
        for frames in ends {
            let mut body = Smoothed::new(scripted(frames), &settings(1), Format::OpenaiResponses);
            for _ in 0..5 {
                assert!(body.frame().await.unwrap().unwrap().is_data());
            }
            let last = body.frame().await.unwrap();
            assert!(last.map_or_else(|error| error == "broken", |frame| frame.is_trailers()));
            assert!(body.frame().await.is_none());
        }
    }

    #[tokio::test]
    async fn reading_goes_on_during_a_pause_and_ends_with_the_client() {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
        let inner = StreamBody::new(futures_util::stream::poll_fn(move |context| {
            receiver.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))))
        }));
        let mut body = Smoothed::new(inner, &settings(60_000), Format::OpenaiResponses);
        let mut context = Context::from_waker(Waker::noop());
        sender.try_send(Bytes::from_static(EVENT)).unwrap();
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready(), "the first piece at once");
        for _ in 0..100 {
            let _a_pause = Pin::new(&mut body).poll_frame(&mut context);
            sender.try_send(Bytes::from_static(b": more\n\n")).expect("the one before has been read");
        }
        drop(body);
        assert!(sender.is_closed(), "the relay goes with its client");
    }

    #[tokio::test]
    async fn bodies_that_are_not_to_be_smoothed_pass_as_they_are() {
        let off = Smoothing { enabled: false, ..settings(1) };
        let mut compressed = HeaderMap::new();
        compressed.insert("content-encoding", HeaderValue::from_static("gzip"));
        for (settings, headers) in [(off, HeaderMap::new()), (settings(1), compressed)] {
            let frames = vec![Ok::<_, Infallible>(Frame::data(Bytes::from_static(EVENT)))];
            let mut body = smooth(scripted(frames), &settings, Format::OpenaiResponses, &headers);
            let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!((bytes.as_ptr(), bytes.len()), (EVENT.as_ptr(), EVENT.len()), "not even copied");
        }
    }
}
