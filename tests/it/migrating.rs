//! While the recorder makes the tables, questions are put off and none is called a fault.

use schemas::migrations::{self, Migration, Placeholders};
use serde_json::{Value, json};
use tests::broker::Broker;
use tests::caller::{self, Caller};
use tests::configuration::Settings;
use tests::eventually;
use tests::services::{self, Analytics};
use tests::stack::ARRIVAL;
use tests::warehouse::{Database, Engine};

const PATHS: [&str; 7] = [
    "/v1/usage?from=-3d",
    "/v1/costs?from=-3d&group_by=client",
    "/v1/latency?interval=hour",
    "/v1/failures",
    "/v1/providers",
    "/v1/requests?limit=1",
    "/v1/costs?format=csv",
];

/// Three requests of one day: what the cache saved is known of one of them, to be nothing.
const OLD_ROWS: &str = "\
INSERT INTO {db}.requests (request_id, outcome, client, model, received_at, attempts, cost_usd, cache_saved_usd, input_tokens, output_tokens) \
SELECT generateUUIDv4(), 'completed', 'c', ['known', 'unknown', 'repriced'][number], \
       toDateTime64('2026-02-03 04:05:06', 6, 'UTC') + number * 60, 1, 1, [0, NULL, NULL][number], 1, 1 \
FROM numbers(1, 3)";

/// What a repricing wrote before there was a count of what is known of caches.
const OLD_ADJUSTMENT: &str = "\
INSERT INTO {db}.adjustments (request_id, revision, outcome, client, model, received_at, cost_before_usd, cost_usd, cost_delta_usd, priced_delta) \
SELECT request_id, 1, outcome, client, model, received_at, 1, 2, 1, 0 FROM {db}.requests WHERE model = 'repriced'";

/// As the seal job wrote it: the day was found equal.
const OLD_SEAL: &str = "\
INSERT INTO {db}.seals (family, day, checked_at, closed_until, fingerprint, verdict) \
VALUES ('usage', '2026-02-03', '2026-02-04 00:06:00', '2026-02-04 00:00:00', 1, 'equal')";

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_before_the_count_of_known_savings_keeps_its_answers_and_doubts_what_was_repriced() {
    let engine = Engine::shared().await;
    let database = Database::on(engine);
    let settings = Settings::of_database(engine.url(), &database.name);
    let placeholders = Placeholders { database: &database.name, cluster: "" };
    let run = async |sql: &str| drop(database.rows::<Value>(sql).await);
    run("CREATE DATABASE {db}").await;
    let (old, new): (Vec<&Migration>, Vec<&Migration>) =
        migrations::ALL.iter().partition(|migration| migration.name < "0100");
    for migration in old {
        run(&migrations::render(migration.sql, &placeholders)).await;
    }
    for sql in [OLD_ROWS, OLD_ADJUSTMENT, OLD_SEAL] {
        run(sql).await;
    }
    for family in schemas::rollups::Family::ALL {
        run(&format!("INSERT INTO {{db}}.backfills VALUES ('{}', now64(6), 'r')", family.as_str())).await;
    }
    // Twice, as two recorders do that start at once.
    for migration in new.iter().chain(&new) {
        run(&migrations::render(migration.sql, &placeholders)).await;
    }
    let reader = Analytics::start(&settings).await;
    let question = "/v1/costs?from=2026-02-03&to=2026-02-04&group_by=model";
    let answer = Caller::new(&reader.url, "").get_json(question).await;
    let saved = |model: &str| {
        let row = answer["rows"].as_array().unwrap().iter().find(|row| row["model"] == model).unwrap();
        row["cache_saved_usd"].clone()
    };
    assert_eq!((saved("known"), saved("unknown")), (json!("0.000000000000"), Value::Null), "{answer}");
    let last: Vec<Value> =
        database.rows("SELECT argMax(verdict, checked_at) AS last FROM {db}.seals WHERE day = '2026-02-03'").await;
    assert_eq!(last, [json!({ "last": "doubted" })], "the day that was repriced is to be checked again");
    let broker = Broker::start().await;
    let recorder = "seal_every = \"300ms\"".to_owned();
    let settings = Settings { nats_url: broker.url(), recorder, ..settings };
    let (_recorder, ops) = services::recorder_with_ops(&settings).await;
    eventually("the doubted day is right", ARRIVAL, || async {
        let answer = Caller::new(&reader.url, "").get_json(&format!("{question}&model=repriced")).await;
        let row = &answer["rows"][0];
        let is_right = row["cost_usd"] == "2.000000000000" && row["cache_saved_usd"].is_null();
        if is_right { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    // That is noted, and nobody is woken by it.
    let noted = "SELECT count() AS days FROM {db}.seals WHERE verdict = 'replaced' AND family = 'usage'";
    eventually("the replacement is noted", ARRIVAL, || async {
        let noted: Vec<Value> = database.try_rows(noted).await?;
        if noted == [json!({ "days": 1 })] { Ok(()) } else { Err(format!("{noted:?}")) }
    })
    .await;
    let metrics = caller::read(Caller::new(&ops, "").request(http::Method::GET, "/metrics")).await.text();
    for line in ["weir_recorder_seal_differences_total 0", "weir_recorder_seals_total{verdict=\"replaced\"} 0"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_missing_yet_the_answer_is_to_ask_again() {
    let engine = Engine::shared().await;
    let database = Database::on(engine);
    let settings = Settings::of_database(engine.url(), &database.name);
    let reader = Analytics::start(&settings).await;
    let reader = Caller::new(&reader.url, "");
    let placeholders = Placeholders { database: &database.name, cluster: "" };
    let run = async |sql: String| drop(database.rows::<Value>(&sql).await);
    let mut put_off = 0;
    run("CREATE DATABASE {db}".to_owned()).await;
    run("CREATE TABLE {db}.migrations (name String) ENGINE = MergeTree ORDER BY name".to_owned()).await;
    for migration in migrations::ALL {
        for path in PATHS {
            let answer = caller::read(reader.request(http::Method::GET, path)).await;
            if answer.status == 200 {
                continue;
            }
            put_off += 1;
            let told = format!("{path} before {}: {} {}", migration.name, answer.status, answer.text());
            assert_eq!(answer.status, 503, "{told}");
            assert_eq!(answer.json()["error"]["code"], "clickhouse_not_migrated", "{told}");
            assert_eq!(answer.headers["retry-after"], "1", "{told}");
        }
        run(migrations::render(migration.sql, &placeholders)).await;
        run(format!("INSERT INTO {{db}}.migrations VALUES ('{}')", migration.name)).await;
    }
    assert!(put_off > PATHS.len(), "only {put_off} answers were put off");
    for path in PATHS {
        assert_eq!(caller::read(reader.request(http::Method::GET, path)).await.status, 200, "{path}");
    }
}
