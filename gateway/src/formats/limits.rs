//! What is left of a client's limits, in the headers that the vendors' own clients read.
//!
//! OpenAI: <https://platform.openai.com/docs/guides/rate-limits>; Anthropic: <https://docs.anthropic.com/en/api/rate-limits>.
//! Google sends none.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use schemas::outcome::Format;
use schemas::time::Timestamp;

use crate::limits::{Figure, Standing};

/// Whether a header tells of limits: of ours towards a client, or of a provider's towards us.
fn tells_of_limits(name: &HeaderName) -> bool {
    ["x-ratelimit-", "anthropic-ratelimit-"].iter().any(|prefix| name.as_str().starts_with(prefix))
}

/// Puts what is left of our limits in place of what the provider says of its own: one name must not mean both.
pub fn state_limits(format: Format, headers: &mut HeaderMap, standing: &Standing, now: Timestamp) {
    let foreign: Vec<HeaderName> = headers.keys().filter(|name| tells_of_limits(name)).cloned().collect();
    for name in foreign {
        headers.remove(name);
    }
    for (kind, figure) in [(Kind::Requests, standing.requests), (Kind::Tokens, standing.tokens)] {
        let Some(Figure { limit, remaining, reset }) = figure else { continue };
        let Some([limit_name, remaining_name, reset_name]) = names(format, kind) else { return };
        headers.insert(HeaderName::from_static(limit_name), HeaderValue::from(limit));
        headers.insert(HeaderName::from_static(remaining_name), HeaderValue::from(remaining));
        let reset = if format == Format::Anthropic { moment(now, reset) } else { length(reset) };
        // Digits, letters and colons are what a header can carry.
        if let Ok(reset) = HeaderValue::from_str(&reset) {
            headers.insert(HeaderName::from_static(reset_name), reset);
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Requests,
    Tokens,
}

fn names(format: Format, kind: Kind) -> Option<[&'static str; 3]> {
    Some(match (format, kind) {
        (Format::Gemini, _) => return None,
        (Format::Anthropic, Kind::Requests) => [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ],
        (Format::Anthropic, Kind::Tokens) => [
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ],
        (Format::OpenaiChat | Format::OpenaiResponses, Kind::Requests) => {
            ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]
        }
        (Format::OpenaiChat | Format::OpenaiResponses, Kind::Tokens) => {
            ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]
        }
    })
}

/// Anthropic's: when, as RFC 3339 in whole seconds, rounded up.
fn moment(now: Timestamp, after: Duration) -> String {
    let micros = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
    let seconds = now.as_micros().saturating_add(micros).div_euclid(1_000_000).saturating_add(1);
    let text = Timestamp::from_micros(seconds.saturating_mul(1_000_000)).to_string();
    text.split_once('.').map_or_else(|| text.clone(), |(whole, _)| format!("{whole}Z"))
}

/// OpenAI's: how long, as in `6m0s`, `1s` or `120ms`.
fn length(after: Duration) -> String {
    let (minutes, seconds) = (after.as_secs() / 60, after.as_secs() % 60);
    match after {
        Duration::ZERO => "0s".to_owned(),
        _ if after < Duration::from_secs(1) => format!("{}ms", after.as_millis().max(1)),
        _ if minutes == 0 => format!("{}s", after.as_secs_f64().ceil()),
        _ => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(format: Format) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for name in ["x-ratelimit-remaining-requests", "anthropic-ratelimit-input-tokens-limit", "retry-after"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("7"));
        }
        let figure = |remaining, seconds| Figure { limit: 60, remaining, reset: Duration::from_millis(seconds) };
        let standing = Standing { requests: Some(figure(3, 61_000)), tokens: Some(figure(0, 300)) };
        state_limits(format, &mut headers, &standing, "2026-11-27T12:00:00Z".parse().unwrap());
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn each_dialect_has_its_own_names_and_never_the_providers_figures() {
        assert_eq!(
            headers(Format::OpenaiChat),
            [
                "retry-after: 7",
                "x-ratelimit-limit-requests: 60",
                "x-ratelimit-limit-tokens: 60",
                "x-ratelimit-remaining-requests: 3",
                "x-ratelimit-remaining-tokens: 0",
                "x-ratelimit-reset-requests: 1m1s",
                "x-ratelimit-reset-tokens: 300ms",
            ]
        );
        assert_eq!(
            headers(Format::Anthropic),
            [
                "anthropic-ratelimit-requests-limit: 60",
                "anthropic-ratelimit-requests-remaining: 3",
                "anthropic-ratelimit-requests-reset: 2026-11-27T12:01:02Z",
                "anthropic-ratelimit-tokens-limit: 60",
                "anthropic-ratelimit-tokens-remaining: 0",
                "anthropic-ratelimit-tokens-reset: 2026-11-27T12:00:01Z",
                "retry-after: 7",
            ]
        );
        assert_eq!(headers(Format::Gemini), ["retry-after: 7"]);
    }
}
