//! `GET /v1/live`: terminal events as they happen, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::error::Error;
use crate::live::Told;
use crate::params::Live;
use crate::server::Shared;

/// A silent stream says that it lives, before proxies lose patience.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// For proxies that would rather collect first, and for caches, like everywhere else.
const HEADERS: [(HeaderName, &str); 2] =
    [(HeaderName::from_static("x-accel-buffering"), "no"), (header::CACHE_CONTROL, "no-store")];

/// Answers one request, for as long as it is read.
pub async fn answer(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let asked = Live::parse(query.as_deref().unwrap_or_default())?;
    let listener = app.listeners.join(asked.filters).ok_or(Error::TooManyListeners)?;
    let events = stream::unfold(listener, |mut listener| async move {
        let told = listener.next().await?;
        Some((Ok::<_, Infallible>(event(&told)), listener))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    Ok((HEADERS, Sse::new(events).keep_alive(keep_alive)).into_response())
}

fn event(told: &Told) -> Event {
    let event = Event::default();
    match told {
        Told::Listening => event.event("listening").data("{}"),
        Told::Ended(line) => event.event("request").data(line),
        Told::Dropped(Some(events)) => event.event("dropped").data(format!(r#"{{"events":{events}}}"#)),
        Told::Dropped(None) => event.event("dropped").data(r#"{"events":null}"#),
        Told::Interrupted => event.event("interrupted").data("{}"),
        Told::Resumed(away) => event.event("resumed").data(format!(r#"{{"away_ms":{}}}"#, away.as_millis())),
    }
}
