//! Rollups, rows and answers agree to the last digit, whatever came late, came twice or was priced again.

use schemas::rollups::{Family, Grain};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::eventually;
use tests::load;
use tests::stack::{ARRIVAL, Plan, Stack};

const REQUESTS: u64 = 24;

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Sums {
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
    cost_usd: String,
}

/// The columns of [`Sums`], over rows and over a rollup.
const OF_ROWS: &str = "count() AS requests, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, \
                       toString(sum(cost_usd)) AS cost_usd";
const OF_ROLLUP: &str = "sum(requests) AS requests, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, \
                         toString(sum(cost_usd)) AS cost_usd";

async fn sums(stack: &Stack, columns: &str, from: &str) -> Result<Sums, String> {
    let mut rows = stack.database.try_rows(&format!("SELECT {columns} FROM {{db}}.{from}")).await?;
    rows.pop().ok_or_else(|| "no row".to_owned())
}

async fn run(stack: &Stack, sql: &str) {
    stack.database.rows::<Value>(sql).await;
}

/// Some requests of now, and their copies of two days ago, which came late.
async fn with_late_rows() -> Stack {
    let plan = Plan { recorder: "seal_every = \"300ms\"".to_owned(), ..Plan::default() };
    let stack = Stack::planned(plan, load::answer).await;
    let caller = stack.caller();
    for number in 0..REQUESTS {
        load::send_one(&caller, number).await;
    }
    stack.all_rows(REQUESTS as usize).await;
    // Before the rollups are known to be complete, answers come from the rows.
    backfilled(&stack).await;
    for table in ["requests", "candidates"] {
        let late = "SELECT * REPLACE (received_at - INTERVAL 2 DAY AS received_at)";
        run(&stack, &format!("INSERT INTO {{db}}.{table} {late} FROM {{db}}.{table}")).await;
    }
    stack
}

async fn backfilled(stack: &Stack) {
    eventually("the rollups are complete", ARRIVAL, || async {
        let rows: Vec<Value> = stack.database.try_rows("SELECT DISTINCT family FROM {db}.backfills").await?;
        if rows.len() == Family::ALL.len() { Ok(()) } else { Err(format!("{rows:?}")) }
    })
    .await;
}

/// Waits until the late day's last check has found it equal, after at least `replaced` replacements.
async fn sealed(stack: &Stack, family: &str, replaced: u64) {
    #[derive(Debug, Deserialize)]
    struct Told {
        replaced: u64,
        last: String,
    }
    let sql = format!(
        "SELECT countIf(verdict = 'replaced') AS replaced, toString(argMax(verdict, checked_at)) AS last \
         FROM {{db}}.seals WHERE family = '{family}' AND day < toDate(now() - INTERVAL 1 DAY)"
    );
    eventually(&format!("{family} sealed"), ARRIVAL, || async {
        let told: Vec<Told> = stack.database.try_rows(&sql).await?;
        match told.first() {
            Some(told) if told.replaced >= replaced && told.last == "equal" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

const LATE: &str = "received_at < now() - INTERVAL 1 DAY";
const LATE_BUCKET: &str = "bucket < now() - INTERVAL 36 HOUR";

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_is_in_the_rollups_at_once_and_what_comes_twice_is_taken_out_again() {
    let stack = with_late_rows().await;
    let expected = sums(&stack, OF_ROWS, &format!("requests FINAL WHERE {LATE}")).await.unwrap();
    assert_eq!(expected.requests, REQUESTS);
    for grain in ["1m", "1h", "1d"] {
        let late = sums(&stack, OF_ROLLUP, &format!("usage_{grain} WHERE {LATE_BUCKET}")).await.unwrap();
        assert_eq!(late, expected, "usage_{grain}");
    }
    for family in Family::ALL {
        sealed(&stack, family.as_str(), 0).await;
    }

    // The same rows once more, as an insert whose token is forgotten.
    for table in ["requests", "candidates"] {
        let again = "SELECT * REPLACE (now64(6) AS recorded_at)";
        run(
            &stack,
            &format!(
                "INSERT INTO {{db}}.{table} SETTINGS insert_deduplicate = 0 {again} FROM {{db}}.{table} WHERE {LATE}"
            ),
        )
        .await;
    }
    for family in Family::ALL {
        sealed(&stack, family.as_str(), 1).await;
    }
    for grain in ["1m", "1h", "1d"] {
        let after = sums(&stack, OF_ROLLUP, &format!("usage_{grain} WHERE {LATE_BUCKET}")).await.unwrap();
        assert_eq!(after, expected, "usage_{grain}");
    }
    let told: Vec<Value> = stack
        .database
        .rows(
            "SELECT family, counted_before, counted, length(differing_hours) AS hours FROM {db}.seals \
             WHERE verdict = 'replaced' ORDER BY family",
        )
        .await;
    // Sent within minutes; where an hour ends in between, there are two.
    let as_one = |row: &Value| {
        json!({ "hours": row["hours"].as_u64().map(|hours| hours.min(1)), "family": row["family"],
        "counted_before": row["counted_before"], "counted": row["counted"] })
    };
    for family in ["usage", "latency"] {
        let found = json!({ "family": family, "counted_before": 2 * REQUESTS, "counted": REQUESTS, "hours": 1 });
        assert!(told.iter().any(|row| as_one(row) == found), "{family}: {told:?}");
    }
    let left: Vec<Value> =
        stack.database.rows("SELECT name FROM system.tables WHERE database = '{db}' AND name LIKE '%seal\\_%'").await;
    assert!(left.len() <= 3, "tables of jobs are left behind: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_has_nothing_to_fill_in_and_says_so_at_once() {
    // No pass comes in the time of this test: only what is done before recording counts.
    let plan = Plan { recorder: "seal_every = \"1h\"".to_owned(), ..Plan::default() };
    let stack = Stack::without_gateway(plan, load::answer).await;
    backfilled(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_from_before_the_rollups_is_filled_in() {
    let mut stack = with_late_rows().await;
    let today = sums(&stack, OF_ROWS, &format!("requests FINAL WHERE NOT {LATE}")).await.unwrap();
    let all = sums(&stack, OF_ROWS, "requests FINAL").await.unwrap();
    drop(stack.recorder.take());
    for family in Family::ALL {
        for grain in Grain::ALL {
            run(&stack, &format!("TRUNCATE TABLE {{db}}.{}", family.table(grain))).await;
        }
    }
    for table in ["seals", "backfills"] {
        run(&stack, &format!("TRUNCATE TABLE {{db}}.{table}")).await;
    }
    stack.replace_recorder().await;
    // The day that is still open was filled in before anything else was recorded.
    let caller = stack.caller();
    load::send_one(&caller, REQUESTS).await;
    eventually("one more request", ARRIVAL, || async {
        let now = sums(&stack, OF_ROLLUP, &format!("usage_1m WHERE NOT ({LATE_BUCKET})")).await?;
        if now.requests == today.requests + 1 { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    backfilled(&stack).await;
    for grain in ["1m", "1h", "1d"] {
        let after = sums(&stack, OF_ROLLUP, &format!("usage_{grain}")).await.unwrap();
        assert_eq!(after.requests, all.requests + 1, "usage_{grain}");
    }
}
