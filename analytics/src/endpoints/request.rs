//! `GET /v1/requests/{id}`: the whole story of one request.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Error;
use crate::params;
use crate::queries::{self, Adjustment, Bodies, Candidate, Opened, PriceTier, Request, Whose};
use crate::server::{App, Shared};

/// Opened, tried, ended, and what the price was made of.
#[derive(Serialize)]
pub struct Story {
    request_id: Uuid,
    /// `open` until the terminal row is there, then `settled`.
    state: &'static str,
    opened: Option<Opened>,
    candidates: Vec<Candidate>,
    request: Option<Request>,
    price: Vec<PriceTier>,
    /// What repricings have made of the cost since; the last of them counts in sums.
    adjustments: Vec<Adjustment>,
    /// Only where the gateway captures them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bodies: Vec<Bodies>,
}

/// Answers one request.
pub async fn answer(
    State(app): Shared,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Json<Story>, Error> {
    params::none(query.as_deref().unwrap_or_default())?;
    // What is not text is not an id either.
    let id = params::request_id(&path.map(|Path(id)| id).unwrap_or_default())?;
    let mut found = read(&app, Whose::near(id)).await?;
    if found.is_nothing() {
        found = read(&app, Whose::ever(id)).await?;
    }
    if found.is_nothing() {
        return Err(Error::NoSuchRequest(id));
    }
    let Found { opened, candidates, request, bodies, adjustments } = found;
    let price = match request.as_ref().map(|row| row.price_id.0.as_str()) {
        None | Some("") => Vec::new(),
        Some(price_id) => queries::price(&app.clickhouse, price_id).await?,
    };
    let state = if request.is_some() { "settled" } else { "open" };
    Ok(Json(Story { request_id: id, state, opened, candidates, request, price, adjustments, bodies }))
}

/// The rows of a request.
struct Found {
    opened: Option<Opened>,
    candidates: Vec<Candidate>,
    request: Option<Request>,
    bodies: Vec<Bodies>,
    adjustments: Vec<Adjustment>,
}

impl Found {
    fn is_nothing(&self) -> bool {
        self.opened.is_none() && self.request.is_none() && self.candidates.is_empty()
    }
}

async fn read(app: &App, whose: Whose) -> Result<Found, Error> {
    let (opened, candidates, request, bodies, adjustments) = tokio::try_join!(
        queries::opened(&app.clickhouse, whose),
        queries::candidates(&app.clickhouse, whose),
        queries::request(&app.clickhouse, whose),
        queries::bodies(&app.clickhouse, whose),
        queries::adjustments(&app.clickhouse, whose),
    )?;
    Ok(Found { opened, candidates, request, bodies, adjustments })
}
