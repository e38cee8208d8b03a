//! Rows written through the `clickhouse` crate: every type, every size, once.

use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::engine::Engine;

#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
struct Everything {
    #[serde(with = "clickhouse::serde::uuid")]
    id: Uuid,
    name: String,
    model: String,
    at_us: i64,
    count: u64,
    delta: i64,
    ratio: f64,
    known: Option<u64>,
    unknown: Option<u64>,
    cost: Option<i128>,
    flag: bool,
    outcome: i8,
    tags: Vec<(String, String)>,
    list: Vec<u32>,
}

const EVERYTHING: &str = "CREATE TABLE test.everything (
    id UUID, name String, model LowCardinality(String), at_us DateTime64(6, 'UTC'), count UInt64, delta Int64,
    ratio Float64, known Nullable(UInt64), unknown Nullable(UInt64), cost Nullable(Decimal(38, 12)), flag Bool,
    outcome Enum8('ok' = 1, 'failed' = 2), tags Map(LowCardinality(String), String), list Array(UInt32)
) ENGINE = MergeTree ORDER BY id";

fn everything(number: u128) -> Everything {
    Everything {
        id: Uuid::from_u128(number),
        name: "caf\u{e9} \"quoted\" \\ \t\n".repeat(3),
        model: format!("model-{}", number % 7),
        at_us: 1_795_000_000_123_456,
        count: u64::MAX,
        delta: i64::MIN,
        ratio: 0.1 + 0.2,
        known: Some(42),
        unknown: None,
        cost: Some(-12_345_678_901_234_567_890_123_i128),
        flag: true,
        outcome: 2,
        tags: vec![("project".to_owned(), "alpha".to_owned()), ("team".to_owned(), String::new())],
        list: vec![1, u32::MAX],
    }
}

async fn write<R>(client: &Client, table: &str, rows: &[R]) -> Result<(), clickhouse::error::Error>
where
    R: for<'a> Row<Value<'a> = R> + Serialize + clickhouse::RowWrite,
{
    let mut insert = client.insert::<R>(table).await?;
    for row in rows {
        insert.write(row).await?;
    }
    insert.end().await
}

#[tokio::test]
async fn every_type_comes_back_as_it_was_written() {
    let engine = Engine::start().await;
    engine.execute(EVERYTHING).await;
    let plain = || engine.client().with_compression(Compression::None);
    for (number, client) in
        [engine.client(), plain(), engine.client().with_validation(false), plain().with_validation(false)]
            .iter()
            .enumerate()
    {
        let row = everything(number as u128);
        write(client, "everything", std::slice::from_ref(&row)).await.expect("an insert");
        let read = client.query("SELECT ?fields FROM everything WHERE id = ?").bind(row.id.to_string());
        assert_eq!(read.fetch_one::<Everything>().await.expect("the row"), row);
    }
    assert_eq!(engine.number("SELECT count() FROM everything").await, 4);
}

#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
struct Numbered {
    number: u64,
    text: String,
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<Numbered> {
    numbers.map(|number| Numbered { number, text: format!("row {number}") }).collect()
}

const NUMBERED: &str = "CREATE TABLE test.numbered (number UInt64, text String) ENGINE = MergeTree ORDER BY number
    SETTINGS non_replicated_deduplication_window = 1000";

#[tokio::test]
async fn a_hundred_thousand_rows_go_in_and_come_out() {
    let engine = Engine::start().await;
    engine.execute(NUMBERED).await;
    let rows = numbered(0..100_000);
    write(&engine.client(), "numbered", &rows).await.expect("an insert");
    let mut cursor =
        engine.client().query("SELECT ?fields FROM numbered ORDER BY number").fetch::<Numbered>().expect("a query");
    let mut expected = rows.iter();
    while let Some(row) = cursor.next().await.expect("a row") {
        assert_eq!(Some(&row), expected.next());
    }
    assert_eq!(expected.next(), None);
}

#[tokio::test]
async fn a_repeated_token_writes_nothing_and_neither_does_its_view() {
    let engine = Engine::start().await;
    engine.execute(NUMBERED).await;
    engine
        .execute("CREATE TABLE test.totals (day UInt8, total SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY day
            SETTINGS non_replicated_deduplication_window = 1000")
        .await;
    engine.execute("CREATE MATERIALIZED VIEW test.to_totals TO test.totals AS SELECT 1 AS day, count() AS total FROM test.numbered GROUP BY day").await;
    let with_token = |token: &str| {
        engine
            .client()
            .with_setting("insert_deduplication_token", token)
            .with_setting("deduplicate_blocks_in_dependent_materialized_views", "1")
            .with_setting("async_insert", "0")
    };
    let rows = numbered(0..500);
    for token in ["v1:0:1-500:numbered", "v1:0:1-500:numbered", "v1:0:501-1000:numbered"] {
        write(&with_token(token), "numbered", &rows).await.expect("an insert");
    }
    assert_eq!(engine.number("SELECT count() FROM numbered").await, 1000);
    assert_eq!(engine.number("SELECT sum(total) FROM totals").await, 1000);
}

#[tokio::test]
async fn an_insert_that_is_given_up_leaves_no_rows() {
    let engine = Engine::start().await;
    engine.execute(NUMBERED).await;
    let mut insert = engine.client().insert::<Numbered>("numbered").await.expect("an insert");
    for row in numbered(0..50_000) {
        insert.write(&row).await.expect("a row");
    }
    drop(insert);
    crate::engine::eventually("the insert is over", async || {
        engine.number("SELECT count() FROM system.processes WHERE query LIKE 'INSERT%'").await == 0
    })
    .await;
    assert_eq!(engine.number("SELECT count() FROM numbered").await, 0);
}

#[tokio::test]
async fn a_failing_insert_says_why() {
    let engine = Engine::start().await;
    engine.execute("CREATE TABLE test.numbered (number UInt64, text String, CONSTRAINT small CHECK number < 10) ENGINE = Memory").await;
    let error = write(&engine.client(), "numbered", &numbered(0..20_000))
        .await
        .expect_err("the constraint is violated")
        .to_string();
    assert!(error.contains("Code: 469") && error.contains("VIOLATED_CONSTRAINT"), "{error}");
    let missing = engine.client().with_validation(false);
    let error = write(&missing, "nowhere", &numbered(0..20_000)).await.expect_err("there is no such table").to_string();
    assert!(error.contains("Code: 60") && error.contains("UNKNOWN_TABLE"), "{error}");
}

#[tokio::test]
async fn statements_may_carry_their_data() {
    let engine = Engine::start().await;
    engine.execute(NUMBERED).await;
    let database = [("database", "test")];
    for body in [
        "INSERT INTO numbered VALUES (1, 'it''s'), (2, 'FORMAT CSV')",
        "INSERT INTO numbered (text, number) FORMAT CSV\n\"a\n\n;b\",3\n",
        "INSERT INTO numbered SETTINGS input_format_allow_errors_num = 1 FORMAT JSONEachRow {\"number\": 4, \"text\": \"x\"}",
        "INSERT INTO numbered FORMAT TSV SETTINGS input_format_allow_errors_num = 1\n5\ty\n",
        "INSERT INTO numbered SELECT 6, 'selected'",
    ] {
        let answer = engine.post(body, &database).await;
        assert_eq!(answer.status(), 200, "{body}: {}", answer.text().await.expect("a text"));
    }
    let answer =
        engine.post("7\tin the body\n", &[("database", "test"), ("query", "INSERT INTO numbered FORMAT TSV")]).await;
    assert_eq!(answer.status(), 200);
    let summary = answer.headers()["x-clickhouse-summary"].to_str().expect("a text").to_owned();
    assert!(summary.contains("\"written_rows\":\"1\""), "{summary}");
    assert_eq!(engine.number("SELECT sum(number) FROM numbered").await, 28);
    let texts =
        engine.client().query("SELECT text FROM numbered ORDER BY number").fetch_all::<String>().await.expect("texts");
    assert_eq!(texts, ["it's", "FORMAT CSV", "a\n\n;b", "x", "y", "selected", "in the body"]);
}
