//! The price book as rows of `prices`.

use clickhouse::Row;
use schemas::money::Pico;
use schemas::price::{Book, Price, Tier};
use schemas::time::Timestamp;
use serde::Serialize;

use super::TableRow;

/// One row of `prices`: one context tier of one entry.
#[derive(Debug, Row, Serialize)]
pub struct PriceRow {
    pub price_id: String,
    pub over_input_tokens: u64,
    pub provider: String,
    pub first_party: bool,
    pub models: Vec<String>,
    pub valid_from: i64,
    pub source: String,
    pub input_usd_per_token: i128,
    pub output_usd_per_token: i128,
    pub cache_read_usd_per_token: Option<i128>,
    pub cache_write_5m_usd_per_token: Option<i128>,
    pub cache_write_1h_usd_per_token: Option<i128>,
    pub per_request_usd: i128,
    pub recorded_at: i64,
}

impl TableRow for PriceRow {
    const TABLE: &'static str = "prices";
}

impl PriceRow {
    /// All rows of a book, in its order.
    pub fn of(book: &Book, recorded_at: Timestamp) -> Vec<Self> {
        let entries = book.entries().iter();
        entries.flat_map(|price| price.tiers.iter().map(move |tier| Self::new(price, tier, recorded_at))).collect()
    }

    fn new(price: &Price, tier: &Tier, recorded_at: Timestamp) -> Self {
        let pico = |amount: Option<Pico>| amount.map(|amount| amount.0);
        Self {
            price_id: price.id.clone(),
            over_input_tokens: tier.over_input_tokens,
            provider: price.provider.clone(),
            first_party: price.first_party,
            models: price.models.iter().chain(&price.aliases).cloned().collect(),
            valid_from: price.valid_from.as_micros(),
            source: price.source.clone(),
            input_usd_per_token: tier.input.0,
            output_usd_per_token: tier.output.0,
            cache_read_usd_per_token: pico(tier.cache_read),
            cache_write_5m_usd_per_token: pico(tier.cache_write_5m),
            cache_write_1h_usd_per_token: pico(tier.cache_write_1h),
            per_request_usd: price.per_request.0,
            recorded_at: recorded_at.as_micros(),
        }
    }
}
