//! One HTTP/1.1 connection to a provider, read and written by whoever waits for its answer.
//!
//! The usual clients run a connection in a task of its own, or hand over one chunk of an answer at a time. Here the task
//! that relays an answer reads the socket itself: it is woken by the socket alone, sees all that has arrived, and gets it
//! as one piece. Nothing is kept for an answer that is waited for: what is read lands in the thread's own buffer first.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Frame, SizeHint};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::body::Body;
use super::error::Error;
use super::framing::Framing;
use super::head::{self, Head, HeadReader, Malformed};
use super::idle::Idle;

/// Most bytes read at once.
const READ_MAX: usize = 64 << 10;

thread_local! {
    /// What is read lands here, and what belongs to an answer is copied out of it.
    static LANDING: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into_boxed_slice());
}

/// The bytes of a connection, behind TLS or not.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// One connection, between two requests or under one.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TokioIo<Stream>,
    sending: Sending,
    /// When its last answer ended.
    pub(super) idle_since: Instant,
}

/// How far its request has got.
#[derive(Debug)]
enum Sending {
    /// On its way: both parts, and how many bytes of them have been written.
    Now {
        head: Vec<u8>,
        body: Bytes,
        written: usize,
    },
    Done,
    /// It cannot be written any further.
    Broken {
        written: usize,
    },
}

/// A request that got no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Nothing of it was sent: another connection may have it.
    Unsent,
    /// Nobody knows what the provider has seen of it.
    Lost(Error),
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream: TokioIo::new(stream), sending: Sending::Done, idle_since: Instant::now() }
    }

    /// Whether the provider has left it open, has read its request, and has said nothing that it was not asked for.
    pub(super) fn is_open(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(self.sending, Sending::Done) && self.poll_read(&mut context, |_| ()).is_pending()
    }

    /// Sends a request in origin form and waits for the answer's head. Its body takes the connection along.
    pub(super) async fn send(
        mut self: Box<Self>,
        request: &Request<Bytes>,
        idle: &Arc<Idle>,
    ) -> Result<Response<Body>, Unanswered> {
        self.sending = Sending::Now { head: head::of_request(request), body: request.body().clone(), written: 0 };
        let mut reader = HeadReader::default();
        let answered = std::future::poll_fn(|context| self.poll_head(context, (&mut reader, request.method()))).await;
        let (Head { response, framing, keeps_alive }, first) = answered?;
        let mut answering = Answering { first, framing, keeps_alive, connection: Some(self), idle: Arc::clone(idle) };
        answering.release();
        Ok(response.map(|()| Body::Direct(Box::new(answering))))
    }

    /// The head of the answer, and what came with it of the body.
    fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        (reader, method): (&mut HeadReader, &Method),
    ) -> Poll<Result<(Head, Bytes), Unanswered>> {
        self.write(context);
        // A provider may refuse a request that it has not read to its end: also then there is an answer to be read.
        let is_unsent = match self.sending {
            Sending::Broken { written: 0 } => return Poll::Ready(Err(Unanswered::Unsent)),
            Sending::Now { written, .. } => written == 0,
            Sending::Broken { .. } | Sending::Done => false,
        };
        let unanswered = |error| if is_unsent { Unanswered::Unsent } else { Unanswered::Lost(error) };
        loop {
            let read = ready!(self.poll_read(context, |bytes| {
                let Some((mut head, length)) = reader.push(method, bytes)? else { return Ok(None) };
                let (first, is_surplus) = body_in(&mut head.framing, bytes.get(length..).unwrap_or_default())?;
                head.keeps_alive &= !is_surplus;
                Ok::<_, Malformed>(Some((head, first)))
            }));
            match read {
                Ok(Some(Ok(Some(answer)))) => return Poll::Ready(Ok(answer)),
                Ok(Some(Ok(None))) => {}
                Ok(Some(Err(malformed))) => return Poll::Ready(Err(Unanswered::Lost(Error::lost(&malformed)))),
                Ok(None) => return Poll::Ready(Err(unanswered(Error::lost(&ENDED)))),
                Err(error) => return Poll::Ready(Err(unanswered(Error::lost(&error)))),
            }
        }
    }

    /// Reads what has come. `None` at the end of the connection.
    fn poll_read<T>(
        &mut self,
        context: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<Option<T>>> {
        LANDING.with_borrow_mut(|landing| {
            let mut buffer = ReadBuf::new(landing);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            let bytes = buffer.filled();
            Poll::Ready(Ok((!bytes.is_empty()).then(|| take(bytes))))
        })
    }

    /// Writes what can be written of the request.
    fn write(&mut self, context: &mut Context<'_>) {
        while let Sending::Now { head, body, written } = &mut self.sending {
            let rest_of_head = head.get(*written..).unwrap_or_default();
            let rest_of_body = body.get(written.saturating_sub(head.len())..).unwrap_or_default();
            let is_whole = rest_of_head.is_empty() && rest_of_body.is_empty();
            let mut stream = Pin::new(&mut self.stream);
            let wrote = match is_whole {
                // TLS may hold back the last of it.
                true => stream.as_mut().poll_flush(context).map_ok(|()| 0),
                false => stream.poll_write_vectored(context, &[IoSlice::new(rest_of_head), IoSlice::new(rest_of_body)]),
            };
            match wrote {
                Poll::Pending => return,
                Poll::Ready(Ok(_)) if is_whole => self.sending = Sending::Done,
                Poll::Ready(Ok(length @ 1..)) => *written += length,
                Poll::Ready(_) => self.sending = Sending::Broken { written: *written },
            }
        }
    }
}

/// The connection ended where it should not have.
const ENDED: Malformed = Malformed("it ended before its answer did");

/// What belongs to a body of the bytes that have come, and whether others came after it.
fn body_in(framing: &mut Framing, bytes: &[u8]) -> Result<(Bytes, bool), Malformed> {
    framing.take(bytes).map(|(body, taken)| (body, taken < bytes.len()))
}

/// The body of an answer, and the connection that it comes over.
#[derive(Debug)]
pub struct Answering {
    /// What came with the head.
    first: Bytes,
    framing: Framing,
    keeps_alive: bool,
    /// `None` once the answer is over.
    connection: Option<Box<Connection>>,
    idle: Arc<Idle>,
}

impl Answering {
    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        loop {
            let Self { framing, keeps_alive, connection: Some(connection), .. } = self else {
                return Poll::Ready(None);
            };
            connection.write(context);
            let read = ready!(connection.poll_read(context, |bytes| body_in(framing, bytes)));
            let error = match read {
                Ok(Some(Ok((body, is_surplus)))) => {
                    *keeps_alive &= !is_surplus;
                    self.release();
                    if body.is_empty() {
                        continue;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(body))));
                }
                Ok(None) if matches!(framing, Framing::UntilClose) => None,
                Ok(None) => Some(Error::lost(&ENDED)),
                Ok(Some(Err(malformed))) => Some(Error::lost(&malformed)),
                Err(error) => Some(Error::lost(&error)),
            };
            self.connection = None;
            return Poll::Ready(error.map(Err));
        }
    }

    /// Where all of the answer has come, the connection can have another.
    fn release(&mut self) {
        if self.framing.is_over()
            && let Some(connection) = self.connection.take()
            && self.keeps_alive
        {
            self.idle.put(connection);
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let here = self.first.len() as u64;
        let left = self.framing.left().and_then(|left| here.checked_add(left));
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
