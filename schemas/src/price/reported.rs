//! What a provider says itself that it charges.
//!
//! OpenRouter puts it into the usage object of every answer, in credits, which are US dollars:
//! <https://openrouter.ai/docs/use-cases/usage-accounting>. With a key of one's own for the provider behind it ("BYOK")
//! `cost` is what OpenRouter takes for itself, and what that provider charges stands beside it; without, the same figure
//! is only a part of `cost` (<https://github.com/OpenRouterTeam/ai-sdk-provider/issues/532>).

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::decimal::nearest;
use crate::money::Pico;

type Fields<'a> = BTreeMap<&'a str, &'a RawValue>;

/// The charge in a provider's own usage object, to the nearest pico-dollar; `None` where it states none, or not all of it.
pub fn reported_cost(raw_usage: &str) -> Option<Pico> {
    // Nearly no provider states one: what has to be searched is not worth reading.
    if !raw_usage.contains("\"cost\"") {
        return None;
    }
    let usage: Fields<'_> = serde_json::from_str(raw_usage).ok()?;
    let cost = nearest(usage.get("cost")?.get())?;
    match usage.get("is_byok").map(|value| value.get()) {
        Some("true") => {
            let details: Fields<'_> = serde_json::from_str(usage.get("cost_details")?.get()).ok()?;
            cost.checked_add(nearest(details.get("upstream_inference_cost")?.get())?)
        }
        _ => Some(cost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(text: &str) -> Option<i128> {
        reported_cost(text).map(|cost| cost.0)
    }

    #[test]
    fn a_charge_is_read_by_its_digits() {
        // An answer that was recorded, and its twin with a key of one's own.
        let plain = r#"{"prompt_tokens":9,"cost":0.00000285,"is_byok":false,"cost_details":{"upstream_inference_cost":0.00000285}}"#;
        assert_eq!(cost(plain), Some(2_850_000), "the details are a part of it");
        let own_key = r#"{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0360795}}"#;
        assert_eq!(cost(own_key), Some(36_079_500_000));
        let both = r#"{"cost":0.001,"is_byok":true,"cost_details":{"upstream_inference_cost":2e-2}}"#;
        assert_eq!(cost(both), Some(21_000_000_000));
        assert_eq!(cost(r#"{"cost":1.8449999999999999e-05}"#), Some(18_450_000), "a float has frayed it");
        assert_eq!(cost(r#"{"cost":0.0000000000014}"#), Some(1), "to the nearest");
    }

    #[test]
    fn what_is_not_stated_is_unknown() {
        for text in [
            "",
            "{}",
            r#"{"prompt_tokens":9}"#,
            r#"{"cost":null}"#,
            r#"{"cost":-1}"#,
            r#"{"cost":"free"}"#,
            r#"{"cost":0,"is_byok":true}"#,
            r#"{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":null}}"#,
            r#"{"details":{"cost":1}}"#,
            r#"{"cost":1"#,
        ] {
            assert_eq!(cost(text), None, "{text}");
        }
    }
}
