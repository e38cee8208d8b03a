//! The comparison notices what it is there for.

use schemas::usage::Usage;

use super::*;
use crate::chaos::totals::Total;

fn prices() -> Book {
    let text = r#"
[[prices]]
id = "p"
provider = "anthropic"
first_party = true
models = ["m"]
valid_from = "2024-01-01T00:00:00Z"
source = "https://example.com"
input = "1"
output = "10"
cache_read = "0.5"
cache_write_5m = "2"
cache_write_1h = "2"
"#;
    Book::parse(text).unwrap()
}

fn answer(number: u64, ending: Ending, output: u64) -> Answer {
    let usage = Usage {
        input: Some(100),
        fresh_input: Some(100),
        cache_read: Some(0),
        cache_write_5m: Some(0),
        cache_write_1h: Some(0),
        output: Some(output),
        reasoning: Some(0),
    };
    Answer {
        request_id: format!("req_{number}"),
        response_id: String::new(),
        format: Format::Anthropic,
        model: "m".to_owned(),
        stream: true,
        ending,
        status: 200,
        usage,
        usage_reported: ending == Ending::Completed,
        fault: None,
        tag: Some(number.to_string()),
    }
}

fn row(number: u64, outcome: Outcome, output: Option<u64>) -> Row {
    let known = output.is_some();
    Row {
        request_id: Uuid::from_u128(u128::from(number)),
        client_request_id: number.to_string(),
        outcome,
        error_class: String::new(),
        usage_source: if known { "provider" } else { "none" }.to_owned(),
        input_tokens: Some(100).filter(|_| known),
        cache_read_tokens: Some(0).filter(|_| known),
        cache_write_5m_tokens: Some(0).filter(|_| known),
        cache_write_1h_tokens: Some(0).filter(|_| known),
        output_tokens: output,
        reasoning_tokens: Some(0).filter(|_| known),
        // Millionths of a dollar: 1 a token in, 10 a token out.
        cost_usd: output.map(|output| Pico((100 + 10 * i128::from(output)) * 1_000_000)),
    }
}

const ROLLUP: &str = "sums of requests = usage_1m";
const TOTAL: Total = Total { counted: 2, input_tokens: 200, output_tokens: 43, cost_usd: Pico(7) };

fn orphan(number: u64, output: Option<u64>) -> Row {
    Row { error_class: "gateway_died".to_owned(), cost_usd: None, ..row(number, Outcome::Interrupted, output) }
}

fn sent(number: u64, is_whole: bool) -> Sent {
    Sent {
        number,
        format: Format::Anthropic,
        is_stream: true,
        expected: Outcome::Completed,
        request_id: Some(Uuid::from_u128(u128::from(number))),
        status: Some(200),
        is_whole,
        leaves: false,
    }
}

/// One whole answer, one whose gateway died in the middle, one request that nobody took.
fn books() -> Books {
    Books {
        sent: vec![sent(1, true), sent(2, false), Sent { request_id: None, status: None, ..sent(3, false) }],
        answers: vec![answer(1, Ending::Completed, 40), answer(2, Ending::Aborted, 7)],
        rows: vec![row(1, Outcome::Completed, Some(40)), orphan(2, Some(3))],
        opened: vec![Uuid::from_u128(1), Uuid::from_u128(2)],
        candidates: Copies { rows: 2, events: 2 },
        uneven: 0,
        totals: vec![Pair { what: ROLLUP, rows: TOTAL, found: TOTAL }],
        prices: prices(),
    }
}

/// The checks that fail after a change to books that agree.
fn failing(change: impl FnOnce(&mut Books)) -> Vec<&'static str> {
    let mut books = books();
    change(&mut books);
    books.compare().0.into_iter().filter(|check| !check.holds()).map(|check| check.what.trim()).collect()
}

const ROWS: &str = "requests let in = rows of requests, count()";
const SAME: &str = "that are the same requests";
const SEEN: &str = "request ids that clients saw = in rows";
const FITS: &str = "with an outcome that fits what they saw";
const REACHED: &str = "requests that reached the provider = with one row";
const BILLED: &str = "answers billed = rows, to the token and the last digit";
const ORPHANS: &str = "rows of dead gateways = with what those had seen";

#[test]
fn books_that_agree_agree() {
    assert_eq!(failing(|_| {}), Vec::<&str>::new());
    assert!(books().compare().1.is_empty());
}

#[test]
fn a_lost_row_and_a_row_twice_are_noticed_everywhere() {
    assert_eq!(failing(|books| drop(books.rows.remove(0))), [ROWS, SAME, SEEN, FITS, REACHED]);
    let twice = failing(|books| books.rows.push(books.rows[0].clone()));
    assert!(twice.contains(&ROWS) && twice.contains(&"rows of requests twice, count() - uniqExact()"), "{twice:?}");
    let opened = failing(|books| books.opened.push(Uuid::from_u128(1)));
    assert_eq!(opened, ["rows of opened twice"]);
    assert_eq!(failing(|books| books.candidates.rows = 3), ["rows of candidates twice"]);
    assert_eq!(failing(|books| books.uneven = 1), ["requests with more or fewer of them than attempts"]);
    let stranger = failing(|books| books.rows[1].client_request_id = "77".to_owned());
    assert!(stranger.contains(&"rows of requests that nobody sent"), "{stranger:?}");
}

#[test]
fn a_request_that_reached_the_provider_and_that_nobody_wrote_down_is_noticed_though_its_client_saw_nothing() {
    assert_eq!(failing(|books| books.answers.push(answer(3, Ending::Aborted, 1))), [REACHED]);
    let billed_twice = failing(|books| books.answers.push(answer(1, Ending::Completed, 40)));
    assert!(billed_twice.contains(&"requests billed more than once"), "{billed_twice:?}");
}

#[test]
fn one_token_and_the_last_digit_are_noticed() {
    let token = failing(|books| books.rows[0].output_tokens = Some(41));
    assert_eq!(token, [BILLED, "output tokens, provider = rows"]);
    let digit = failing(|books| books.rows[0].cost_usd = Some(Pico(500_000_001)));
    assert_eq!(digit, [BILLED, "US dollars, list prices of what was served = rows"]);
}

#[test]
fn a_rollup_that_says_something_else_is_noticed() {
    assert_eq!(failing(|books| books.totals[0].found.cost_usd = Pico(8)), [ROLLUP]);
    assert_eq!(failing(|books| books.totals[0].found.counted = 1), [ROLLUP]);
}

#[test]
fn a_client_with_a_whole_answer_in_hand_is_believed() {
    assert_eq!(failing(|books| books.sent[1].is_whole = true), [FITS]);
    assert_eq!(failing(|books| books.rows[0].outcome = Outcome::Cancelled), [FITS]);
    let left = failing(|books| {
        books.rows[0].outcome = Outcome::Cancelled;
        books.sent[0].leaves = true;
    });
    assert_eq!(left, Vec::<&str>::new());
}

#[test]
fn a_dead_gateway_says_what_it_had_seen_and_nothing_else() {
    // The client had the head of the answer, so the prompt's size had been told and written down.
    assert_eq!(failing(|books| books.rows[1] = orphan(2, None)), [ORPHANS]);
    assert_eq!(failing(|books| books.rows[1] = orphan(2, Some(8))), [ORPHANS]);
    assert_eq!(failing(|books| books.rows[1].input_tokens = Some(99)), [ORPHANS]);
    assert_eq!(failing(|books| books.rows[1].outcome = Outcome::Completed), [ORPHANS]);
    let unseen = failing(|books| {
        books.rows[1] = orphan(2, None);
        books.sent[1].request_id = None;
    });
    assert_eq!(unseen, Vec::<&str>::new());
}
