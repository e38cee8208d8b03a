//! What is stored of one request.

use schemas::time::Timestamp;
use uuid::Uuid;

use super::statement::{Statement, Value};
use super::tables::{Adjustment, Bodies, Candidate, Opened, PriceTier, Request};
use crate::clickhouse::{ClickHouse, Error};
use crate::params::{LATEST_SECONDS, Range};

/// Candidates that one request may have in its story.
const CANDIDATES_MAX: usize = 1000;
/// Repricings that one request may have in its story.
const ADJUSTMENTS_MAX: usize = 1000;
/// Captured bodies that one request may have in its story: each may be large.
const BODIES_MAX: usize = 100;
/// How far the time in an id and that of the request may lie apart.
const ASIDE_MICROS: i64 = 3_600_000_000;
/// All times that columns hold.
const EVER: Range = Range { from: Timestamp::from_micros(0), to: Timestamp::from_micros(LATEST_SECONDS * 1_000_000) };

/// A request, and when its rows were received.
#[derive(Clone, Copy, Debug)]
pub struct Whose {
    id: Uuid,
    range: Range,
}

impl Whose {
    /// Around the time that its id tells (UUIDv7); without one, ever.
    pub fn near(id: Uuid) -> Self {
        let at = id.get_timestamp().map(|time| time.to_unix());
        let at =
            at.and_then(|(seconds, nanos)| Some(i64::try_from(seconds).ok()? * 1_000_000 + i64::from(nanos / 1000)));
        let range = at.map(|at| Range {
            from: Timestamp::from_micros((at - ASIDE_MICROS).max(EVER.from.as_micros())),
            to: Timestamp::from_micros((at + ASIDE_MICROS).min(EVER.to.as_micros())),
        });
        Self { id, range: range.unwrap_or(EVER) }
    }

    /// Whenever it was: days and days of indexes are read for that.
    pub fn ever(id: Uuid) -> Self {
        Self { id, range: EVER }
    }

    pub(super) fn statement(self, template: &str, max_rows: usize) -> Statement {
        let row_limit = i64::try_from(max_rows).unwrap_or(i64::MAX);
        let statement = Statement::new(template, row_limit).fill("columns", "?fields");
        statement.scope(self.range, &[], None).bind("request_id", Value::Text(self.id.to_string()))
    }
}

/// How a request ended.
pub async fn request(clickhouse: &ClickHouse, whose: Whose) -> Result<Option<Request>, Error> {
    Ok(clickhouse.rows(&whose.statement(include_str!("request.sql"), 2), 2).await?.pop())
}

/// How a request was let in.
pub async fn opened(clickhouse: &ClickHouse, whose: Whose) -> Result<Option<Opened>, Error> {
    Ok(clickhouse.rows(&whose.statement(include_str!("opened.sql"), 2), 2).await?.pop())
}

/// Every candidate of a request, in the order in which they were considered.
pub async fn candidates(clickhouse: &ClickHouse, whose: Whose) -> Result<Vec<Candidate>, Error> {
    clickhouse.rows(&whose.statement(include_str!("candidates.sql"), CANDIDATES_MAX), CANDIDATES_MAX).await
}

/// What was said in a request, where it was captured.
pub async fn bodies(clickhouse: &ClickHouse, whose: Whose) -> Result<Vec<Bodies>, Error> {
    clickhouse.rows(&whose.statement(include_str!("bodies.sql"), BODIES_MAX), BODIES_MAX).await
}

/// What repricings have made of a request's cost, in order.
pub async fn adjustments(clickhouse: &ClickHouse, whose: Whose) -> Result<Vec<Adjustment>, Error> {
    clickhouse.rows(&whose.statement(include_str!("adjustments.sql"), ADJUSTMENTS_MAX), ADJUSTMENTS_MAX).await
}

/// The entry of the price book of that id, tier by tier.
pub async fn price(clickhouse: &ClickHouse, id: &str) -> Result<Vec<PriceTier>, Error> {
    let statement = Statement::new(include_str!("price.sql"), 1000).fill("columns", "?fields");
    clickhouse.rows(&statement.bind("price_id", Value::Text(id.to_owned())), 1000).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_when_to_look() {
        let at: Timestamp = "2026-11-21T12:00:00.123Z".parse().unwrap();
        let id = Uuid::from_u128(u128::from(at.as_micros().unsigned_abs() / 1000) << 80 | 0x7000_8000_0000_0000_0001);
        assert_eq!(id.get_version_num(), 7);
        let (from, to) = ("2026-11-21T11:00:00.123Z".parse().unwrap(), "2026-11-21T13:00:00.123Z".parse().unwrap());
        assert_eq!(Whose::near(id).range, Range { from, to });
        assert_eq!(Whose::near(Uuid::from_u128(7)).range, EVER);
        assert_eq!(Whose::near(Uuid::from_u128(u128::MAX >> 4 & !(0xf << 76) | 0x7 << 76)).range.to, EVER.to);
    }
}
