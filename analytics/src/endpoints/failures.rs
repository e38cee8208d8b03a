//! `GET /v1/failures`: requests that did not complete, by cause.

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::aggregate;
use crate::error::Error;
use crate::params::Dimension;
use crate::queries::{self, Failures};
use crate::server::Shared;

/// Answers one request.
pub async fn answer(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let mut asked = aggregate::asked(query)?;
    // Every row has it anyway.
    asked.group_by.retain(|dimension| *dimension != Dimension::Outcome);
    aggregate::answer::<Failures>(&app, &asked, queries::failures, "weir-failures").await
}
