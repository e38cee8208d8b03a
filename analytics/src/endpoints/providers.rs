//! `GET /v1/providers`: tries and their success from candidates, tokens and cost from requests.

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::aggregate;
use crate::error::Error;
use crate::params::Dimension;
use crate::queries::{self, Providers};
use crate::server::Shared;

/// What candidates and requests both know.
const DIMENSIONS: [Dimension; 4] = [Dimension::Provider, Dimension::Endpoint, Dimension::Key, Dimension::Client];

/// Answers one request.
pub async fn answer(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let mut asked = aggregate::asked(query)?;
    asked.only(&DIMENSIONS)?;
    if asked.group_by.is_empty() {
        asked.group_by = vec![Dimension::Provider];
    }
    aggregate::answer::<Providers>(&app, &asked, queries::providers, "weir-providers").await
}
