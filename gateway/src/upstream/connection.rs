//! One HTTP/1.1 connection to a provider, run by whoever waits for its answer.
//!
//! hyper's connections usually run in a task of their own, which costs two task switches per chunk. Here the task that
//! relays an answer polls the connection itself: it sees all that has arrived, and is woken by the socket alone.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::Body;
use super::error::Error;
use super::idle::Idle;
use super::wake::Turns;

/// Most bytes read ahead; a head must fit in it, too.
const BUFFER_MAX: usize = 64 << 10;

/// The bytes of a connection, behind TLS or not.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// One connection, between two requests or under one.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it is closed.
    driver: Option<http1::Connection<Stream, Full<Bytes>>>,
    turns: Turns,
    /// When its last answer ended.
    pub(super) idle_since: Instant,
}

/// A request that got no answer.
pub(super) enum Unanswered {
    /// Nothing of it was sent: another connection may have it.
    Unsent(Box<Request<Full<Bytes>>>),
    /// Nobody knows what the provider has seen of it.
    Lost(Error),
}

impl Connection {
    pub(super) async fn begin(stream: Stream) -> Result<Self, Error> {
        let begun = http1::Builder::new().max_buf_size(BUFFER_MAX).handshake(stream).await;
        let (sender, driver) = begun.map_err(|error| Error::connect(&error))?;
        Ok(Self { sender, driver: Some(driver), turns: Turns::new(), idle_since: Instant::now() })
    }

    /// Whether the provider has left it open. Also takes in what has happened since the last request.
    pub(super) fn is_open(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.drive(&mut context);
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Sends a request and waits for the answer's head. Its body takes the connection along.
    pub(super) async fn send(
        mut self: Box<Self>,
        request: Request<Full<Bytes>>,
        idle: &Arc<Idle>,
    ) -> Result<Response<Body>, Unanswered> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let answered = std::future::poll_fn(|context| {
            let Self { driver, turns, .. } = &mut *self;
            turns.take(context, |context| {
                drive(driver, context);
                answer.as_mut().poll(context)
            })
        });
        match answered.await {
            Ok(response) => {
                let idle = Arc::clone(idle);
                Ok(response.map(|body| Body::Direct(Box::new(Answering { body, connection: Some(self), idle }))))
            }
            Err(mut refused) => Err(match refused.take_message() {
                Some(request) => Unanswered::Unsent(Box::new(request)),
                None => Unanswered::Lost(Error::lost(&refused.into_error())),
            }),
        }
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.driver, context);
    }
}

/// Lets the connection read and write what it can. How it ended is told by the answer that it ended under.
fn drive(driver: &mut Option<http1::Connection<Stream, Full<Bytes>>>, context: &mut Context<'_>) {
    if let Some(connection) = driver
        && Pin::new(connection).poll(context).is_ready()
    {
        *driver = None;
    }
}

/// The body of an answer, and the connection that it comes over.
#[derive(Debug)]
pub struct Answering {
    body: Incoming,
    /// `None` once the answer is over.
    connection: Option<Box<Connection>>,
    idle: Arc<Idle>,
}

impl Answering {
    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { body, connection, idle } = self;
        let Some(Connection { driver, turns, .. }) = connection.as_deref_mut() else { return Poll::Ready(None) };
        let frame = ready!(turns.take(context, |context| {
            drive(driver, context);
            Pin::new(&mut *body).poll_frame(context)
        }));
        match frame {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => {
                *connection = None;
                Poll::Ready(Some(Err(Error::lost(&error))))
            }
            None => {
                // Where the answer ended whole, the connection can have another.
                if let Some(connection) = connection.take() {
                    idle.put(connection);
                }
                Poll::Ready(None)
            }
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
