//! What callers can write, and what they are told.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn aggregate(query: &str) -> Result<Aggregate, Error> {
    Aggregate::parse(query, now())
}

fn refused(query: &str) -> Error {
    aggregate(query).expect_err(query)
}

#[test]
fn the_last_day_is_what_nothing_asks_for() {
    let asked = aggregate("").unwrap();
    assert_eq!(asked.range, Range { from: time("2026-11-20T12:00:00Z"), to: now() });
    assert_eq!((asked.interval, asked.group_by, asked.filters), (None, vec![], vec![]));
    assert_eq!(asked.output, Output::Json);
}

#[test]
fn times_are_absolute_days_or_relative() {
    for (text, expected) in [
        ("-1h", "2026-11-21T11:00:00Z"),
        ("-90s", "2026-11-21T11:58:30Z"),
        ("-2w", "2026-11-07T12:00:00Z"),
        ("2026-11-01", "2026-11-01T00:00:00Z"),
        ("2026-11-21T10:00:00.5Z", "2026-11-21T10:00:00.500000Z"),
        ("2026-11-21T10:00:00+02:00", "2026-11-21T08:00:00Z"),
        ("2026-11-21T10:00:00%2B02:00", "2026-11-21T08:00:00Z"),
    ] {
        assert_eq!(aggregate(&format!("from={text}")).unwrap().range.from, time(expected), "{text}");
    }
}

#[test]
fn a_time_before_now_is_one_of_full_minutes_unless_it_is_told_in_seconds() {
    let range = |query: &str| Aggregate::parse(query, time("2026-11-21T12:34:56.789Z")).unwrap().range;
    let to = time("2026-11-21T12:34:56.789Z");
    assert_eq!(range(""), Range { from: time("2026-11-20T12:34:00Z"), to });
    assert_eq!(range("from=-1h"), Range { from: time("2026-11-21T11:34:00Z"), to });
    assert_eq!(range("from=-1h").from, range("from=-2h&to=-1h").to, "what ends there and what begins there meet");
    assert_eq!(range("from=-90s").from, time("2026-11-21T12:33:26.789Z"));
    assert_eq!(range("from=2026-11-21T12:33:26.789Z").from, time("2026-11-21T12:33:26.789Z"));
}

#[test]
fn a_day_before_to_is_where_from_starts() {
    let range = aggregate("to=2026-11-10T00:00:00Z").unwrap().range;
    assert_eq!(range.from, time("2026-11-09T00:00:00Z"));
}

#[test]
fn mistakes_name_the_parameter_and_the_way_out() {
    for (query, parameter, hint) in [
        ("from=yesterday", "from", "RFC 3339"),
        ("from=-1", "from", "-1h"),
        ("from=--1h", "from", "-1h"),
        ("from=-99999999999999999999d", "from", "-1h"),
        ("from=-9999999h", "from", "2000-01-01"),
        ("from=0001-01-01T00:00:00Z", "from", "2000-01-01"),
        ("to=2026-13-01", "to", "RFC 3339"),
        ("to=", "to", "leave it out"),
        ("from=-1h&to=-2h", "from", "before to"),
        ("from=-1h&from=-2h", "from", "once"),
        ("interval=week", "interval", "minute, hour, day, month"),
        ("interval=minute&from=-30d", "interval", "longer interval"),
        ("group_by=model,colour", "group_by", "tag:<name>"),
        ("group_by=model,model", "group_by", "twice"),
        ("group_by=tag:", "group_by", "tag:<name>"),
        ("group_by=client,user,model,provider,endpoint,key,format", "group_by", "at most 6"),
        ("outcome=done", "outcome", "completed, rejected"),
        ("format=xml", "format", "json, csv, parquet"),
        ("format=csv&format=parquet", "format", "only one"),
        ("colour=red", "colour", "group_by"),
        ("limit=5", "limit", "not a known parameter"),
    ] {
        let error = refused(query);
        assert_eq!(error.parameter, parameter, "{query}");
        assert!(error.message.contains(hint), "{query}: {}", error.message);
    }
}

#[test]
fn a_long_value_is_refused() {
    let error = refused(&format!("model={}", "x".repeat(VALUE_BYTES_MAX + 1)));
    assert_eq!(error.parameter, "model");
    assert!(aggregate(&format!("model={}", "x".repeat(VALUE_BYTES_MAX))).is_ok());
}

#[test]
fn repeated_filters_are_alternatives_and_empty_ones_mean_none() {
    let asked = aggregate("client=a&client=b%2Cc&user=&tag:team=x&group_by=tag:team,,client").unwrap();
    let tag = Dimension::parse("tag:team").unwrap();
    assert_eq!(
        asked.filters,
        [
            Filter { dimension: Dimension::Client, values: vec!["a".into(), "b,c".into()] },
            Filter { dimension: tag.clone(), values: vec!["x".into()] },
            Filter { dimension: Dimension::User, values: vec![String::new()] },
        ]
    );
    assert_eq!(asked.group_by, [tag, Dimension::Client]);
}

#[test]
fn format_chooses_the_output_and_filters() {
    let asked = aggregate("format=csv&format=gemini&format=anthropic").unwrap();
    assert_eq!(asked.output, Output::Csv);
    let values = vec!["gemini".to_owned(), "anthropic".to_owned()];
    assert_eq!(asked.filters, [Filter { dimension: Dimension::Format, values }]);
}

#[test]
fn pages_have_bounds_and_a_cursor_keeps_the_first_range() {
    let search = |query: &str| Search::parse(query, now());
    assert_eq!(search("").unwrap().limit, PAGE_DEFAULT);
    assert_eq!(search("limit=1000").unwrap().limit, 1000);
    for wrong in ["0", "1001", "-1", "ten"] {
        assert_eq!(search(&format!("limit={wrong}")).unwrap_err().parameter, "limit");
    }
    assert_eq!(search("group_by=model").unwrap_err().parameter, "group_by");

    let range = Range { from: time("2026-11-01T00:00:00Z"), to: time("2026-11-02T00:00:00Z") };
    let cursor = Cursor { range, received_at: time("2026-11-01T12:00:00.000001Z"), request_id: Uuid::from_u128(7) };
    let next = search(&format!("from=-1h&cursor={cursor}")).unwrap();
    assert_eq!((next.range, next.cursor), (range, Some(cursor)));
    for wrong in [
        "x",
        "1.2.3",
        "1.2.3.4",
        "-1.9.3.00000000-0000-0000-0000-000000000007",
        "1.2.99999999999999999.00000000-0000-0000-0000-000000000007",
    ] {
        assert_eq!(search(&format!("cursor={wrong}")).unwrap_err().parameter, "cursor", "{wrong}");
    }
}

#[test]
fn a_question_may_know_fewer_dimensions() {
    let only = |query: &str| aggregate(query).unwrap().only(&[Dimension::Provider, Dimension::Client]);
    assert_eq!(only("group_by=client,provider&client=a"), Ok(()));
    assert_eq!(only("group_by=client,model").unwrap_err().parameter, "group_by");
    let error = only("tag:a=b").unwrap_err();
    assert_eq!(error.parameter, "tag:a");
    assert!(error.message.contains("provider, client"), "{error}");
}

#[test]
fn what_takes_no_parameters_says_so() {
    assert!(none("").is_ok());
    assert_eq!(none("from=-1h").unwrap_err().parameter, "from");
}

proptest! {
    #[test]
    fn no_query_panics(query in ".{0,200}") {
        let _ = aggregate(&query);
        let _ = Search::parse(&query, now());
    }

    #[test]
    fn cursors_read_back(from in 0i64..1000, later in 0i64..1000, more in 1i64..1000, id: u128) {
        let [from, received_at, to] = [from, from + later, from + later + more].map(Timestamp::from_micros);
        let cursor = Cursor { range: Range { from, to }, received_at, request_id: Uuid::from_u128(id) };
        prop_assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor));
    }
}
