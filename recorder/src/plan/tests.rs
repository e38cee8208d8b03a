//! What a range becomes: rows by table and day, duplicates dropped, dead letters, prices.

use schemas::events::{Bodies, Body, Candidate, Captured, Opened, Place, Prepared, Receipt};
use schemas::outcome::{CaptureScope, Format, Operation, Outcome, UsageSource, Verdict};
use schemas::usage::Usage;

use super::*;
use crate::rows::OpenedRow;

const DAY_MICROS: i64 = 86_400_000_000;
/// 2026-11-21T00:00:00Z
const MIDNIGHT: i64 = 1_795_219_200_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(MIDNIGHT + micros)
}

fn opened(received_at: Timestamp) -> Body {
    Body::Opened(Box::new(Opened {
        client: "team-a".into(),
        user: None,
        tags: [("project".to_owned(), "alpha".to_owned())].into(),
        format: Format::Anthropic,
        operation: Operation::Generate,
        is_stream: true,
        model_requested: "sonnet".into(),
        model: "claude-sonnet-4-5".into(),
        request_bytes: 10,
        received_at,
        client_request_id: None,
        user_agent: None,
    }))
}

fn receipt(usage: Usage, received_at: Timestamp) -> Receipt {
    Receipt {
        outcome: Outcome::Completed,
        client: "team-a".into(),
        user: None,
        tags: BTreeMap::new(),
        format: Format::Anthropic,
        operation: Operation::Generate,
        is_stream: true,
        provider: "anthropic".into(),
        endpoint: "anthropic-api".into(),
        key: "main".into(),
        model_requested: "sonnet".into(),
        model: "claude-sonnet-4-5".into(),
        model_upstream: "claude-sonnet-4-5-20250929".into(),
        model_reported: String::new(),
        status: 200,
        upstream_status: Some(200),
        error: None,
        stop_reason: None,
        attempts: 1,
        received_at,
        ttft_ms: None,
        duration_ms: 1.0,
        usage,
        usage_source: UsageSource::Provider,
        delivered_output: None,
        raw_usage: None,
        normaliser: 1,
        cost_multiplier: schemas::money::Factor::ONE,
        request_bytes: 0,
        response_bytes: 0,
        stream_events: 0,
        client_request_id: None,
        upstream_request_id: None,
        user_agent: None,
    }
}

fn candidate(received_at: Timestamp) -> Body {
    Body::Candidate(Box::new(Candidate {
        candidate_index: 0,
        attempt_index: 0,
        verdict: Verdict::Succeeded,
        reason: "chosen".into(),
        provider: "anthropic".into(),
        endpoint: "anthropic-api".into(),
        key: "main".into(),
        model: String::new(),
        model_reported: String::new(),
        cost_multiplier: schemas::money::Factor::ONE,
        model_upstream: "m".into(),
        status: None,
        error_class: None,
        error_message: None,
        started_at: received_at,
        headers_ms: None,
        first_content_ms: None,
        duration_ms: 0.0,
        response_bytes: 0,
        usage: Usage::UNKNOWN,
        reported_cost: None,
        received_at,
        client: "team-a".into(),
    }))
}

fn line(epoch: u128, seq: u64, body: &Body) -> Vec<u8> {
    let prepared = Prepared::new(Uuid::from_u128(u128::from(seq)), at(0), body).unwrap();
    let mut line = Vec::new();
    let place = Place { epoch: Uuid::from_u128(epoch), partition: 3, seq, gateway: "gw-1" };
    prepared.seal_into(place, &mut line).unwrap();
    line
}

fn message(seq: u64, lines: &[Vec<u8>]) -> Message {
    let (id, subject) = (format!("id-{seq}"), "weir.v1.stream.3".to_owned());
    let payload = lines.join(&b'\n').into();
    Message { seq, id, subject, published_at: at(5), pending: 0, replay: None, payload }
}

fn plan_after(epochs: BTreeMap<Uuid, SeqSet>, messages: &[Message]) -> Plan {
    let book = Book::builtin().unwrap();
    let context = Context { partition: 3, incarnation: 9, book: &book, recorded_at: at(77) };
    Plan::new(context, messages, decode(messages, context.partition, &book), epochs)
}

/// A row for the tests of the writer.
pub(crate) fn opened_row(seq: u64) -> OpenedRow {
    let message = message(1, &[line(1, seq.max(1), &opened(at(0)))]);
    let plan = plan_after(BTreeMap::new(), &[message]);
    let mut row = plan.rows.opened.into_values().next().unwrap().rows.pop().unwrap();
    row.seq = seq;
    row
}

#[test]
fn each_event_becomes_one_row_of_its_table_and_day() {
    let (today, yesterday) = (at(1), at(-DAY_MICROS));
    let terminal = Body::Terminal(Box::new(receipt(Usage::UNKNOWN, today)));
    let lines = [line(1, 1, &opened(yesterday)), line(1, 2, &opened(today)), line(1, 3, &candidate(today))];
    let mut plan = plan_after(BTreeMap::new(), &[message(1, &lines), message(2, &[line(1, 4, &terminal)])]);
    assert_eq!(plan.rows.opened.keys().copied().collect::<Vec<_>>(), [20_261_120, 20_261_121]);
    assert_eq!(plan.rows.candidates[&20_261_121].origins, [Origin { message: 0, line: 2 }]);
    let row = &plan.rows.requests[&20_261_121].rows[0];
    assert_eq!((row.seq, row.partition, row.gateway.as_str(), row.cost_usd), (4, 3, "gw-1", None));
    assert_eq!(plan.tally, Tally { stored: 4, ..Tally::default() });
    assert_eq!(plan.take_epochs()[&Uuid::from_u128(1)], SeqSet { contiguous: 4, ahead: vec![] });
}

#[test]
fn bodies_become_rows_in_which_nothing_said_differs_from_not_known() {
    let said = Captured {
        content_type: Some("application/json".into()),
        bytes: 9_000,
        text: "{\"a\":1".into(),
        truncated: true,
    };
    let bodies = Body::Bodies(Box::new(Bodies {
        scope: CaptureScope::Attempt,
        candidate_index: Some(2),
        attempt_index: Some(1),
        client: "team-a".into(),
        format: Format::Gemini,
        model: "g".into(),
        provider: "google".into(),
        endpoint: "gemini-api".into(),
        outcome: Outcome::Failed,
        status: Some(200),
        error_class: None,
        received_at: at(-DAY_MICROS),
        request: None,
        response: Some(said),
    }));
    let plan = plan_after(BTreeMap::new(), &[message(1, &[line(1, 1, &bodies)])]);
    let row = &plan.rows.bodies[&20_261_120].rows[0];
    assert_eq!((row.scope, row.candidate_index, row.attempt_index), ("attempt", Some(2), Some(1)));
    assert_eq!((row.request_bytes, row.request_body.as_str(), row.request_truncated), (None, "", false));
    assert_eq!(
        (row.response_bytes, row.response_body.as_str(), row.response_truncated),
        (Some(9_000), "{\"a\":1", true)
    );
    assert_eq!((row.response_content_type.as_str(), row.error_class, row.seq), ("application/json", "", 1));
    assert_eq!(plan.tally, Tally { stored: 1, ..Tally::default() });
}

#[test]
fn what_was_recorded_before_or_comes_twice_is_dropped() {
    let known = BTreeMap::from([(Uuid::from_u128(1), SeqSet { contiguous: 1, ahead: vec![(5, 5)] })]);
    let lines: Vec<Vec<u8>> = [1, 2, 2, 5].map(|seq| line(1, seq, &opened(at(0)))).to_vec();
    let plan = plan_after(known, &[message(1, &lines), message(2, &[line(2, 1, &opened(at(0)))])]);
    let rows = &plan.rows.opened[&20_261_121].rows;
    assert_eq!(rows.iter().map(|row| (row.epoch.as_u128(), row.seq)).collect::<Vec<_>>(), [(1, 2), (2, 1)]);
    assert_eq!(plan.tally, Tally { stored: 2, deduplicated: 3, ..Tally::default() });
}

#[test]
fn what_is_no_event_becomes_a_dead_letter_with_its_bytes_and_its_origin() {
    let newer = String::from_utf8(line(1, 2, &opened(at(0)))).unwrap().replace("\"v\":1", "\"v\":9");
    let elsewhere =
        String::from_utf8(line(1, 3, &opened(at(0)))).unwrap().replace("\"partition\":3", "\"partition\":4");
    let lines = [line(1, 1, &opened(at(0))), b"\xffgarbage".to_vec(), newer.clone().into(), elsewhere.into()];
    let mut plan = plan_after(BTreeMap::new(), &[message(6, &lines), message(7, &[newer.into()])]);
    let letters = &plan.dead_letters[&20_261_121].rows;
    assert_eq!(letters.iter().map(|letter| letter.line).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(&letters[0].payload[..], b"\xffgarbage");
    assert_eq!((letters[0].seq, letters[0].message_id.as_str(), letters[0].stream_seq), (None, "id-6", 6));
    assert_eq!((letters[1].seq, letters[1].id().to_string().as_str()), (Some(2), "v1:3:9:6:2"));
    assert!(letters[1].reason.contains("upgrade it, then replay"), "{}", letters[1].reason);
    assert!(letters[2].reason.contains("belongs to partition 4"), "{}", letters[2].reason);
    // The numbered one of our partition counts as recorded, and is not a letter twice.
    assert_eq!(plan.take_epochs()[&Uuid::from_u128(1)], SeqSet { contiguous: 2, ahead: vec![] });
    assert_eq!(plan.tally, Tally { stored: 1, deduplicated: 1, dead_lettered: 3, unpriced: 0, put_off: 0 });
}

#[test]
fn a_known_usage_has_its_exact_cost_and_an_unknown_price_is_counted_never_zero() {
    let usage = Usage {
        input: Some(1_130),
        fresh_input: Some(30),
        cache_read: Some(1_000),
        cache_write_5m: Some(100),
        cache_write_1h: Some(0),
        output: Some(57),
        reasoning: None,
    };
    let known = receipt(usage, at(0));
    let nameless = |text: &str| text.to_owned();
    let unknown = Receipt { model: nameless("x"), model_upstream: nameless("x"), ..receipt(usage, at(0)) };
    let silent = receipt(Usage::UNKNOWN, at(0));
    let lines: Vec<Vec<u8>> = (1..)
        .zip([known, unknown, silent])
        .map(|(seq, receipt)| line(1, seq, &Body::Terminal(Box::new(receipt))))
        .collect();
    let plan = plan_after(BTreeMap::new(), &[message(1, &lines)]);
    let rows = &plan.rows.requests[&20_261_121].rows;
    // 30*3 + 1000*0.30 + 100*3.75 + 57*15 dollars per million
    assert_eq!(rows[0].cost_usd, Some(1_620_000_000));
    assert_eq!((rows[1].cost_usd, rows[1].price_id.as_str()), (None, ""));
    assert_eq!((rows[2].cost_usd, rows[2].price_id.is_empty()), (None, false));
    assert_eq!(plan.tally.unpriced, 1);
}

#[test]
fn the_same_range_after_the_same_progress_gives_the_same_rows() {
    let messages = [message(1, &[line(1, 1, &opened(at(0))), b"{}".to_vec(), line(1, 3, &candidate(at(0)))])];
    let known = BTreeMap::from([(Uuid::from_u128(1), SeqSet { contiguous: 0, ahead: vec![(7, 9)] })]);
    let plans = [plan_after(known.clone(), &messages), plan_after(known, &messages)];
    let [one, other] = plans.map(|plan| format!("{plan:?}"));
    assert_eq!(one, other);
}

#[test]
fn a_refused_row_becomes_a_dead_letter_of_its_line() {
    let messages =
        [message(1, &[line(1, 1, &opened(at(0)))]), message(2, &[b"x".to_vec(), line(1, 2, &opened(at(0)))])];
    let book = Book::default();
    let context = Context { partition: 3, incarnation: 9, book: &book, recorded_at: at(0) };
    let (day, letter) = refused(context, &messages, Origin { message: 1, line: 1 }, "no".into()).unwrap();
    assert_eq!(day, 20_261_121);
    assert_eq!((letter.stage, letter.seq, letter.stream_seq, letter.line), ("insert", Some(2), 2, 1));
    assert_eq!(letter.payload, line(1, 2, &opened(at(0))));
}
