//! A result as a file, passed on as ClickHouse writes it: nothing is held here.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::clickhouse::ClickHouse;
use crate::error::Error;
use crate::params::Output;
use crate::queries::Statement;

/// Most rows of a file.
pub(super) const ROWS_MAX: usize = 1_000_000;

/// Streams the result of a statement.
///
/// What fails at once is told with a status. What fails later breaks the transfer off, so that half a file is never
/// taken for a whole one.
pub(super) async fn answer(
    clickhouse: &ClickHouse,
    statement: &Statement,
    output: Output,
    file_name: &str,
) -> Result<Response, Error> {
    let (format, extension, media_type) = match output {
        Output::Parquet => ("Parquet", "parquet", "application/vnd.apache.parquet"),
        Output::Csv | Output::Json => ("CSVWithNames", "csv", "text/csv; charset=utf-8; header=present"),
    };
    let download = clickhouse.bytes(statement, format, ROWS_MAX).await?;
    let pieces = stream::try_unfold(download, |mut download| async move {
        let piece = download.next().await.inspect_err(|error| error.warn("a download broke off"))?;
        Ok::<_, crate::clickhouse::Error>(piece.map(|piece| (piece, download)))
    });
    let disposition = format!("attachment; filename=\"{file_name}.{extension}\"");
    let headers = [(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
