//! Smoothing: large pieces of an answer's text are dealt out in small ones, evenly (S109 to S121). Off by default.
//!
//! It stands between the relay and the client's connection, so that nothing that is counted, timed or recorded depends
//! on it: the provider's bytes have been read, and a request that is complete has been settled, before they come here.
//!
//! What is touched is the text of long text deltas, and nothing else. An event is cut by putting a part of its text in
//! the text's place; all other bytes of the event stay as they came. What may be said only once is said once: the role
//! goes with the first piece; the finish reason, usage and other findings about the answer, and the event's `id`, go
//! with the last. Whatever is not understood to the last member goes out byte for byte, in its place.
//!
//! The pieces of a Responses event all carry its `sequence_number`: the numbers never fall, stay the provider's own
//! where a client resumes with `starting_after`, and no later event has to be renumbered.

mod object;
mod delta;
mod cut;
mod smoother;
mod pace;
mod body;

#[cfg(test)]
mod tests;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body::Body as HttpBody;
use schemas::config::Smoothing;
use schemas::outcome::Format;

use self::body::Smoothed;

/// A stream's body, dealt out if the configuration says so; otherwise the body itself.
pub(crate) fn smooth<B>(stream: B, settings: &Smoothing, format: Format, headers: &HeaderMap) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError> + Send,
{
    // What is compressed cannot be cut.
    if settings.enabled && !headers.contains_key(header::CONTENT_ENCODING) {
        Body::new(Smoothed::new(stream, settings, format))
    } else {
        Body::new(stream)
    }
}
