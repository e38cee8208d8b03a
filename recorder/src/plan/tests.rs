//! What a range becomes: rows by table and day, duplicates dropped, dead letters, prices.

use schemas::events::{Bodies, Body, Candidate, Captured, Opened, Place, Prepared, Receipt};
use schemas::outcome::{CaptureScope, Format, Operation, Outcome, UsageSource, Verdict};
use schemas::usage::Usage;

use super::*;
use crate::consume::Message;
use crate::rows::{OpenedRow, Recording};

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
    let envelope = Envelope { seq, id, subject, published_at: at(5), pending: 0, replay: None, checksum: 0 };
    Message { envelope, payload }
}

fn decode(messages: &[Message], book: &Book) -> (Vec<Envelope>, Decoded) {
    let mut decoder = Decoder::new(3, book);
    messages.iter().for_each(|message| decoder.read(message.envelope.replay.as_deref().copied(), &message.payload));
    (messages.iter().map(|message| message.envelope.clone()).collect(), decoder.finish())
}

fn plan_after(epochs: BTreeMap<Uuid, SeqSet>, messages: &[Message]) -> Plan {
    let book = Book::builtin().unwrap();
    let context = Context { partition: 3, incarnation: 9, book: &book, recorded_at: at(77) };
    let (messages, decoded) = decode(messages, &book);
    let mut plan = Plan::new(context, &messages, &decoded, epochs);
    plan.settle(decoded);
    plan
}

/// A row for the tests of the writer.
pub(crate) fn opened_row(seq: u64) -> OpenedRow {
    let event = Event::decode(&line(1, seq.max(1), &opened(at(0)))).unwrap();
    let Body::Opened(opened) = event.body else { unreachable!() };
    let head = Head { seq, ..event.head };
    OpenedRow::new(Recording { head, recorded_at: at(77) }, *opened)
}

#[test]
fn each_event_becomes_one_row_of_its_table_and_day() {
    let (today, yesterday) = (at(1), at(-DAY_MICROS));
    let terminal = Body::Terminal(Box::new(receipt(Usage::UNKNOWN, today)));
    let lines = [line(1, 1, &opened(yesterday)), line(1, 2, &opened(today)), line(1, 3, &candidate(today))];
    let mut plan = plan_after(BTreeMap::new(), &[message(1, &lines), message(2, &[line(1, 4, &terminal)])]);
    assert_eq!(plan.rows.opened.keys().copied().collect::<Vec<_>>(), [20_261_120, 20_261_121]);
    assert_eq!(plan.rows.candidates[&20_261_121].origins, [Origin { message: 0, line: 2 }]);
    let rows = &plan.rows.requests[&20_261_121].rows;
    assert_eq!((rows.numbers("seq"), rows.numbers("partition")), (vec![Some(4)], vec![Some(3)]));
    assert_eq!((rows.texts("gateway"), rows.numbers("cost_usd")), (vec!["gw-1".to_owned()], vec![None]));
    let recorded_at = Some(i128::from(at(77).as_micros()));
    assert_eq!(rows.numbers("recorded_at"), [recorded_at]);
    assert_eq!(plan.rows.opened[&20_261_120].rows.numbers("recorded_at"), [recorded_at]);
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
    let rows = &plan.rows.bodies[&20_261_120].rows;
    let (text, number) = (|name| rows.texts(name).remove(0), |name| rows.numbers(name)[0]);
    assert_eq!(
        (text("scope").as_str(), number("candidate_index"), number("attempt_index")),
        ("attempt", Some(2), Some(1))
    );
    assert_eq!(
        (number("request_bytes"), text("request_body").as_str(), number("request_truncated")),
        (None, "", Some(0))
    );
    assert_eq!(
        (number("response_bytes"), text("response_body").as_str(), number("response_truncated")),
        (Some(9_000), "{\"a\":1", Some(1))
    );
    assert_eq!(
        (text("response_content_type").as_str(), text("error_class").as_str(), number("seq")),
        ("application/json", "", Some(1))
    );
    assert_eq!(plan.tally, Tally { stored: 1, ..Tally::default() });
}

#[test]
fn what_was_recorded_before_or_comes_twice_is_dropped() {
    let known = BTreeMap::from([(Uuid::from_u128(1), SeqSet { contiguous: 1, ahead: vec![(5, 5)] })]);
    let lines: Vec<Vec<u8>> = [1, 2, 2, 5].map(|seq| line(1, seq, &opened(at(0)))).to_vec();
    let messages = [message(1, &lines), message(2, &[line(2, 1, &opened(at(0)))])];
    let plan = plan_after(known, &messages);
    let cell = &plan.rows.opened[&20_261_121];
    // The low half of a UUID stands behind the high one.
    assert_eq!(cell.rows.numbers("epoch"), [Some(1 << 64), Some(2 << 64)]);
    assert_eq!(cell.rows.numbers("seq"), [Some(2), Some(1)]);
    assert_eq!(cell.origins, [Origin { message: 0, line: 1 }, Origin { message: 1, line: 0 }]);
    assert_eq!(plan.tally, Tally { stored: 2, deduplicated: 3, ..Tally::default() });

    let all = BTreeMap::from([1, 2].map(|epoch| (Uuid::from_u128(epoch), SeqSet { contiguous: 9, ahead: vec![] })));
    let none = plan_after(all, &messages);
    assert!(none.is_empty() && none.rows.opened.is_empty());
}

#[test]
fn lines_are_planned_again_when_more_is_known_to_be_recorded() {
    let book = Book::default();
    let context = Context { partition: 3, incarnation: 9, book: &book, recorded_at: at(0) };
    let lines: Vec<Vec<u8>> = [1, 2, 3].map(|seq| line(1, seq, &opened(at(0)))).to_vec();
    let (messages, decoded) = decode(&[message(1, &lines)], &book);
    let first = Plan::new(context, &messages, &decoded, BTreeMap::new());
    assert_eq!((first.tally.stored, first.rows.opened.len()), (3, 0), "nothing can be written yet");
    let known = BTreeMap::from([(Uuid::from_u128(1), SeqSet { contiguous: 2, ahead: vec![] })]);
    let mut second = Plan::new(context, &messages, &decoded, known);
    second.settle(decoded);
    assert_eq!(second.rows.opened[&20_261_121].rows.numbers("seq"), [Some(3)]);
    assert_eq!(second.tally, Tally { stored: 1, deduplicated: 2, ..Tally::default() });
}

#[test]
fn what_is_no_event_becomes_a_dead_letter_with_its_bytes_and_its_origin() {
    let newer = String::from_utf8(line(1, 2, &opened(at(0)))).unwrap().replace("\"v\":1", "\"v\":9");
    let elsewhere =
        String::from_utf8(line(1, 3, &opened(at(0)))).unwrap().replace("\"partition\":3", "\"partition\":4");
    let lines = [line(1, 1, &opened(at(0))), b"\xffgarbage".to_vec(), newer.clone().into(), elsewhere.into()];
    let mut plan = plan_after(BTreeMap::new(), &[message(6, &lines), message(7, &[newer.into()])]);
    let letters = &plan.dead_letters[&20_261_121];
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
    assert_eq!(rows.numbers("cost_usd"), [Some(1_620_000_000), None, None]);
    let priced: Vec<bool> = rows.texts("price_id").iter().map(|id| !id.is_empty()).collect();
    assert_eq!(priced, [true, false, true]);
    assert_eq!(plan.tally.unpriced, 1);
}

#[test]
fn the_same_range_after_the_same_progress_gives_the_same_rows() {
    let messages = [message(1, &[line(1, 1, &opened(at(0))), b"{}".to_vec(), line(1, 3, &candidate(at(0)))])];
    let known = BTreeMap::from([(Uuid::from_u128(1), SeqSet { contiguous: 0, ahead: vec![(7, 9)] })]);
    let plans = [plan_after(known.clone(), &messages), plan_after(known, &messages)];
    let written = |plan: Plan| {
        let Tables { requests, candidates, opened, bodies } = plan.rows;
        let cells = [requests, candidates, opened, bodies].map(|cells| {
            cells.into_iter().map(|(day, cell)| (day, cell.rows.bytes(), cell.origins)).collect::<Vec<_>>()
        });
        (cells, plan.dead_letters, plan.tally)
    };
    let [one, other] = plans.map(written);
    assert_eq!(one, other);
}

#[test]
fn a_refused_row_becomes_a_dead_letter_of_its_line() {
    let messages =
        [message(1, &[line(1, 1, &opened(at(0)))]), message(2, &[b"x".to_vec(), line(1, 2, &opened(at(0)))])];
    let book = Book::default();
    let context = Context { partition: 3, incarnation: 9, book: &book, recorded_at: at(0) };
    let (day, letter) =
        refused(context, (&messages[1].envelope, &messages[1].payload), Origin { message: 1, line: 1 }, "no".into())
            .unwrap();
    assert_eq!(day, 20_261_121);
    assert_eq!((letter.stage, letter.seq, letter.stream_seq, letter.line), ("insert", Some(2), 2, 1));
    assert_eq!(letter.payload, line(1, 2, &opened(at(0))));
}
