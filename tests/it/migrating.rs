//! While the recorder makes the tables, questions are put off and none is called a fault.

use schemas::migrations::{self, Placeholders};
use serde_json::Value;
use tests::caller::{self, Caller};
use tests::configuration::Settings;
use tests::services::Analytics;
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
