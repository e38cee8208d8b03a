//! Rollups are measured when they are complete; before, it is told what to wait for.

use recorder::seal::Pending;
use schemas::price::Book;
use schemas::time::Timestamp;
use serde_json::Value;
use tests::broker::Broker;
use tests::configuration::Settings;
use tests::stack::ARRIVAL;
use tests::warehouse::{Database, Engine};
use tests::{eventually, services};
use weir::history;
use weir::measure::queries::{self, Error, Options};

const ROWS: u64 = 1_500;

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_not_measured_before_the_rollups_are_what_their_rows_add_up_to() {
    let engine = Engine::shared().await;
    let database = Database::on(engine);
    let options =
        Options { clickhouse: engine.url(), database: database.name.to_string(), repeats: 1, repeats_of_rows: 1 };
    let run = async |sql: &str| drop(database.rows::<Value>(sql).await);
    let settings = Settings::of_database(engine.url(), &database.name);
    let past = history::Options { rows: ROWS, days: 3, until: Timestamp::now(), seed: 5 };
    history::fill(&settings.config().clickhouse, &Book::builtin().unwrap(), past, |_| {}).await.unwrap();
    let report = queries::run(&options).await.unwrap();
    assert!(report.starts_with(&format!("{ROWS} requests")), "{report}");

    // A family that is still being filled in.
    run("ALTER TABLE {db}.backfills DELETE WHERE family IN ('usage', 'health') SETTINGS mutations_sync = 2").await;
    let refused = queries::run(&options).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Pending(Pending::Backfill(families)) if families == "usage, health"),
        "{refused}"
    );
    assert!(refused.to_string().contains("backfills"), "{refused}");
    run("INSERT INTO {db}.backfills VALUES ('usage', now64(6), 'r'), ('health', now64(6), 'r')").await;

    // A day that is being made anew.
    let job = format!("usage_1m_seal_{}", "0".repeat(32));
    run(&format!("CREATE TABLE {{db}}.{job} AS {{db}}.usage_1m")).await;
    let refused = queries::run(&options).await.unwrap_err();
    assert!(matches!(&refused, Error::Pending(Pending::Making(tables)) if *tables == job), "{refused}");
    run(&format!("DROP TABLE {{db}}.{job}")).await;

    // Days that somebody has begun to check.
    run(
        "INSERT INTO {db}.seals (family, day, checked_at, verdict) VALUES ('usage', yesterday(), now64(6), 'replaced')",
    )
    .await;
    let refused = queries::run(&options).await.unwrap_err();
    assert!(matches!(refused, Error::Pending(Pending::Days { family: "usage", days: 3, .. })), "{refused}");
    let broker = Broker::start().await;
    let recorder = "seal_every = \"300ms\"".to_owned();
    let _recorder = services::recorder(&Settings { nats_url: broker.url(), recorder, ..settings }).await;
    let measured = || async {
        match queries::run(&options).await {
            Ok(report) => Ok(report),
            Err(pending @ Error::Pending(_)) => Err(pending.to_string()),
            Err(other) => panic!("{other}"),
        }
    };
    eventually("every day is sealed", ARRIVAL, measured).await;

    // What is being recorded today is left out. A row that came without its events may be found, and today made anew.
    run("INSERT INTO {db}.requests SELECT * REPLACE (now64(6) AS received_at) FROM {db}.requests LIMIT 1").await;
    let report = eventually("no day is being made anew", ARRIVAL, measured).await;
    assert!(report.starts_with(&format!("{ROWS} requests")), "{report}");
}
