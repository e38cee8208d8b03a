//! `GET /v1/costs`: what requests cost, exactly.

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::aggregate;
use crate::error::Error;
use crate::queries::{self, Costs};
use crate::server::Shared;

/// Answers one request.
pub async fn answer(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let asked = aggregate::asked_with_history(query)?;
    aggregate::answer::<Costs>(&app, &asked, queries::costs, "weir-costs").await
}
