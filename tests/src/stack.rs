//! The whole pipeline for one test: provider, gateway, NATS, recorder, ClickHouse, analytics.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;
use uuid::Uuid;

use crate::broker::Broker;
use crate::caller::Caller;
use crate::configuration::{self, KEY_A, Settings};
use crate::eventually;
use crate::provider::{Provider, Received, Reply};
use crate::services::{self, Analytics, Gateway, Service};
use crate::warehouse::{Database, Engine};

/// How long events may take from the gateway into ClickHouse before a test gives up. Generous: two cores, many tests.
pub const ARRIVAL: Duration = Duration::from_secs(60);

/// What differs from the usual pipeline.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Further lines of `[nats]`.
    pub nats: String,
    /// Further lines of `[gateway]`.
    pub gateway: String,
    /// Further lines of `[recorder]`.
    pub recorder: String,
    /// Further lines of `[analytics]`.
    pub analytics: String,
    /// Providers, models and clients; `{provider}` stands for the scripted provider's URL. Empty: the usual ones.
    pub catalogue: String,
    /// An engine process of the test's own, so that it can be stopped.
    pub own_engine: bool,
}

/// Everything running.
pub struct Stack {
    /// The scripted provider.
    pub provider: Provider,
    /// The gateway; taken by tests that stop it.
    pub gateway: Option<Gateway>,
    /// The recorder.
    pub recorder: Option<Service>,
    /// The reader.
    pub analytics: Analytics,
    /// The test's database.
    pub database: Database,
    /// The engine, where the test has its own.
    pub engine: Option<Engine>,
    /// The NATS server.
    pub broker: Broker,
    /// What the services were told.
    pub settings: Settings,
    _folder: TempDir,
}

impl Stack {
    /// The usual pipeline, with a provider that answers like this.
    pub async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let mut stack = Self::without_gateway(Plan::default(), answer).await;
        stack.start_gateway().await;
        stack
    }

    /// The pipeline as planned.
    pub async fn planned(plan: Plan, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let mut stack = Self::without_gateway(plan, answer).await;
        stack.start_gateway().await;
        stack
    }

    /// Everything but the gateway, for tests that run it as a process.
    pub async fn without_gateway(plan: Plan, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let (provider, broker) = tokio::join!(Provider::start(answer), Broker::start());
        let engine = if plan.own_engine { Some(Engine::start().await) } else { None };
        Self::on_engine(plan, engine, (provider, broker)).await
    }

    /// The pipeline as planned, without a gateway, on an engine that the test has started.
    pub async fn on(engine: Engine, plan: Plan, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let around = tokio::join!(Provider::start(answer), Broker::start());
        Self::on_engine(plan, Some(engine), around).await
    }

    async fn on_engine(plan: Plan, engine: Option<Engine>, (provider, broker): (Provider, Broker)) -> Self {
        let running = match &engine {
            Some(engine) => engine,
            None => Engine::shared().await,
        };
        let database = Database::on(running);
        let folder = tempfile::tempdir().expect("a folder for the ledger");
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let catalogue = match plan.catalogue.as_str() {
            "" => configuration::catalogue(&provider.url()),
            planned => planned.replace("{provider}", &provider.url()),
        };
        let settings = Settings {
            nats_url: broker.url(),
            clickhouse_url: running.url(),
            database: database.name.to_string(),
            ledger_dir: folder.path().join("ledger"),
            listen: nowhere,
            ops_listen: nowhere,
            recorder_ops_listen: nowhere,
            nats: plan.nats,
            gateway: plan.gateway,
            recorder: plan.recorder,
            analytics: plan.analytics,
            catalogue,
        };
        let recorder = Some(services::recorder(&settings).await);
        let analytics = Analytics::start(&settings).await;
        let gateway = None;
        Self { provider, gateway, recorder, analytics, database, engine, broker, settings, _folder: folder }
    }

    /// Ends the recorder at once, wherever it is, and starts another.
    pub async fn replace_recorder(&mut self) {
        drop(self.recorder.take());
        self.recorder = Some(services::recorder(&self.settings).await);
    }

    /// Starts a gateway on the stack's ledger.
    pub async fn start_gateway(&mut self) {
        assert!(self.gateway.is_none(), "a gateway is running");
        self.gateway = Some(Gateway::start(&self.settings).await);
    }

    /// A client of the gateway with the key of `team-a`.
    pub fn caller(&self) -> Caller {
        Caller::new(&self.gateway.as_ref().expect("a gateway").url, KEY_A)
    }

    /// A client of analytics.
    pub fn reader(&self) -> Caller {
        Caller::new(&self.analytics.url, "")
    }

    /// The terminal row of a request, once it is there.
    pub async fn row(&self, request_id: Uuid) -> Row {
        eventually(&format!("the row of {request_id}"), ARRIVAL, || async move {
            let condition = format!("request_id = '{request_id}'");
            let mut rows = self.try_requests(&condition).await?;
            match rows.len() {
                1 => Ok(rows.remove(0)),
                count => Err(format!("{count} rows")),
            }
        })
        .await
    }

    /// All terminal rows, once there are `count` of them; more than that fails the test.
    pub async fn all_rows(&self, count: usize) -> BTreeMap<Uuid, Row> {
        let rows = eventually(&format!("{count} rows"), ARRIVAL, || async move {
            let rows = self.try_requests("1").await?;
            assert!(rows.len() <= count, "{} rows for {count} requests", rows.len());
            if rows.len() == count { Ok(rows) } else { Err(format!("{} rows", rows.len())) }
        })
        .await;
        let by_id: BTreeMap<Uuid, Row> = rows.into_iter().map(|row| (row.request_id, row)).collect();
        assert_eq!(by_id.len(), count, "a request has more than one row");
        by_id
    }

    /// Rows as they lie in the table, without `FINAL`: one that was written twice is seen twice.
    async fn try_requests(&self, condition: &str) -> Result<Vec<Row>, String> {
        self.database.try_rows(&format!("SELECT * FROM {{db}}.requests WHERE {condition}")).await
    }
}

/// A row of `requests`, with the columns that tests look at.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "named like the columns, which DESCRIBE explains")]
pub struct Row {
    pub request_id: Uuid,
    pub outcome: String,
    pub operation: String,
    pub client: String,
    pub user: String,
    pub tags: BTreeMap<String, String>,
    pub format: String,
    pub provider: String,
    pub endpoint: String,
    pub key: String,
    pub model_requested: String,
    pub model: String,
    pub model_upstream: String,
    pub model_reported: String,
    pub status: u16,
    pub upstream_status: Option<u16>,
    pub error_class: String,
    pub error_type: String,
    pub error_message: String,
    pub stop_reason: String,
    pub attempts: u16,
    pub ttft_ms: Option<f64>,
    pub duration_ms: f64,
    pub input_tokens: Option<u64>,
    pub fresh_input_tokens: Option<u64>,
    pub cache_read_tokens: Option<u64>,
    pub cache_write_5m_tokens: Option<u64>,
    pub cache_write_1h_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub delivered_output_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
    pub usage_source: String,
    pub raw_usage: String,
    pub cost_usd: Option<String>,
    pub price_id: String,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub stream_events: u64,
    pub client_request_id: String,
    pub upstream_request_id: String,
    pub user_agent: String,
    pub gateway: String,
}
