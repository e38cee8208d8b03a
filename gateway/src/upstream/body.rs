//! The bodies of answers.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::connection::Answering;
use super::error::Error;

/// The body of a provider's answer.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Read by whoever polls it: what has arrived can be had at once.
    Direct(Box<Answering>),
    /// Read by a task of the connection, which hands over one chunk at a time.
    Shared(reqwest::Body),
}

impl Body {
    /// Whether more may have arrived than can be seen before another task has had its turn.
    pub fn may_hide_more(&self) -> bool {
        matches!(self, Self::Shared(_))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Direct(answering) => answering.poll_frame(context),
            Self::Shared(body) => Pin::new(body).poll_frame(context).map_err(Error::from),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Direct(answering) => answering.size_hint(),
            Self::Shared(body) => body.size_hint(),
        }
    }
}

/// One part as it is; several joined.
pub fn join(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        0 | 1 => parts.pop().unwrap_or_default(),
        _ => parts.concat().into(),
    }
}
