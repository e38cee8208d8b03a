//! The request's body: within its bound, in time, and of the right shape.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use schemas::outcome::ErrorClass;

use super::accept::{attribute, printable};
use super::authenticate::Authenticated;
use super::receipt::Ticket;
use super::rejection::Rejection;
use super::tags;
use crate::app::App;
use crate::clients::Caller;
use crate::formats::{self, Peeked};

/// A request that is here whole.
pub(super) struct Received<'a> {
    pub(super) caller: &'a Caller,
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    pub(super) body: Bytes,
    pub(super) peeked: Peeked,
}

/// Names the client's user, to Weir alone.
const USER_HEADER: HeaderName = HeaderName::from_static("x-weir-user");
/// How much of an oversized body is read and thrown away, so that the client gets to read why it was refused.
const DISCARD_MAX_BYTES: u64 = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);

pub(super) async fn receive<'a>(
    app: &App,
    ticket: &mut Ticket,
    request: Authenticated<'a>,
) -> Result<Received<'a>, Rejection> {
    let Authenticated { caller, path, headers, query, body } = request;
    let format = ticket.format();
    if !caller.may_speak(format) {
        let message = format!("this API key may not use the API {format}");
        return Err(Rejection::new(ErrorClass::Forbidden, message));
    }
    let body = read(app, &headers, body).await?;
    ticket.receipt.request_bytes = body.len() as u64;
    ticket.transcript.request(&headers, &body);
    let mut peeked = formats::peek_at(ticket.format(), &path, &body)
        .map_err(|invalid| Rejection::new(ErrorClass::InvalidRequest, invalid.message))?;
    ticket.receipt.model_requested = printable(&peeked.model);
    ticket.receipt.is_stream = peeked.stream;
    // What is said to us alone comes before what is said to the provider as well.
    peeked.user = attribute(&headers, &USER_HEADER).or(peeked.user);
    ticket.receipt.user = peeked.user.as_deref().map(printable);
    tags::add(&headers, &mut ticket.receipt.tags);
    Ok(Received { caller, headers, query, body, peeked })
}

async fn read(app: &App, headers: &HeaderMap, mut body: Body) -> Result<Bytes, Rejection> {
    let max = app.request_body_max;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max) {
        discard(body).await;
        return Err(too_large(max));
    }
    let limit = app.timeouts.request_body.0;
    let collect = async {
        // A client may announce more than it sends: trust it with a little memory only.
        let mut whole = BytesMut::with_capacity(usize::try_from(announced.unwrap_or(0)).unwrap_or(0).min(1 << 20));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Rejection::new(ErrorClass::BodyIncomplete, "the request body broke off").with_detail(error.to_string())
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() as u64 + data.len() as u64 > max {
                return Ok(None);
            }
            whole.extend_from_slice(&data);
        }
        Ok(Some(whole.freeze()))
    };
    match tokio::time::timeout(limit, collect).await {
        Ok(Ok(Some(whole))) => Ok(whole),
        Ok(Ok(None)) => {
            discard(body).await;
            Err(too_large(max))
        }
        Ok(Err(rejection)) => Err(rejection),
        Err(_) => {
            let message = format!("the request body did not arrive within {} s", limit.as_secs());
            Err(Rejection::new(ErrorClass::BodyIncomplete, message))
        }
    }
}

fn too_large(max: u64) -> Rejection {
    let max = schemas::config::ByteSize(max);
    Rejection::new(ErrorClass::BodyTooLarge, format!("the request body is larger than {max}, the most allowed here"))
}

/// Reads on for a while: a client that is still sending would otherwise see a reset instead of our answer.
async fn discard(mut body: Body) {
    let reading = async {
        let mut left = DISCARD_MAX_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
            if left == 0 {
                return;
            }
        }
    };
    let _too_slow = tokio::time::timeout(DISCARD_TIME, reading).await;
}
