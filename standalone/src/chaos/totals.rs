//! What rows, rollups and the API say in sum: the same, to the last digit.

use std::fmt;

use schemas::money::Pico;
use serde::Deserialize;

use super::Error;
use crate::demo::readback::Readback;

/// A sum over everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Total {
    /// Requests or candidates.
    pub(super) counted: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cost_usd: Pico,
}

/// The same sum by two ways.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) what: &'static str,
    pub(super) rows: Total,
    pub(super) found: Total,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counted, input_tokens, output_tokens, cost_usd } = self;
        write!(f, "{counted}, {input_tokens} + {output_tokens} tokens, {cost_usd} USD")
    }
}

const USAGE: [(&str, &str); 3] = [
    ("sums of requests = usage_1m", "usage_1m"),
    ("sums of requests = usage_1h", "usage_1h"),
    ("sums of requests = usage_1d", "usage_1d"),
];
const CANDIDATES: [(&str, &str); 3] = [
    ("sums of candidates = candidates_1m", "candidates_1m"),
    ("sums of candidates = candidates_1h", "candidates_1h"),
    ("sums of candidates = candidates_1d", "candidates_1d"),
];

/// Reads everything by every way.
pub(super) async fn read(readback: &Readback) -> Result<Vec<Pair>, Error> {
    let requests = total(readback, ("count()", "cost_usd"), "requests").await?;
    let mut pairs = Vec::new();
    for (what, rollup) in USAGE {
        let found = total(readback, ("sum(requests)", "cost_usd"), rollup).await?;
        pairs.push(Pair { what, rows: requests, found });
    }
    pairs.push(Pair { what: "sums of requests = the API's", rows: requests, found: of_api(readback).await? });
    let candidates = total(readback, ("count()", "NULL"), "candidates").await?;
    for (what, rollup) in CANDIDATES {
        let found = total(readback, ("sum(candidates)", "NULL"), rollup).await?;
        pairs.push(Pair { what, rows: candidates, found });
    }
    Ok(pairs)
}

/// Without `FINAL`: nothing is there twice.
async fn total(readback: &Readback, (counted, cost): (&str, &str), table: &str) -> Result<Total, Error> {
    let database = &readback.config.clickhouse.database;
    let sql = format!(
        "SELECT {counted} AS counted, ifNull(sum(input_tokens), 0) AS input_tokens, \
         ifNull(sum(output_tokens), 0) AS output_tokens, \
         CAST(ifNull(sum({cost}), 0), 'Decimal(38, 12)') AS cost_usd FROM {database}.{table}"
    );
    let none = Total { counted: 0, input_tokens: 0, output_tokens: 0, cost_usd: Pico(0) };
    Ok(readback.select(&sql).await?.pop().unwrap_or(none))
}

async fn of_api(readback: &Readback) -> Result<Total, Error> {
    let (used, costs) = (readback.outcomes().await?, readback.costs().await?);
    Ok(Total {
        counted: used.iter().map(|used| used.requests).sum(),
        input_tokens: used.iter().filter_map(|used| used.input_tokens).sum(),
        output_tokens: used.iter().filter_map(|used| used.output_tokens).sum(),
        cost_usd: Pico(costs.iter().filter_map(|cost| cost.cost_usd).map(|cost| cost.0).sum()),
    })
}
