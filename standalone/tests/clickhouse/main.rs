//! The engine's HTTP server against the unmodified `clickhouse` crate and against plain HTTP.
//!
//! Every test has an engine process of its own, which dies with it. The engine is fetched into the cache when it is not
//! there yet, so the first run takes longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod engine;

/// ClickHouse's HTTP interface as curl and SQL clients use it.
mod http;

/// Rows written through the `clickhouse` crate: every type, every size, once.
mod inserts;

/// Rows read through the `clickhouse` crate.
mod selects;

/// Starting, stopping and being killed: what was acknowledged stays.
mod lifecycle;
