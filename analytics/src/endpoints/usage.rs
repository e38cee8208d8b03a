//! `GET /v1/usage`: requests by outcome and tokens by kind.

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::aggregate;
use crate::error::Error;
use crate::queries::{self, Usage};
use crate::server::Shared;

/// Answers one request.
pub async fn answer(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let asked = aggregate::asked(query)?;
    aggregate::answer::<Usage>(&app, &asked, queries::usage, "weir-usage").await
}
