//! How long a provider asks to be left alone, in every form in which providers say so (W24, R27).

use std::time::{Duration, SystemTime};

use axum::http::HeaderMap;
use schemas::time::Timestamp;
use serde::Deserialize;

/// Longer than this is as good as for ever, and keeps the arithmetic of clocks safe.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The pause that an answer asks for; `None` if it does not ask.
///
/// What is said outright comes first; the reset times of limits count only where the limit itself is used up.
pub(crate) fn pause(headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    let pause = text(headers, "retry-after-ms")
        .and_then(|value| seconds(value).map(|millis| millis / 1000.0))
        .and_then(duration)
        .or_else(|| text(headers, "retry-after").and_then(|value| retry_after(value, now)))
        .or_else(|| google_retry_delay(body))
        .or_else(|| anthropic_reset(headers, now))
        .or_else(|| openai_reset(headers, now));
    pause.map(|pause| pause.min(LONGEST))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Seconds, or a date.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Some(seconds) = seconds(value) {
        return duration(seconds);
    }
    Some(until(httpdate::parse_http_date(value).ok()?, now))
}

fn seconds(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|seconds| seconds.is_finite())
}

fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.min(LONGEST.as_secs_f64())).ok()
}

/// The time from now on; a date that is over asks for no pause.
fn until(then: SystemTime, now: SystemTime) -> Duration {
    then.duration_since(now).unwrap_or_default()
}

/// `anthropic-ratelimit-<limit>-reset` is an RFC 3339 time.
fn anthropic_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let reset = |limit: &&str| {
        let is_used_up = text(headers, &format!("anthropic-ratelimit-{limit}-remaining")) == Some("0");
        let reset = text(headers, &format!("anthropic-ratelimit-{limit}-reset")).filter(|_| is_used_up)?;
        let micros = u64::try_from(reset.parse::<Timestamp>().ok()?.as_micros()).ok()?;
        Some(until(SystemTime::UNIX_EPOCH + Duration::from_micros(micros), now))
    };
    ["requests", "tokens", "input-tokens", "output-tokens"].iter().filter_map(reset).max()
}

/// `x-ratelimit-reset-<limit>` is a duration like `6m0s` or `20ms`; others send `x-ratelimit-reset` as a point in time.
fn openai_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let reset = |limit: &&str| {
        let is_used_up = text(headers, &format!("x-ratelimit-remaining{limit}")) == Some("0");
        let reset = text(headers, &format!("x-ratelimit-reset{limit}")).filter(|_| is_used_up)?;
        match seconds(reset) {
            // Milliseconds, then seconds since the epoch, then a plain number of seconds.
            Some(number) if number >= 1e12 => Some(until(SystemTime::UNIX_EPOCH + duration_raw(number / 1000.0)?, now)),
            Some(number) if number >= 1e9 => Some(until(SystemTime::UNIX_EPOCH + duration_raw(number)?, now)),
            Some(number) => duration(number),
            None => spelt_out(reset),
        }
    };
    ["-requests", "-tokens", ""].iter().filter_map(reset).max()
}

/// Bounded so that no clock overflows, and large enough for every date that a header may hold.
fn duration_raw(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.min(1e11)).ok()
}

/// `1h2m3.5s`, `20ms`.
fn spelt_out(value: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at_checked(unit_end)?;
        let factor = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += seconds(number)? * factor;
        rest = next;
    }
    (!value.is_empty()).then(|| duration(total)).flatten()
}

/// Google sends no header but says it in the error's details: `{"@type": "...RetryInfo", "retryDelay": "34s"}`.
fn google_retry_delay(body: &[u8]) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Body {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default)]
        details: Vec<Detail>,
    }
    #[derive(Deserialize)]
    struct Detail {
        #[serde(rename = "retryDelay")]
        retry_delay: Option<String>,
    }
    // Most errors of most providers are told apart by this, without reading them again.
    memchr::memmem::find(body, b"retryDelay")?;
    // A list first: serde would take one for the fields of an object, in order.
    let first = serde_json::from_slice::<Vec<Body>>(body).ok().and_then(|list| list.into_iter().next());
    let body = first.or_else(|| serde_json::from_slice(body).ok())?;
    body.error.details.iter().find_map(|detail| spelt_out(detail.retry_delay.as_deref()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T06:00:00Z.
    const NOW: u64 = 1_795_240_800;

    fn pause_of(headers: &[(&'static str, &str)], body: &str) -> Option<f64> {
        let headers = headers.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), axum::http::HeaderValue::from_str(value).unwrap())
        });
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        pause(&headers.collect(), body.as_bytes(), now).map(|pause| pause.as_secs_f64())
    }

    #[test]
    fn every_form_is_understood() {
        for (headers, expected) in [
            (&[("retry-after", "2")][..], Some(2.0)),
            (&[("retry-after", "0")], Some(0.0)),
            (&[("retry-after", " 1.5 ")], Some(1.5)),
            (&[("retry-after", "Sat, 21 Nov 2026 06:00:20 GMT")], Some(20.0)),
            (&[("retry-after", "Saturday, 21-Nov-26 06:00:20 GMT")], Some(20.0)),
            (&[("retry-after", "Sat, 21 Nov 2026 05:59:00 GMT")], Some(0.0)),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "-3")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "1e300")], Some(86_400.0)),
            (&[("retry-after-ms", "350"), ("retry-after", "1")], Some(0.35)),
            (&[("retry-after-ms", "x"), ("retry-after", "1")], Some(1.0)),
            (
                &[
                    ("anthropic-ratelimit-requests-remaining", "0"),
                    ("anthropic-ratelimit-requests-reset", "2026-11-21T06:00:07Z"),
                    ("anthropic-ratelimit-tokens-remaining", "12"),
                    ("anthropic-ratelimit-tokens-reset", "2026-11-21T06:00:50Z"),
                ],
                Some(7.0),
            ),
            (&[("anthropic-ratelimit-requests-reset", "2026-11-21T06:00:07Z")], None),
            (&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m30.5s")], Some(90.5)),
            (&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "20ms")], Some(0.02)),
            (&[("x-ratelimit-remaining-requests", "3"), ("x-ratelimit-reset-requests", "20ms")], None),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795240805")], Some(5.0)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795240805000")], Some(5.0)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")], Some(9.0)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1e308")], Some(86_400.0)),
            (&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "5 parsecs")], None),
            (&[], None),
        ] {
            assert_eq!(pause_of(headers, "{}"), expected, "{headers:?}");
        }
    }

    #[test]
    fn google_says_it_in_the_body() {
        let error = r#"{"error":{"code":429,"details":[{"@type":"a"},{"@type":"RetryInfo","retryDelay":"34.5s"}]}}"#;
        assert_eq!(pause_of(&[], error), Some(34.5));
        assert_eq!(pause_of(&[], &format!("[{error}]")), Some(34.5));
        assert_eq!(pause_of(&[], r#"{"error":{"details":"retryDelay"}}"#), None);
        assert_eq!(pause_of(&[], r#"{"error":{"details":[{"retryDelay":"s"}]}}"#), None);
    }
}
