//! The engine's HTTP server against the unmodified `clickhouse` crate and against plain HTTP.
//!
//! Every test has an engine process of its own, which dies with it. The engine is fetched into the cache when it is not
//! there yet, so the first run takes longer.

mod engine;

mod http;
mod inserts;
mod selects;
mod lifecycle;
