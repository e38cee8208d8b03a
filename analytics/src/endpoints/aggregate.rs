//! What all aggregates share: the envelope, and the choice between it and a file.

use ::clickhouse::{RowOwned, RowRead};
use axum::Json;
use axum::response::{IntoResponse, Response};
use schemas::time::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::download;
use crate::error::Error;
use crate::params::{Aggregate, Dimension, Output};
use crate::queries::{Grouped, Rollups, Statement, Text};
use crate::server::App;

/// Most rows of a reply in JSON.
const ROWS_MAX: usize = 10_000;
const REMEDY: &str = "ask for a shorter time range, a longer interval or fewer groups, or for format=csv";

#[derive(Serialize)]
struct Envelope<'a, R> {
    from: Timestamp,
    to: Timestamp,
    interval: Option<&'static str>,
    group_by: Vec<String>,
    rows: Vec<Entry<'a, R>>,
}

#[derive(Serialize)]
struct Entry<'a, R> {
    #[serde(flatten)]
    labels: Labels<'a>,
    #[serde(flatten)]
    row: &'a R,
}

struct Labels<'a> {
    bucket: Option<Timestamp>,
    dimensions: &'a [Dimension],
    groups: &'a [Text],
}

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(bucket) = self.bucket {
            map.serialize_entry("bucket", &bucket)?;
        }
        for (dimension, value) in self.dimensions.iter().zip(self.groups) {
            map.serialize_entry(&dimension.to_string(), value)?;
        }
        map.end()
    }
}

/// The parameters of an aggregate, as of now.
pub(super) fn asked(query: Option<String>) -> Result<Aggregate, Error> {
    Ok(Aggregate::parse(query.as_deref().unwrap_or_default(), Timestamp::now())?)
}

/// The same for a question that can be answered as it was known at a time.
pub(super) fn asked_with_history(query: Option<String>) -> Result<Aggregate, Error> {
    Ok(Aggregate::parse_with_history(query.as_deref().unwrap_or_default(), Timestamp::now())?)
}

/// Parameters -> statement -> reply.
pub(super) async fn answer<R: RowOwned + RowRead + Grouped + Serialize>(
    app: &App,
    asked: &Aggregate,
    statement: fn(&Aggregate, Rollups, usize) -> Statement,
    file_name: &str,
) -> Result<Response, Error> {
    let rollups = app.backfill.state(&app.clickhouse).await;
    if asked.output != Output::Json {
        let statement = statement(asked, rollups, download::ROWS_MAX).flattened(asked);
        return download::answer(&app.clickhouse, &statement, asked.output, file_name).await;
    }
    let rows: Vec<R> = app.clickhouse.rows(&statement(asked, rollups, ROWS_MAX), ROWS_MAX + 1).await?;
    if rows.len() > ROWS_MAX {
        return Err(Error::TooManyRows { limit: ROWS_MAX, remedy: REMEDY });
    }
    Ok(Json(envelope(asked, &rows)).into_response())
}

fn envelope<'a, R: Grouped>(asked: &'a Aggregate, rows: &'a [R]) -> Envelope<'a, R> {
    let entry = |row: &'a R| {
        let bucket = asked.interval.map(|_| Timestamp::from_micros(i64::from(row.bucket_seconds()) * 1_000_000));
        Entry { labels: Labels { bucket, dimensions: &asked.group_by, groups: row.groups() }, row }
    };
    Envelope {
        from: asked.range.from,
        to: asked.range.to,
        interval: asked.interval.map(|interval| interval.as_str()),
        group_by: asked.group_by.iter().map(Dimension::to_string).collect(),
        rows: rows.iter().map(entry).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Row {
        #[serde(skip)]
        groups: Vec<Text>,
        requests: u64,
    }

    impl Grouped for Row {
        fn bucket_seconds(&self) -> u32 {
            1_795_255_200
        }

        fn groups(&self) -> &[Text] {
            &self.groups
        }
    }

    #[test]
    fn a_row_begins_with_its_bucket_and_groups_in_the_order_asked_for() {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let asked = Aggregate::parse("interval=hour&group_by=tag:team,client", now).unwrap();
        let rows = [Row { groups: vec![Text("x".into()), Text(String::new())], requests: 2 }];
        let json = serde_json::to_string(&envelope(&asked, &rows)).unwrap();
        let expected = concat!(
            r#"{"from":"2026-11-20T12:00:00.000000Z","to":"2026-11-21T12:00:00.000000Z","interval":"hour","#,
            r#""group_by":["tag:team","client"],"rows":[{"bucket":"2026-11-21T10:00:00.000000Z","#,
            r#""tag:team":"x","client":null,"requests":2}]}"#
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn without_interval_there_is_no_bucket_and_no_rows_are_an_empty_list() {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let asked = Aggregate::parse("", now).unwrap();
        let json = |rows: &[Row]| serde_json::to_value(envelope(&asked, rows)).unwrap()["rows"].clone();
        assert_eq!(json(&[]), serde_json::json!([]));
        assert_eq!(json(&[Row { groups: vec![], requests: 3 }]), serde_json::json!([{ "requests": 3 }]));
    }
}
