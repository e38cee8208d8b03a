//! The price book from the operator's side: what other lists say, and how that differs from ours.
//!
//! A foreign list is read into [`Listed`] models, compared with the book as of a day, and what differs becomes new
//! entries from that day on. Nothing is ever taken away: what a request cost last month is still in the book.

mod litellm;
mod genai;
mod difference;
mod text;

#[cfg(test)]
mod tests;

pub use self::difference::{Change, Difference, Shrunk};
pub use self::text::{day_or_time, entry};

use schemas::money::Pico;
use schemas::price::Tier;
use schemas::time::Timestamp;

/// One model's price in a foreign list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The provider, by our name.
    pub provider: String,
    /// The model's names; a `*` at the end stands for any rest.
    pub names: Vec<String>,
    /// Since when, where the list tells.
    pub since: Option<Timestamp>,
    /// The list's own source, where it names one.
    pub source: Option<String>,
    /// Prices by ascending bound; the first has 0.
    pub tiers: Vec<Tier>,
    /// Charged per request.
    pub per_request: Pico,
}

/// A model that the list names and we cannot take over, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Provider and model, as the list names them.
    pub name: String,
    /// Why it is left out.
    pub reason: String,
}

/// A foreign list, as far as we can express it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Every model of a provider that we know by name.
    pub models: Vec<Listed>,
    /// Models whose price cannot be expressed exactly.
    pub skipped: Vec<Skipped>,
}

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON at all.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON of another shape.
    #[error(
        "neither LiteLLM's model_prices_and_context_window.json (an object of models) nor genai-prices' data.json \
         (a list of providers)"
    )]
    Unknown,
}

impl List {
    /// Reads LiteLLM's or genai-prices' file; their outermost bracket tells them apart. `at` chooses among dated prices.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn read(text: &str, at: Timestamp) -> Result<Self, Unreadable> {
        match text.trim_start().bytes().next() {
            Some(b'{') => litellm::read(text),
            Some(b'[') => genai::read(text, at),
            _ => Err(Unreadable::Unknown),
        }
    }

    fn skip(&mut self, name: impl Into<String>, reason: impl Into<String>) {
        self.skipped.push(Skipped { name: name.into(), reason: reason.into() });
    }
}
