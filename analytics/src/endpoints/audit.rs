//! `GET /v1/audit`: whether what gateways have emitted is what ClickHouse holds, and rollups what their rows add up to.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use schemas::time::Timestamp;
use serde::Serialize;

use crate::audit::{self, Checks, Difference, Finding, Ledger, MINUTES_MAX, Minute, State as Judgement, Sums};
use crate::clickhouse::ClickHouse;
use crate::error::Error;
use crate::params::{Audit, Range};
use crate::queries::{self, Recorded, Rollups};
use crate::server::Shared;

/// Most events that one audit reads: the numbers of all of them are sorted at once.
const EVENTS_MAX: u64 = 20_000_000;
/// Between the two looks at rollups that differ.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// The reply.
#[derive(Serialize)]
pub struct Report {
    from: Timestamp,
    to: Timestamp,
    state: Judgement,
    reasons: Vec<String>,
    ledgers: Vec<Ledger>,
    minutes: Vec<Minute>,
    sums: Vec<Sums>,
    rollups: Vec<Difference>,
    checks: Checks,
}

/// Answers one request.
pub async fn answer(State(app): Shared, RawQuery(query): RawQuery) -> Result<Json<Report>, Error> {
    let now = Timestamp::now();
    let asked = Audit::parse(query.as_deref().unwrap_or_default(), now)?;
    let range = asked.range;
    asked.bound(queries::size(&app.clickhouse, range.from).await?, EVENTS_MAX, now)?;
    // What NATS tells first: what is stored by then is among the rows, and not the other way round.
    let told = app.teller.read().await;
    let longest = i64::try_from(app.request_time_max.as_micros()).unwrap_or(i64::MAX);
    let overdue_before = Timestamp::from_micros(now.as_micros().saturating_sub(longest));
    let (held, sums, checks, (rollups, of_rollups)) = tokio::try_join!(
        queries::held(&app.clickhouse, Recorded::Since(range.from)),
        queries::sums(&app.clickhouse, range),
        queries::checks(&app.clickhouse, range, overdue_before),
        rollups(&app.clickhouse, range, now),
    )?;
    let unheld = told.as_ref().map(|told| audit::unheld(told, &held, range.from)).unwrap_or_default();
    let older = match unheld.is_empty() {
        true => Vec::new(),
        false => queries::held(&app.clickhouse, Recorded::Before(range.from, &unheld)).await?,
    };
    let ledgers = audit::judge(told.as_ref().ok(), &held, &older, range.from, now);
    let minutes = audit::by_minute(told.as_ref().ok(), &held, &older, range.from);
    let (minutes, left_out) = chosen(&asked, minutes)?;
    let mut findings = audit::judge_sums(&sums, &checks);
    findings.extend(of_rollups);
    findings.extend(left_out);
    if let Err(error) = &told {
        tracing::warn!(error, "the audit cannot ask NATS how far ledgers reach");
        findings.push(Finding::unknown("NATS cannot be asked how far ledgers reach: ask again when it is back"));
    }
    let findings = findings.iter().map(|finding| (finding.state, finding.reason.as_str()));
    let of_ledgers = ledgers.iter().map(|ledger| (ledger.state, ledger.reason.as_str()));
    let (state, reasons) = audit::overall(of_ledgers.chain(findings));
    Ok(Json(Report { from: range.from, to: range.to, state, reasons, ledgers, minutes, sums, rollups, checks }))
}

/// The buckets of rollups that differ from their rows, and what is to be said of them.
async fn rollups(
    clickhouse: &ClickHouse,
    range: Range,
    now: Timestamp,
) -> Result<(Vec<Difference>, Vec<Finding>), crate::clickhouse::Error> {
    if queries::rollups(clickhouse).await? == Rollups::Incomplete {
        let reason = "rollups are still being filled in with what was recorded before they were made: ask again";
        return Ok((Vec::new(), vec![Finding::pending(reason)]));
    }
    let first = queries::differences(clickhouse, range, now).await?;
    if first.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    tokio::time::sleep(SECOND_LOOK).await;
    let second = queries::differences(clickhouse, range, now).await?;
    Ok(audit::judge_rollups(&first, second, Timestamp::now()))
}

/// The minutes to tell: all of them where that was asked for, otherwise those in which something does not add up.
fn chosen(asked: &Audit, mut minutes: Vec<Minute>) -> Result<(Vec<Minute>, Option<Finding>), Error> {
    if asked.all_minutes {
        asked.bound_minutes(minutes.len(), MINUTES_MAX)?;
        return Ok((minutes, None));
    }
    minutes.retain(|minute| !minute.is_even());
    let worst = minutes.iter().map(|minute| minute.state).max();
    let left_out = minutes.len().saturating_sub(MINUTES_MAX);
    minutes.truncate(MINUTES_MAX);
    let finding =
        |state| Finding::more(state, format!("{left_out} further minutes do not add up: ask for a later time"));
    Ok((minutes, worst.filter(|_| left_out > 0).map(finding)))
}
