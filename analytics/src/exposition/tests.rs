//! What a scrape shows.

use super::series::TOKEN_BOUNDS;
use super::*;
use crate::queries::{Partition, RequestTotals, TokenTotals};

fn day(id: &str, fingerprint: u64) -> Partition {
    Partition { table: "requests".into(), partition_id: id.into(), fingerprint }
}

fn requests(id: &str, outcome: &str, count: u64, cost_usd: i128) -> RequestTotals {
    RequestTotals {
        partition_id: id.into(),
        outcome: outcome.into(),
        client_label: "team \"a\"".into(),
        provider_label: "anthropic".into(),
        model_label: "unlisted".into(),
        requests: count,
        unpriced_requests: 1,
        unknown_usage_requests: 0,
        fresh_input_tokens: 30,
        cache_read_tokens: 1000,
        cache_write_5m_tokens: 0,
        cache_write_1h_tokens: 0,
        output_tokens: 57,
        reasoning_tokens: 7,
        priced_requests: count,
        cost_usd,
        last_recorded_at: 1_767_225_600_500_000,
    }
}

fn tokens(id: &str) -> TokenTotals {
    let buckets = |limit| TOKEN_BOUNDS.iter().map(|bound| u64::from(*bound >= limit)).collect();
    TokenTotals {
        partition_id: id.into(),
        provider_label: "anthropic".into(),
        model_label: "unlisted".into(),
        input_requests: 1,
        output_requests: 0,
        input_tokens: 1030,
        output_tokens: 0,
        input_buckets: buckets(1030),
        output_buckets: buckets(u64::MAX),
    }
}

fn text(ratchet: &Ratchet) -> String {
    TextEncoder::new().encode_to_string(&families::counters(ratchet.values())).unwrap()
}

fn shows(text: &str, line: &str) {
    assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
}

#[test]
fn totals_are_counters_with_bounded_labels() {
    let (mut days, mut ratchet) = (Days::default(), Ratchet::default());
    days.insert(day("20260101", 1), &[requests("20260101", "completed", 2, 1_500_000_000_000)], &[tokens("20260101")]);
    ratchet.raise(days.sums());
    let text = text(&ratchet);
    shows(&text, "# TYPE weir_requests_total counter");
    shows(&text, r#"weir_requests_total{outcome="completed"} 2"#);
    shows(&text, r#"weir_requests_total{outcome="cancelled"} 0"#);
    shows(&text, "weir_unpriced_requests_total 1");
    shows(&text, r#"weir_cost_usd_total{client="team \"a\"",model="unlisted",provider="anthropic"} 1.5"#);
    let kind = r#"client="team \"a\"",model="unlisted",provider="anthropic",type="cache_read""#;
    shows(&text, &format!("weir_tokens_total{{{kind}}} 1000"));
    assert!(!text.contains("cache_write_1h"), "{text}");
    assert_eq!(days.last_recorded_at(), Some(1_767_225_600_500_000));
}

#[test]
fn token_usage_is_a_histogram_with_cumulative_buckets() {
    let (mut days, mut ratchet) = (Days::default(), Ratchet::default());
    days.insert(day("20260101", 1), &[], &[tokens("20260101")]);
    ratchet.raise(days.sums());
    let text = text(&ratchet);
    let labels = r#"gen_ai_provider_name="anthropic",gen_ai_request_model="unlisted",gen_ai_token_type="input""#;
    shows(&text, "# TYPE gen_ai_client_token_usage histogram");
    for (bound, count) in [("1", 0), ("1024", 0), ("4096", 1), ("67108864", 1), ("+Inf", 1)] {
        shows(&text, &format!("gen_ai_client_token_usage_bucket{{{labels},le=\"{bound}\"}} {count}"));
    }
    shows(&text, &format!("gen_ai_client_token_usage_sum{{{labels}}} 1030"));
    shows(&text, &format!("gen_ai_client_token_usage_count{{{labels}}} 1"));
    assert!(!text.contains(r#"gen_ai_token_type="output""#), "{text}");
}

#[test]
fn a_day_read_again_replaces_itself_and_a_dropped_one_does_not_lower_a_counter() {
    let (mut days, mut ratchet) = (Days::default(), Ratchet::default());
    let completed = |ratchet: &Ratchet| {
        let text = text(ratchet);
        let line = text.lines().find(|line| line.starts_with(r#"weir_requests_total{outcome="completed"}"#)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let (first, second) = (day("20260101", 1), day("20260102", 1));
    days.insert(first.clone(), &[requests("20260101", "completed", 10, 0)], &[]);
    days.insert(second.clone(), &[requests("20260102", "completed", 5, 0)], &[]);
    ratchet.raise(days.sums());
    assert_eq!(completed(&ratchet), 15);

    days.insert(day("20260102", 2), &[requests("20260102", "completed", 7, 0)], &[]);
    ratchet.raise(days.sums());
    assert_eq!(completed(&ratchet), 17);

    days.keep(&[second]);
    ratchet.raise(days.sums());
    assert_eq!(completed(&ratchet), 17);

    days.insert(day("20260102", 3), &[requests("20260102", "completed", 8, 0)], &[]);
    ratchet.raise(days.sums());
    assert_eq!(completed(&ratchet), 18);
}
