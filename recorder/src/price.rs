//! What a request cost, by the price book that was valid when it arrived.

use schemas::events::Receipt;
use schemas::money::Pico;
use schemas::price::Book;

/// The outcome of pricing a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Priced {
    /// The exact cost; `None` when usage or price is unknown.
    pub cost: Option<Pico>,
    /// The entry used; empty when none fits.
    pub price_id: String,
    /// Whether tokens were counted that no price could be found for.
    pub unpriced: bool,
}

/// Prices a request.
pub fn price(book: &Book, receipt: &Receipt) -> Priced {
    let models = [receipt.model_upstream.as_str(), receipt.model_reported.as_str(), receipt.model.as_str()];
    let entry = book.find(&receipt.provider, &models, receipt.received_at);
    let cost = entry.and_then(|entry| entry.cost(&receipt.usage, receipt.cost_multiplier));
    Priced {
        cost,
        price_id: entry.map(|entry| entry.id.clone()).unwrap_or_default(),
        unpriced: cost.is_none() && receipt.usage.is_known(),
    }
}
