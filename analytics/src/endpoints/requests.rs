//! `GET /v1/requests`: search, newest first, page by page.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use schemas::time::Timestamp;
use serde::Serialize;

use super::download;
use crate::error::Error;
use crate::params::{Cursor, Output, Search};
use crate::queries::{self, Request};
use crate::server::Shared;

#[derive(Serialize)]
struct Page {
    from: Timestamp,
    to: Timestamp,
    rows: Vec<Request>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Answers one request.
pub async fn answer(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let asked = Search::parse(query.as_deref().unwrap_or_default(), Timestamp::now())?;
    if asked.output != Output::Json {
        let statement = queries::requests(&asked, download::ROWS_MAX);
        return download::answer(&app.clickhouse, &statement, asked.output, "weir-requests").await;
    }
    let mut rows = queries::page(&app.clickhouse, &asked).await?;
    let more = rows.len() > asked.limit;
    rows.truncate(asked.limit);
    let last = rows.last().filter(|_| more).map(|row| Cursor {
        range: asked.range,
        received_at: Timestamp::from_micros(row.received_at.0),
        request_id: row.request_id.0,
    });
    let next_cursor = last.map(|cursor| cursor.to_string());
    Ok(Json(Page { from: asked.range.from, to: asked.range.to, rows, next_cursor }).into_response())
}
