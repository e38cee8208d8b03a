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
