//! Reads back what was recorded: through analytics as a user would, and from ClickHouse row by row.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use schemas::config::Config;
use schemas::money::Pico;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::accounting::{Row, Try};
use crate::terminal::Step;

/// What was recorded cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers, or not what was asked for.
    #[error("cannot read {url}: {cause}")]
    Unreadable {
        /// What was asked, without credentials.
        url: String,
        /// Why.
        cause: String,
    },
}

/// Where to read.
#[derive(Debug)]
pub(crate) struct Readback {
    pub(crate) client: reqwest::Client,
    pub(crate) analytics: SocketAddr,
    pub(crate) config: Config,
}

/// A line of `/v1/costs`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Cost {
    pub(crate) client: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) requests: u64,
    pub(crate) unpriced_requests: u64,
    pub(crate) cost_usd: Option<Pico>,
}

/// A line of `/v1/usage`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Used {
    #[serde(default)]
    pub(crate) client: Option<String>,
    #[serde(default)]
    pub(crate) model: Option<String>,
    #[serde(default)]
    pub(crate) outcome: Option<String>,
    pub(crate) requests: u64,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) cache_read_tokens: Option<u64>,
    pub(crate) cache_write_5m_tokens: Option<u64>,
    pub(crate) cache_write_1h_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    pub(crate) reasoning_tokens: Option<u64>,
    pub(crate) estimated_usage_requests: u64,
    pub(crate) unknown_usage_requests: u64,
}

/// A line of `/v1/providers`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Asked {
    pub(crate) provider: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) attempts: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) rate_limited: u64,
    pub(crate) output_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Envelope<R> {
    rows: Vec<R>,
}

impl Readback {
    /// Waits until ClickHouse has that many rows, or no more come.
    pub(crate) async fn wait_for(&self, count: usize, limit: Duration) {
        let mut step = Step::begin("waiting for the last row in ClickHouse");
        let began = Instant::now();
        let mut rows = 0;
        while rows < count && began.elapsed() < limit {
            // Before the recorder has made the tables there is nothing to count.
            rows = self.rows().await.map_or(0, |rows| rows.len());
            step.progress(format_args!("{rows} of {count} rows"));
            sleep(Duration::from_millis(100)).await;
        }
        step.done(format_args!("{rows} of {count} rows are there"));
    }

    /// Every row, from ClickHouse.
    pub(crate) async fn rows(&self) -> Result<Vec<Row>, Error> {
        let columns = "request_id, outcome, upstream_request_id, usage_source, input_tokens, cache_read_tokens, \
                       cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, cost_usd";
        self.table("requests", columns).await
    }

    /// Every try at a provider, from ClickHouse.
    pub(crate) async fn tries(&self) -> Result<Vec<Try>, Error> {
        let columns = "request_id, endpoint, verdict, status, input_tokens, output_tokens";
        self.table("candidates", columns).await
    }

    async fn table<R: DeserializeOwned>(&self, table: &str, columns: &str) -> Result<Vec<R>, Error> {
        let database = &self.config.clickhouse.database;
        self.select(&format!("SELECT {columns} FROM {database}.{table} FINAL")).await
    }

    /// The rows of a SELECT, from ClickHouse.
    pub(crate) async fn select<R: DeserializeOwned>(&self, select: &str) -> Result<Vec<R>, Error> {
        let query = format!(
            "{select} FORMAT JSONEachRow \
             SETTINGS output_format_json_quote_64bit_integers = 0, output_format_json_quote_decimals = 1"
        );
        let text = self.clickhouse(query).await?;
        let url = &self.config.clickhouse.url;
        text.lines().map(|line| serde_json::from_str(line).map_err(|cause| unreadable(url, &cause))).collect()
    }

    /// Removes the demo's database from a server that stays.
    pub(crate) async fn drop_database(&self) -> Result<(), Error> {
        self.clickhouse(format!("DROP DATABASE IF EXISTS {} SYNC", self.config.clickhouse.database)).await.map(drop)
    }

    async fn clickhouse(&self, query: String) -> Result<String, Error> {
        let clickhouse = &self.config.clickhouse;
        let mut request = self.client.post(&clickhouse.url).header("x-clickhouse-user", &clickhouse.user).body(query);
        if let Some(password) = clickhouse.password.as_ref().and_then(|password| password.resolve().ok()) {
            request = request.header("x-clickhouse-key", password.expose());
        }
        let cause = |error: reqwest::Error| unreadable(&clickhouse.url, &error.without_url());
        let response = request.send().await.map_err(cause)?;
        let is_success = response.status().is_success();
        let text = response.text().await.map_err(cause)?;
        if is_success { Ok(text) } else { Err(unreadable(&clickhouse.url, &text.trim())) }
    }

    /// The bill, by client and model.
    pub(crate) async fn costs(&self) -> Result<Vec<Cost>, Error> {
        self.analytics("/v1/costs?group_by=client,model").await
    }

    /// Tokens, by client and model.
    pub(crate) async fn used(&self) -> Result<Vec<Used>, Error> {
        self.analytics("/v1/usage?group_by=client,model").await
    }

    /// What became of the requests.
    pub(crate) async fn outcomes(&self) -> Result<Vec<Used>, Error> {
        self.analytics("/v1/usage?group_by=outcome").await
    }

    /// Who was asked, and what came of it.
    pub(crate) async fn providers(&self) -> Result<Vec<Asked>, Error> {
        self.analytics("/v1/providers?group_by=provider,endpoint").await
    }

    async fn analytics<R: DeserializeOwned>(&self, path: &str) -> Result<Vec<R>, Error> {
        let url = format!("http://{}{path}", self.analytics);
        let response = self.client.get(&url).send().await.map_err(|cause| unreadable(&url, &cause))?;
        let status = response.status();
        let text = response.text().await.map_err(|cause| unreadable(&url, &cause))?;
        if !status.is_success() {
            return Err(unreadable(&url, &format_args!("{status}: {text}")));
        }
        let envelope: Envelope<R> = serde_json::from_str(&text).map_err(|cause| unreadable(&url, &cause))?;
        Ok(envelope.rows)
    }
}

fn unreadable(url: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::Unreadable { url: url.to_owned(), cause: cause.to_string() }
}
