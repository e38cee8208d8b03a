//! Prices for people.

use std::fmt::Write;

use schemas::money::Pico;
use schemas::price::{Price, Tier, per_million};
use schemas::time::{InvalidTimestamp, Timestamp};

/// A day, which begins at midnight UTC, or a time in RFC 3339.
///
/// # Errors
/// When the text is neither.
pub fn day_or_time(text: &str) -> Result<Timestamp, InvalidTimestamp> {
    if text.contains('T') { text.parse() } else { format!("{text}T00:00:00Z").parse() }
}

/// An entry in full, several lines.
pub fn entry(price: &Price) -> String {
    let mut text = format!("  {}\n    from {}, {}\n", price.id, price.valid_from, price.source);
    if let Some(until) = price.valid_until {
        text.push_str(&format!("    until {until}; from then on nobody knows\n"));
    }
    if let Some(hours) = &price.hours {
        text.push_str(&format!("    at {hours}\n"));
    }
    if price.is_reported {
        let beside = if price.tiers.is_empty() { "where it reports none, it is unknown" } else { "else by tokens" };
        text.push_str(&format!("    the cost is what the provider reports that it charges; {beside}\n"));
    }
    for tier in &price.tiers {
        let whence = match tier.over_input_tokens {
            0 => "per million tokens".to_owned(),
            bound => format!("over {bound} input tokens"),
        };
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "    {whence}: {}", rates(tier));
    }
    if price.per_request != Pico::ZERO {
        let _infallible = writeln!(text, "    per request: ${}", price.per_request);
    }
    text
}

/// `input $3, output $15, cache read $0.3, ...`: dollars per million tokens.
pub fn rates(tier: &Tier) -> String {
    let kinds = [
        ("input", Some(tier.input)),
        ("output", Some(tier.output)),
        ("cache read", tier.cache_read),
        ("cache write 5m", tier.cache_write_5m),
        ("cache write 1h", tier.cache_write_1h),
    ];
    let told = kinds.iter().filter_map(|(kind, price)| price.map(|price| format!("{kind} ${}", per_million(price))));
    told.collect::<Vec<_>>().join(", ")
}
