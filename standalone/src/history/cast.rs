//! Who asks whom: clients, models, providers and what they charge, as arrays for SQL.

use schemas::money::Pico;
use schemas::price::Book;
use schemas::time::Timestamp;

/// Seats that a request is given to by chance: the more a client has, the more it asks.
const SEATS: usize = 64;

/// A client: name, project, seats, and its favourite among the models.
const CLIENTS: [(&str, &str, usize, usize); 12] = [
    ("web-chat", "assistant", 14, 0),
    ("mobile-app", "assistant", 10, 1),
    ("support-bot", "support", 8, 4),
    ("search-summaries", "search", 7, 5),
    ("code-review", "engineering", 6, 2),
    ("ci-agents", "engineering", 5, 0),
    ("data-labelling", "research", 4, 7),
    ("translations", "content", 3, 5),
    ("marketing", "content", 2, 3),
    ("evaluations", "research", 2, 6),
    ("sales-notes", "sales", 2, 3),
    ("intern-sandbox", "research", 1, 8),
];

const PROVIDERS: [&str; 4] = ["anthropic", "openai", "google", "in-house"];

/// A model, its provider's place in [`PROVIDERS`], its endpoint and format, its time to the first token in milliseconds
/// and its tokens per second.
const MODELS: [(&str, usize, &str, &str, u32, u32); 9] = [
    ("claude-sonnet-4-5", 0, "anthropic-api", "anthropic", 900, 70),
    ("claude-haiku-4-5", 0, "anthropic-api", "anthropic", 450, 140),
    ("claude-opus-4-5", 0, "anthropic-api", "anthropic", 1400, 50),
    ("gpt-5.4", 1, "openai-api", "openai_chat", 1100, 65),
    ("gpt-5-mini", 1, "openai-api", "openai_chat", 600, 120),
    ("gemini-2.5-flash", 2, "google-api", "gemini", 400, 180),
    ("gemini-2.5-pro", 2, "google-api", "gemini", 1300, 80),
    ("gpt-5-nano", 1, "openai-api", "openai_chat", 350, 200),
    // Nobody's list has a price for it.
    ("house-7b", 3, "gpu-rack", "openai_chat", 150, 90),
];

/// How far from its favourite a client's choice is, by chance.
const TURNS: [usize; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 4];

/// The arrays, by placeholder.
pub(super) struct Cast(Vec<(&'static str, String)>);

impl Cast {
    /// With the prices of that day.
    pub(super) fn on(book: &Book, day: Timestamp) -> Self {
        let entries = MODELS.map(|(model, provider, ..)| book.find(name(&PROVIDERS, provider), &[model], day));
        let tiers =
            entries.map(|entry| entry.and_then(|entry| entry.tiers.iter().find(|tier| tier.over_input_tokens == 0)));
        let prices = |of: fn(&schemas::price::Tier) -> Option<Pico>| {
            array(tiers.iter().map(|tier| {
                let price = tier.and_then(of).unwrap_or(Pico::ZERO);
                format!("toDecimal128('{price}', 12)")
            }))
        };
        let seats = CLIENTS.iter().zip(1..).flat_map(|((_, _, seats, _), place)| std::iter::repeat_n(place, *seats));
        Self(vec![
            ("{seat_client}", array(seats.take(SEATS).map(|place: usize| place.to_string()))),
            ("{clients}", array(CLIENTS.iter().map(|client| text(client.0)))),
            ("{projects}", array(CLIENTS.iter().map(|client| text(client.1)))),
            ("{client_model}", array(CLIENTS.iter().map(|client| client.3.to_string()))),
            ("{turn_model}", array(TURNS.iter().map(ToString::to_string))),
            ("{models}", MODELS.len().to_string()),
            ("{providers}", PROVIDERS.len().to_string()),
            ("{providers_names}", array(PROVIDERS.iter().map(|name| text(name)))),
            ("{model_names}", array(MODELS.iter().map(|model| text(model.0)))),
            ("{model_provider}", array(MODELS.iter().map(|model| (model.1 + 1).to_string()))),
            ("{model_endpoint}", array(MODELS.iter().map(|model| text(model.2)))),
            ("{model_format}", array(MODELS.iter().map(|model| text(model.3)))),
            ("{model_ttft}", array(MODELS.iter().map(|model| model.4.to_string()))),
            ("{model_speed}", array(MODELS.iter().map(|model| model.5.to_string()))),
            ("{model_price}", array(entries.iter().map(|entry| text(entry.map_or("", |entry| &entry.id))))),
            ("{model_is_priced}", array(tiers.iter().map(|tier| u8::from(tier.is_some()).to_string()))),
            ("{model_input}", prices(|tier| Some(tier.input))),
            ("{model_output}", prices(|tier| Some(tier.output))),
            ("{model_cache_read}", prices(|tier| tier.cache_read)),
            ("{model_cache_write}", prices(|tier| tier.cache_write_5m)),
        ])
    }

    /// A statement with the arrays in their places.
    pub(super) fn fill(&self, sql: &str) -> String {
        self.0.iter().fold(sql.to_owned(), |sql, (placeholder, array)| sql.replace(placeholder, array))
    }
}

fn name(names: &[&'static str], place: usize) -> &'static str {
    names.get(place).copied().unwrap_or_default()
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// Names of ours, without quotes in them.
fn text(name: &str) -> String {
    format!("'{name}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_seats_are_taken_and_every_place_exists() {
        assert_eq!(CLIENTS.iter().map(|client| client.2).sum::<usize>(), SEATS);
        assert!(CLIENTS.iter().all(|client| client.3 < MODELS.len()));
        assert!(MODELS.iter().all(|model| model.1 < PROVIDERS.len()));
    }

    #[test]
    fn all_models_but_our_own_have_a_price() {
        let cast = Cast::on(&Book::builtin().unwrap(), "2026-09-01T00:00:00Z".parse().unwrap());
        assert_eq!(cast.fill("{model_is_priced}"), "[1, 1, 1, 1, 1, 1, 1, 1, 0]");
    }
}
