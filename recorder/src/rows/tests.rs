//! Rows against the tables that the migrations define.

use schemas::migrations;

use super::*;

/// The columns that the migrations define, in order.
fn columns(table: &str) -> Vec<String> {
    migrations::columns(table).into_iter().map(str::to_owned).collect()
}

fn check<R: TableRow>() {
    assert_eq!(R::COLUMN_NAMES, columns(R::TABLE), "{}", R::TABLE);
    for (name, kind) in R::columns() {
        assert!(crate::columns::can_write(kind), "{}.{name} is a {kind}", R::TABLE);
    }
}

#[test]
fn every_row_has_exactly_the_columns_of_its_table() {
    check::<RequestRow>();
    check::<CandidateRow>();
    check::<OpenedRow>();
    check::<BodiesRow>();
    check::<DeadLetterRow>();
    check::<ReplayRow>();
    check::<PriceRow>();
    check::<crate::reprice::AdjustmentRow>();
    check::<crate::seal::SealRow>();
    check::<crate::seal::BackfillRow>();
}

#[test]
fn the_contract_names_are_all_there() {
    let requests = columns("requests");
    let contract = "request_id outcome client user tags format is_stream provider endpoint key model_requested model \
        model_upstream model_reported status upstream_status error_class error_type error_message stop_reason attempts \
        received_at ttft_ms duration_ms input_tokens fresh_input_tokens cache_read_tokens cache_write_5m_tokens \
        cache_write_1h_tokens output_tokens delivered_output_tokens reasoning_tokens usage_source raw_usage normaliser \
        cost_usd price_id cost_multiplier request_bytes response_bytes stream_events client_request_id \
        upstream_request_id user_agent gateway epoch seq recorded_at";
    for name in contract.split_whitespace() {
        assert!(requests.iter().any(|column| column == name), "{name}");
    }
}

#[test]
fn the_price_table_holds_every_tier_once() {
    let book = schemas::price::Book::builtin().unwrap();
    let rows = PriceRow::of(&book, schemas::time::Timestamp::from_micros(0));
    let keys: std::collections::BTreeSet<_> = rows.iter().map(|row| (&row.price_id, row.over_input_tokens)).collect();
    assert_eq!(keys.len(), rows.len());
    assert_eq!(rows.len(), book.entries().iter().map(|price| price.tiers.len()).sum::<usize>());
}
