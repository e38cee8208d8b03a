//! What analysts are given works: every query of their page and of the ClickHouse dashboard, on the real engine.

use std::path::Path;
use std::time::{Duration, SystemTime};

use schemas::rollups::{Family, Grain};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::configuration::KEY_B;
use tests::provider::Reply;
use tests::stack::{ARRIVAL, Stack};
use tests::{answers, eventually, load};

const PAGE: &str = include_str!("../../docs/clickhouse.md");
const QUESTIONS: usize = 10;

/// Twelve requests that completed, one that was refused by the provider, one for a model that does not exist.
async fn some_history() -> Stack {
    let stack = Stack::start(|received| match received.json()["messages"][0]["content"].as_str() {
        Some("refuse me") => Reply::whole(529, "application/json", r#"{"type":"error"}"#),
        _ => load::answer(received),
    })
    .await;
    let caller = stack.caller();
    for number in 0..12 {
        load::send_one(&caller, number).await;
    }
    let mut refused = answers::anthropic_request("sonnet", false);
    refused["messages"][0]["content"] = json!("refuse me");
    caller.with_key(KEY_B).send("/v1/messages", &refused).await;
    caller.send("/v1/chat/completions", &answers::openai_request("no-such-model", false)).await;
    stack.all_rows(14).await;
    summed_up(&stack).await;
    stack
}

/// Rows are there a moment before the rollups have summed them up.
async fn summed_up(stack: &Stack) {
    for family in Family::ALL {
        let rows = match family {
            Family::Usage => "SELECT count() FROM {db}.requests",
            Family::Latency => "SELECT countIf(attempts > 0) FROM {db}.requests",
            Family::Candidates | Family::Health => "SELECT count() FROM {db}.candidates",
        };
        for grain in Grain::ALL {
            let table = family.table(grain);
            let sql = format!("SELECT {} AS summed, ({rows}) AS rows FROM {{db}}.{table}", family.counted());
            eventually(&format!("{table} is complete"), ARRIVAL, || async {
                let sums: Vec<Value> = stack.database.try_rows(&sql).await?;
                if sums[0]["summed"] == sums[0]["rows"] { Ok(()) } else { Err(format!("{sums:?}")) }
            })
            .await;
        }
    }
}

/// The SQL of the page, each with the heading that it stands under.
fn queries(page: &str) -> Vec<(&str, &str)> {
    let mut heading = "";
    let mut queries = Vec::new();
    let mut rest = page;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        if line.starts_with('#') {
            heading = line.trim_start_matches(['#', ' ']);
        } else if line == "```sql" {
            let (sql, after) = rest.split_once("\n```").expect("a closed block of SQL");
            queries.push((heading, sql));
            rest = after;
        }
    }
    queries
}

/// The database of the test stands where the page and the dashboard say `weir.`.
fn here(sql: &str) -> String {
    sql.replace("weir.", "{db}.")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_page_has_an_answer() {
    let stack = some_history().await;
    let queries = queries(PAGE);
    for number in 1..=QUESTIONS {
        let start = format!("{number}. ");
        assert!(queries.iter().any(|(heading, _)| heading.starts_with(&start)), "question {number} has no SQL");
    }
    let sql_of = |start: &str| here(queries.iter().find(|(heading, _)| heading.starts_with(start)).expect(start).1);
    for (heading, sql) in &queries {
        let rows: Vec<Value> = stack.database.rows(&here(sql)).await;
        assert!(!rows.is_empty(), "{heading}: nothing\n{sql}");
    }

    // The bill is what the rows add up to, and no answer is made up: what is refused costs nothing that is known.
    let bill: Vec<Value> = stack.database.rows(&sql_of("1. ")).await;
    let requests: u64 = bill.iter().map(|row| row["requests"].as_u64().unwrap()).sum();
    assert_eq!(requests, 14, "{bill:?}");
    assert!(bill.iter().filter(|row| row["client"] == "team-b").all(|row| row["cost"].is_null()), "{bill:?}");
    let wasted: Vec<Value> = stack.database.rows(&sql_of("8. ")).await;
    assert!(wasted.iter().any(|row| row["outcome"] == "failed"), "{wasted:?}");
    let tries: Vec<Value> = stack.database.rows(&sql_of("9. ")).await;
    assert!(tries.iter().all(|row| row["verdict"] == "failed"), "{tries:?}");
    let saved: Vec<Value> = stack.database.rows(&sql_of("5. ")).await;
    let is_something =
        |row: &Value| row["saved_usd"].as_str().is_some_and(|usd| !usd.trim_matches(['0', '.']).is_empty());
    assert!(saved.iter().any(is_something), "{saved:?}");

    a_repricing_is_in_the_sum_by_day(&stack, &sql_of("2. ")).await;
}

async fn a_repricing_is_in_the_sum_by_day(stack: &Stack, sql: &str) {
    let change = "INSERT INTO {db}.adjustments (request_id, revision, received_at, client, cost_delta_usd, adjusted_at)
        SELECT request_id, 1, received_at, client, toDecimal128('0.5', 12), now64(6) FROM {db}.requests
        WHERE cost_usd IS NOT NULL LIMIT 1";
    let sum = format!("SELECT sum(cost_usd) AS usd FROM ({sql})");
    #[derive(Deserialize)]
    struct Sum {
        usd: String,
    }
    let before: Vec<Sum> = stack.database.rows(&sum).await;
    stack.database.rows::<Value>(change).await;
    let difference = format!("SELECT sum(cost_usd) - toDecimal128('{}', 12) AS usd FROM ({sql})", before[0].usd);
    let after: Vec<Sum> = stack.database.rows(&difference).await;
    assert_eq!(after[0].usd.trim_end_matches('0'), "0.5", "on top of {}", before[0].usd);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_on_clickhouse_has_an_answer() {
    let stack = some_history().await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana/dashboards/spend.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let (custom, asked): (Vec<&Value>, Vec<&Value>) = variables.iter().partition(|one| one["type"] == "custom");
    let [grains] = custom[..] else { panic!("one choice: {custom:?}") };
    let grains: Vec<&str> = grains["query"].as_str().unwrap().split(" : ").skip(1).map(|rest| &rest[..2]).collect();
    assert_eq!(grains, ["1m", "1h", "1d"]);
    for variable in asked {
        let rows: Vec<Value> = stack.database.rows(&here(variable["query"].as_str().unwrap())).await;
        assert!(!rows.is_empty(), "{variable}");
    }
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            for grain in &grains {
                let sql = expanded(target["rawSql"].as_str().unwrap(), grain);
                assert!(!sql.contains('$'), "a macro is not known: {sql}");
                let rows: Vec<Value> = stack.database.rows(&here(&sql)).await;
                assert!(!rows.is_empty(), "{}: nothing\n{sql}", panel["title"]);
                let has_value = |row: &Value| {
                    row.as_object().unwrap().iter().any(|(name, value)| name != "time" && !value.is_null())
                };
                assert!(rows.iter().any(has_value), "{}: only NULL\n{sql}", panel["title"]);
            }
        }
    }
}

/// What grafana-clickhouse-datasource makes of a query, for the last seven days in steps of an hour, no filter chosen, and
/// buckets of one grain.
fn expanded(sql: &str, grain: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(60);
    let (from, to) = (now.as_secs() - 7 * 86_400, now.as_secs());
    let mut sql =
        sql.replace("${client:sqlstring}", "''").replace("${model:sqlstring}", "''").replace("${grain}", grain);
    while let Some((before, rest)) = sql.split_once("$__timeFilter(") {
        let (column, after) = rest.split_once(')').unwrap();
        sql = format!("{before}{column} >= toDateTime({from}) AND {column} <= toDateTime({to}){after}");
    }
    while let Some((before, rest)) = sql.split_once("$__timeInterval(") {
        let (column, after) = rest.split_once(')').unwrap();
        sql = format!("{before}toStartOfInterval(toDateTime({column}), INTERVAL 3600 second){after}");
    }
    sql.replace("$__fromTime", &format!("toDateTime({from})")).replace("$__toTime", &format!("toDateTime({to})"))
}
