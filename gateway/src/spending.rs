//! What ClickHouse holds of the budgets' windows, read in the background: it also knows of gateways that are gone, and of
//! what this one spent in the moments before it was killed. No request waits for it, and without it what gateways tell
//! each other stands.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::config::ClickHouse;
use schemas::money::Pico;
use schemas::time::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::app::App;
use crate::limits::Recorded;
use crate::reload::Current;

/// Between two readings.
const PERIOD: Duration = Duration::from_secs(60);
/// The same while none has succeeded, and soon after the start: what a gateway that was killed had not written down arrives
/// in ClickHouse while its successor is already at work.
const EARLY_PERIOD: Duration = Duration::from_secs(5);
/// How long after the start it is early.
const EARLY: Duration = Duration::from_secs(120);

/// A gateway's costs for a client.
#[derive(Debug, Deserialize)]
struct Row {
    client: String,
    epoch: Uuid,
    spent: Pico,
}

/// Reads for ever; the caller drops it. A gateway without budgets never asks.
pub(crate) async fn follow(current: Arc<Current>, clickhouse: ClickHouse) {
    let http = match reqwest::Client::builder().no_proxy().timeout(clickhouse.timeout.0).build() {
        Ok(http) => http,
        Err(error) => return tracing::error!(%error, "what was spent cannot be read from ClickHouse"),
    };
    let start = Instant::now();
    loop {
        let app = current.get();
        let pause = match read(&app, &clickhouse, &http).await {
            Ok(recorded) => {
                app.limits.note_recorded(recorded);
                if start.elapsed() < EARLY { EARLY_PERIOD } else { PERIOD }
            }
            Err(error) => {
                tracing::debug!(error, "what was spent is not known from ClickHouse yet");
                EARLY_PERIOD
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn read(app: &App, clickhouse: &ClickHouse, http: &reqwest::Client) -> Result<Recorded, String> {
    let mut recorded = Recorded::default();
    for window in app.limits.windows() {
        let from = window.bounds(Timestamp::now()).0;
        let named: HashSet<&str> = app.limits.with_budget_per(window).collect();
        for Row { client, epoch, spent } in ask(clickhouse, http, &statement(&clickhouse.database, from)).await? {
            if named.contains(client.as_str()) {
                recorded.add(&client, epoch, from, spent);
            }
        }
    }
    Ok(recorded)
}

/// The plain sum is right because every insert has a token; see the recorder.
fn statement(database: &str, from: Timestamp) -> String {
    format!(
        "SELECT client, toString(epoch) AS epoch, toString(sum(cost_usd)) AS spent FROM {database}.requests \
         WHERE received_at >= fromUnixTimestamp64Micro(toInt64({}), 'UTC') AND cost_usd IS NOT NULL \
         GROUP BY client, epoch FORMAT JSONEachRow",
        from.as_micros()
    )
}

async fn ask(clickhouse: &ClickHouse, http: &reqwest::Client, statement: &str) -> Result<Vec<Row>, String> {
    let mut request =
        http.post(&clickhouse.url).header("x-clickhouse-user", &clickhouse.user).body(statement.to_owned());
    if let Some(password) = &clickhouse.password {
        request = request.header("x-clickhouse-key", password.resolve()?.expose());
    }
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let (status, text) = (answer.status(), answer.text().await.map_err(|error| error.to_string())?);
    if !status.is_success() {
        return Err(format!("{status}: {}", text.chars().take(200).collect::<String>()));
    }
    let rows = text.lines().filter(|line| !line.is_empty()).map(serde_json::from_str);
    rows.collect::<Result<_, _>>().map_err(|error| error.to_string())
}
