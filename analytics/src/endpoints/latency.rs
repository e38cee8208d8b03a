//! `GET /v1/latency`: times to the first content and to the end, and the speed of streams.

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::aggregate;
use crate::error::Error;
use crate::queries::{self, Latency};
use crate::server::Shared;

/// Answers one request.
pub async fn answer(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let asked = aggregate::asked(query)?;
    aggregate::answer::<Latency>(&app, &asked, queries::latency, "weir-latency").await
}
