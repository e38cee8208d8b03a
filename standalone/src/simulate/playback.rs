//! A stream being sent: pace, planned end, and the entry in the tally.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame as BodyFrame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::frames::Frame;
use super::tally::{Ending, Ticket};

/// What happens after the last frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// The answer is complete; says whether it told its usage.
    Complete { usage_reported: bool },
    /// The answer ends in order, but is broken.
    Broken,
    /// The connection ends in the middle of the body.
    Cut,
    /// Nothing more comes.
    Stall,
}

/// How fast tokens come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) first_token: Duration,
    pub(super) per_token: Duration,
}

impl Pace {
    /// The wait before a frame of `tokens`.
    fn before(&self, tokens: u64, first: bool) -> Duration {
        let made = self.per_token.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX));
        if first { self.first_token.saturating_add(made) } else { made }
    }

    /// The time that a whole answer takes.
    pub(super) fn whole(&self, tokens: u64) -> Duration {
        self.before(tokens, true)
    }
}

/// The connection is to end here.
#[derive(Debug, thiserror::Error)]
#[error("the simulated fault ends the connection")]
pub(super) struct Ended;

/// The body of a streamed response.
#[derive(Debug)]
pub(super) struct Playback {
    frames: std::vec::IntoIter<Frame>,
    next: Option<Frame>,
    wait: Option<Pin<Box<Sleep>>>,
    pace: Pace,
    had_first: bool,
    flushed: bool,
    finish: Finish,
    ticket: Ticket,
}

impl Playback {
    pub(super) fn new(frames: Vec<Frame>, pace: Pace, finish: Finish, ticket: Ticket) -> Self {
        let mut playback = Self {
            frames: frames.into_iter(),
            next: None,
            wait: None,
            pace,
            had_first: false,
            flushed: false,
            finish,
            ticket,
        };
        playback.advance();
        playback.note_break();
        playback
    }

    /// After the last frame, a client that leaves is not the cause of the end any more.
    fn note_break(&mut self) {
        if self.next.is_none() && matches!(self.finish, Finish::Cut | Finish::Stall) {
            self.ticket.falls_as(Ending::Broken);
        }
    }

    /// Takes the next frame in hand and starts its wait.
    fn advance(&mut self) {
        self.next = self.frames.next();
        let Some(tokens) = self.next.as_ref().map(|frame| frame.tokens).filter(|tokens| *tokens > 0) else { return };
        let wait = self.pace.before(tokens, !std::mem::replace(&mut self.had_first, true));
        self.wait = (!wait.is_zero()).then(|| Box::pin(sleep(wait)));
    }
}

impl Body for Playback {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Ended>>> {
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(context));
            self.wait = None;
        }
        if let Some(frame) = self.next.take() {
            self.ticket.sent(frame.tokens);
            self.advance();
            match self.finish {
                _ if self.next.is_some() => {}
                // Settled with the last frame and not after it: nobody asks for more than the last frame.
                Finish::Complete { usage_reported } => self.ticket.settle(Ending::Completed, usage_reported),
                Finish::Broken => self.ticket.settle(Ending::Broken, false),
                Finish::Cut | Finish::Stall => self.note_break(),
            }
            return Poll::Ready(Some(Ok(BodyFrame::data(frame.bytes))));
        }
        if self.finish == Finish::Cut && !std::mem::replace(&mut self.flushed, true) {
            // What was sent has to leave before the connection ends: an error throws away what is still buffered.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.finish {
            Finish::Complete { .. } | Finish::Broken => Poll::Ready(None),
            Finish::Cut => {
                self.ticket.settle(Ending::Broken, false);
                Poll::Ready(Some(Err(Ended)))
            }
            // Whoever waits is woken by the connection's end, which drops this body.
            Finish::Stall => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && matches!(self.finish, Finish::Complete { .. } | Finish::Broken)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
