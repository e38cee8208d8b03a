//! `GET /v1/audit`: whether what gateways have emitted is what ClickHouse holds.

use axum::Json;
use axum::extract::{RawQuery, State};
use schemas::time::Timestamp;
use serde::Serialize;

use crate::audit::{self, Checks, Ledger, State as Judgement, Sums};
use crate::error::Error;
use crate::params::Audit;
use crate::queries::{self, Recorded};
use crate::server::Shared;

/// The reply.
#[derive(Serialize)]
pub struct Report {
    from: Timestamp,
    to: Timestamp,
    state: Judgement,
    reasons: Vec<String>,
    ledgers: Vec<Ledger>,
    sums: Vec<Sums>,
    checks: Checks,
}

/// Answers one request.
pub async fn answer(State(app): Shared, RawQuery(query): RawQuery) -> Result<Json<Report>, Error> {
    let now = Timestamp::now();
    let range = Audit::parse(query.as_deref().unwrap_or_default(), now)?.range;
    // What NATS tells first: what is stored by then is among the rows, and not the other way round.
    let told = app.teller.read().await;
    let longest = i64::try_from(app.request_time_max.as_micros()).unwrap_or(i64::MAX);
    let overdue_before = Timestamp::from_micros(now.as_micros().saturating_sub(longest));
    let (held, sums, checks) = tokio::try_join!(
        queries::held(&app.clickhouse, Recorded::Since(range.from)),
        queries::sums(&app.clickhouse, range),
        queries::checks(&app.clickhouse, range, overdue_before),
    )?;
    let unheld = told.as_ref().map(|told| audit::unheld(told, &held, range.from)).unwrap_or_default();
    let older = match unheld.is_empty() {
        true => Vec::new(),
        false => queries::held(&app.clickhouse, Recorded::Before(range.from, &unheld)).await?,
    };
    let ledgers = audit::judge(told.as_ref().ok(), &held, &older, range.from, now);
    let mut findings = audit::judge_sums(&sums, &checks);
    if let Err(error) = &told {
        tracing::warn!(error, "the audit cannot ask NATS how far ledgers reach");
        findings.push(audit::Finding::unknown("NATS cannot be asked how far ledgers reach: ask again when it is back"));
    }
    let findings = findings.iter().map(|finding| (finding.state, finding.reason.as_str()));
    let of_ledgers = ledgers.iter().map(|ledger| (ledger.state, ledger.reason.as_str()));
    let (state, reasons) = audit::overall(of_ledgers.chain(findings));
    Ok(Json(Report { from: range.from, to: range.to, state, reasons, ledgers, sums, checks }))
}
