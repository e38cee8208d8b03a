use schemas::money::Pico;
use schemas::price::Book;
use schemas::time::Timestamp;
use uuid::Uuid;

use super::compare::{Summary, change};
use super::stored::{Minute, Slice, Stored};
use super::*;

const BOOK: &str = "
[[prices]]
id = 'p/m@2026-01-01'
provider = 'p'
models = ['m']
valid_from = '2026-01-01T00:00:00Z'
source = 'https://example.com'
input = '1'
output = '2'
";

fn request(cost: Option<i128>, revision: u32, adjusted: Option<i128>) -> Stored {
    Stored {
        request_id: Uuid::nil(),
        received_at: "2026-05-05T05:05:05Z".parse::<Timestamp>().unwrap().as_micros(),
        outcome: "completed".to_owned(),
        client: "c".to_owned(),
        user: String::new(),
        tags: Vec::new(),
        format: "anthropic".to_owned(),
        operation: "generate".to_owned(),
        is_stream: true,
        provider: "p".to_owned(),
        endpoint: "e".to_owned(),
        key: "k".to_owned(),
        model: "m".to_owned(),
        model_upstream: "m".to_owned(),
        model_reported: String::new(),
        usage_source: "provider".to_owned(),
        raw_usage: String::new(),
        input_tokens: Some(10),
        fresh_input_tokens: Some(10),
        cache_read_tokens: None,
        cache_write_5m_tokens: None,
        cache_write_1h_tokens: None,
        output_tokens: Some(5),
        cost_multiplier: 1_000_000_000,
        cost_usd: cost,
        price_id: "old".to_owned(),
        revision,
        adjusted_cost_usd: adjusted,
        adjusted_price_id: "adjusted".to_owned(),
        error_class: String::new(),
        upstream_status: Some(200),
        cache_saved_usd: Some(0),
        adjusted_cache_saved_usd: 0,
        adjusted_cache_saved_requests: 0,
    }
}

/// 10 x 1 + 5 x 2 dollars per million.
const BY_THE_BOOK: i128 = 20_000_000;

#[test]
fn the_latest_revision_is_what_counts() {
    let book = Book::parse(BOOK).unwrap();
    let told = |request: &Stored| {
        let change = change(&book, request);
        (change.differs(), change.delta().unwrap().0, change.priced_delta())
    };
    assert_eq!(told(&request(Some(BY_THE_BOOK), 0, None)), (false, 0, 0));
    assert_eq!(told(&request(Some(15), 0, None)), (true, BY_THE_BOOK - 15, 0));
    assert_eq!(told(&request(None, 0, None)), (true, BY_THE_BOOK, 1));
    assert_eq!(told(&request(Some(15), 3, Some(BY_THE_BOOK))), (false, 0, 0), "an earlier run has been here");
    assert_eq!(told(&request(Some(BY_THE_BOOK), 1, None)), (true, BY_THE_BOOK, 1), "and had no price");
    let unknown = Book::default();
    let change = change(&unknown, &request(Some(15), 0, None));
    assert_eq!((change.delta(), change.priced_delta()), (Some(Pico(-15)), -1));
    assert_eq!(change.after.price_id, "");
}

#[test]
fn what_a_cache_saved_is_counted_where_it_is_known_and_only_there() {
    let book = Book::parse(BOOK).unwrap();
    let silent = request(Some(15), 0, None);
    let telling = Stored { cache_read_tokens: Some(0), ..silent.clone() };
    let told = |book: &Book, request: &Stored, recorded: Option<i128>, adjusted: i64| {
        let request = Stored { cache_saved_usd: recorded, adjusted_cache_saved_requests: adjusted, ..request.clone() };
        change(book, &request).cache_saved_requests_delta()
    };
    assert_eq!(told(&book, &silent, None, 0), Some(0), "nobody knows, before and after");
    assert_eq!(told(&book, &silent, Some(0), 0), Some(-1));
    assert_eq!(told(&book, &telling, Some(0), 0), Some(0));
    assert_eq!(told(&book, &telling, None, 0), Some(1));
    assert_eq!(told(&book, &telling, None, 1), Some(0), "an earlier run has been here");
    assert_eq!(told(&Book::default(), &telling, None, 1), Some(-1), "without a price nothing is known");
    assert_eq!(told(&Book::default(), &telling, Some(0), -1), Some(0));
}

#[test]
fn the_sum_of_the_lines_is_the_difference_of_the_sums() {
    let book = Book::parse(BOOK).unwrap();
    let mut summary = Summary::default();
    for cost in [Some(1), None, Some(BY_THE_BOOK)] {
        let request = request(cost, 0, None);
        summary.add(&request, &change(&book, &request));
    }
    let total = summary.total();
    assert_eq!((total.requests, total.changed, total.newly_priced, total.no_longer_priced), (3, 2, 1, 0));
    assert_eq!((total.before, total.after), (Pico(1 + BY_THE_BOOK), Pico(3 * BY_THE_BOOK)));
}

#[test]
fn slices_are_bounded_and_within_one_day() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let minute = |text: &str, requests| Minute { minute: time(text).as_micros() / 1_000_000, requests };
    let period = Period { from: time("2026-05-04T23:57:30Z"), to: time("2026-05-05T00:02:30Z") };
    let minutes = [
        minute("2026-05-04T23:57:00Z", 30_000),
        minute("2026-05-04T23:58:00Z", 20_000),
        minute("2026-05-04T23:59:00Z", 1),
        minute("2026-05-05T00:00:00Z", 1),
        minute("2026-05-05T00:02:00Z", 60_000),
    ];
    let spans: Vec<String> = Slice::cut(period, &minutes).iter().map(|slice| format!("{slice:?}")).collect();
    assert_eq!(spans.len(), 4, "{spans:?}");
    let slices = Slice::cut(period, &minutes);
    assert_eq!(slices[0].from, period.from, "not before the period");
    assert_eq!(slices[1].from, time("2026-05-04T23:59:00Z"));
    assert_eq!(slices[2].from, time("2026-05-05T00:00:00Z"), "a new day");
    assert!(Slice::cut(period, &[]).is_empty());
}
