//! What is recorded of a period, slice by slice: few enough requests at once for any memory, one day at a time.

use clickhouse::{Client, Row};
use schemas::money::{Factor, Pico};
use schemas::price::{Billed, Charge};
use schemas::time::Timestamp;
use schemas::usage::Usage;
use serde::Deserialize;
use uuid::Uuid;

use super::Period;

/// Requests in a slice, unless one minute alone has more.
const SLICE_REQUESTS: u64 = 50_000;

const MINUTES: &str = "\
SELECT toInt64(toUnixTimestamp(toStartOfMinute(received_at))) AS minute, count() AS requests
FROM requests FINAL
WHERE received_at >= fromUnixTimestamp64Micro(?, 'UTC') AND received_at < fromUnixTimestamp64Micro(?, 'UTC')
GROUP BY minute
ORDER BY minute";

/// The cost that counts is that of the latest adjustment, if there is one.
const REQUESTS: &str = "\
SELECT ?fields
FROM (
    SELECT *
    FROM requests FINAL
    WHERE received_at >= fromUnixTimestamp64Micro(?, 'UTC') AND received_at < fromUnixTimestamp64Micro(?, 'UTC')
) AS request
LEFT JOIN (
    SELECT
        request_id,
        max(adjustments.revision) AS revision,
        argMax(tuple(adjustments.cost_usd), adjustments.revision).1 AS adjusted_cost_usd,
        argMax(adjustments.price_id, adjustments.revision) AS adjusted_price_id,
        sum(adjustments.cache_saved_delta_usd) AS adjusted_cache_saved_usd,
        sum(toInt64(adjustments.cache_saved_requests_delta)) AS adjusted_cache_saved_requests
    FROM adjustments FINAL
    WHERE received_at >= fromUnixTimestamp64Micro(?, 'UTC') AND received_at < fromUnixTimestamp64Micro(?, 'UTC')
    GROUP BY request_id
) AS adjusted USING (request_id)
ORDER BY request.received_at, request_id";

/// A part of a period, within one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// First moment.
    pub(super) from: Timestamp,
    /// First moment after it.
    to: Timestamp,
}

#[derive(Clone, Copy, Debug, Row, Deserialize)]
pub(super) struct Minute {
    pub(super) minute: i64,
    pub(super) requests: u64,
}

impl Slice {
    /// The slices of a period that have requests.
    pub(super) async fn of(client: &Client, period: Period) -> Result<Vec<Self>, clickhouse::error::Error> {
        let query = client.query(MINUTES).bind(period.from.as_micros()).bind(period.to.as_micros());
        Ok(Self::cut(period, &query.fetch_all().await?))
    }

    /// Joins minutes, in order, as long as they are few enough and of one day.
    pub(super) fn cut(period: Period, minutes: &[Minute]) -> Vec<Self> {
        const MINUTE_MICROS: i64 = 60_000_000;
        let mut slices: Vec<(Self, u64)> = Vec::new();
        for minute in minutes {
            let start = Timestamp::from_micros(minute.minute * 1_000_000).max(period.from);
            let end = Timestamp::from_micros(minute.minute * 1_000_000 + MINUTE_MICROS).min(period.to);
            match slices.last_mut() {
                Some((slice, requests))
                    if *requests + minute.requests <= SLICE_REQUESTS && slice.from.day() == start.day() =>
                {
                    slice.to = end;
                    *requests += minute.requests;
                }
                _ => slices.push((Self { from: start, to: end }, minute.requests)),
            }
        }
        slices.into_iter().map(|(slice, _)| slice).collect()
    }
}

/// A request as it is recorded, and what it costs by now.
#[derive(Clone, Debug, Row, Deserialize)]
pub(super) struct Stored {
    #[serde(with = "clickhouse::serde::uuid")]
    pub(super) request_id: Uuid,
    pub(super) received_at: i64,
    pub(super) outcome: String,
    pub(super) client: String,
    pub(super) user: String,
    pub(super) tags: Vec<(String, String)>,
    pub(super) format: String,
    pub(super) operation: String,
    pub(super) is_stream: bool,
    pub(super) provider: String,
    pub(super) endpoint: String,
    pub(super) key: String,
    pub(super) model: String,
    pub(super) model_upstream: String,
    pub(super) model_reported: String,
    pub(super) usage_source: String,
    pub(super) raw_usage: String,
    pub(super) input_tokens: Option<u64>,
    pub(super) fresh_input_tokens: Option<u64>,
    pub(super) cache_read_tokens: Option<u64>,
    pub(super) cache_write_5m_tokens: Option<u64>,
    pub(super) cache_write_1h_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) cost_multiplier: i64,
    pub(super) cost_usd: Option<i128>,
    pub(super) price_id: String,
    /// 0: never adjusted.
    pub(super) revision: u32,
    pub(super) adjusted_cost_usd: Option<i128>,
    pub(super) adjusted_price_id: String,
    pub(super) error_class: String,
    pub(super) upstream_status: Option<u16>,
    pub(super) cache_saved_usd: Option<i128>,
    /// What earlier adjustments have added to `cache_saved_usd`.
    pub(super) adjusted_cache_saved_usd: i128,
    /// And to the number of requests of which it is known.
    pub(super) adjusted_cache_saved_requests: i64,
}

impl Stored {
    pub(super) async fn read(client: &Client, slice: &Slice) -> Result<Vec<Self>, clickhouse::error::Error> {
        let (from, to) = (slice.from.as_micros(), slice.to.as_micros());
        client.query(REQUESTS).bind(from).bind(to).bind(from).bind(to).fetch_all().await
    }

    /// The cost that counts, and the entry that it comes from.
    pub(super) fn current(&self) -> (Option<Pico>, &str) {
        match self.revision {
            0 => (self.cost_usd.map(Pico), &self.price_id),
            _ => (self.adjusted_cost_usd.map(Pico), &self.adjusted_price_id),
        }
    }

    /// What the cache has saved by what is written so far, where what is not known counts nothing.
    pub(super) fn cache_saved(&self) -> Pico {
        Pico(self.cache_saved_usd.unwrap_or(0).saturating_add(self.adjusted_cache_saved_usd))
    }

    /// Whether that is known by what is written so far: 1, or 0.
    pub(super) fn cache_saved_requests(&self) -> i64 {
        i64::from(self.cache_saved_usd.is_some()).saturating_add(self.adjusted_cache_saved_requests)
    }

    /// What it used. Reasoning has no price of its own.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            input: self.input_tokens,
            fresh_input: self.fresh_input_tokens,
            cache_read: self.cache_read_tokens,
            cache_write_5m: self.cache_write_5m_tokens,
            cache_write_1h: self.cache_write_1h_tokens,
            output: self.output_tokens,
            reasoning: None,
        }
    }

    /// What its bill depends on.
    pub(super) fn billed<'a>(&'a self, usage: &'a Usage) -> Billed<'a> {
        Billed {
            provider: &self.provider,
            model_upstream: &self.model_upstream,
            model_reported: &self.model_reported,
            model: &self.model,
            received_at: Timestamp::from_micros(self.received_at),
            usage,
            charge: Charge::In(&self.raw_usage),
            multiplier: Factor::from_nano(self.cost_multiplier),
        }
    }
}
