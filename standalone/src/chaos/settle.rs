//! Waits until nothing is on its way any more, and reads what is there then.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::sleep;
use uuid::Uuid;

use super::Error;
use super::books::{COLUMNS, Copies, Row};
use super::meter::Meter;
use super::totals::{self, Pair};
use crate::audit::{Auditor, Question, Report, State};
use crate::demo::accounting::Check;
use crate::demo::readback::Readback;
use crate::simulate::Simulator;

/// How long everything may take to settle: a backlog of the whole run, on a machine that others use as well.
const LIMIT: Duration = Duration::from_secs(240);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// So many looks in a row must be clean and see the same rows.
const CLEAN_LOOKS: u32 = 3;
const CLEAN: &str = "clean";

/// Who is asked.
pub(super) struct Settling<'a> {
    pub(super) readback: &'a Readback,
    pub(super) simulator: &'a Simulator,
    pub(super) meter: &'a Meter,
}

/// What is there when everything has settled, or the time is up.
pub(super) struct Settled {
    pub(super) rows: Vec<Row>,
    pub(super) opened: Vec<Uuid>,
    pub(super) candidates: Copies,
    pub(super) uneven: u64,
    pub(super) totals: Vec<Pair>,
    pub(super) dead_letters: u64,
    pub(super) lag_seconds: Option<f64>,
    pub(super) audit: String,
    /// What the audit says is wrong.
    pub(super) reasons: Vec<String>,
}

#[derive(Deserialize)]
struct Id {
    request_id: Uuid,
}

#[derive(Deserialize)]
struct Number {
    number: u64,
}

impl Settling<'_> {
    /// Waits.
    pub(super) async fn wait(&self) -> Result<Settled, Error> {
        let auditor = Auditor::new(self.readback.analytics, None)?;
        let began = Instant::now();
        let (mut clean, mut seen) = (0, 0);
        let mut last: Option<Report> = None;
        while clean < CLEAN_LOOKS && began.elapsed() < LIMIT {
            sleep(LOOK_EVERY).await;
            // A part that is still coming back is asked again.
            let Ok(report) = auditor.ask(Question::default()).await else { continue };
            let rows = self.count("requests").await.unwrap_or(0);
            let is_over = self.simulator.tally().running == 0;
            let is_clean = is_over && report.state == State::Clean && rows == seen;
            clean = if is_clean { clean + 1 } else { 0 };
            seen = rows;
            last = Some(report);
        }
        let (audit, reasons) = match last {
            Some(report) if report.state == State::Clean => (CLEAN.to_owned(), report.reasons),
            Some(report) => (format!("{:?}", report.state).to_lowercase(), report.reasons),
            None => ("no answer".to_owned(), Vec::new()),
        };
        let database = &self.readback.config.clickhouse.database;
        let rows = self.readback.select(&format!("SELECT {COLUMNS} FROM {database}.requests")).await?;
        let ids: Vec<Id> = self.readback.select(&format!("SELECT request_id FROM {database}.opened")).await?;
        let copies =
            format!("SELECT count() AS rows, uniqExact(epoch, partition, seq) AS events FROM {database}.candidates");
        let candidates = self.readback.select(&copies).await?.pop().unwrap_or_default();
        Ok(Settled {
            rows,
            opened: ids.into_iter().map(|id| id.request_id).collect(),
            candidates,
            uneven: self.uneven().await?,
            totals: totals::read(self.readback).await?,
            dead_letters: self.count("dead_letters").await?,
            lag_seconds: self.meter.lag_seconds().await,
            audit,
            reasons,
        })
    }

    async fn count(&self, table: &str) -> Result<u64, Error> {
        let database = &self.readback.config.clickhouse.database;
        self.number(&format!("SELECT count() AS number FROM {database}.{table}")).await
    }

    /// Every attempt leaves a row, but for the one that a gateway died over.
    async fn uneven(&self) -> Result<u64, Error> {
        let database = &self.readback.config.clickhouse.database;
        let sql = format!(
            "SELECT count() AS number \
             FROM (SELECT request_id, attempts FROM {database}.requests WHERE error_class != 'gateway_died') AS request \
             LEFT JOIN (SELECT request_id, countIf(verdict != 'skipped') AS tried FROM {database}.candidates \
             GROUP BY request_id) AS candidate USING (request_id) \
             WHERE attempts != tried"
        );
        self.number(&sql).await
    }

    async fn number(&self, sql: &str) -> Result<u64, Error> {
        let rows: Vec<Number> = self.readback.select(sql).await?;
        Ok(rows.first().map_or(0, |row| row.number))
    }
}

/// That the audit is clean.
pub(super) fn audit_check(found: &str) -> Check {
    Check::new("audit (weir audit)", CLEAN, found)
}
