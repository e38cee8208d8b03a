//! The comparison notices what it is there for, and the script has what it promises.

use std::collections::BTreeSet;

use schemas::config::Config;
use schemas::money::Pico;
use schemas::outcome::{Format, Outcome, Verdict};
use schemas::price::Book;
use schemas::usage::Usage;
use uuid::Uuid;

use super::accounting::{Books, Row, Sent, Try};
use super::readback::{Cost, Used};
use super::script::{self, CLIENTS, DRILLS};
use crate::simulate::{Address, Answer, Ending, Options, Simulator, Tally};

/// A dollar per million fresh tokens and ten times that for output, cached tokens at half and twice the price.
const PRICES: &str = r#"
[[prices]]
id = "p"
provider = "openai"
first_party = true
models = ["gpt-4o-mini"]
valid_from = "2024-01-01T00:00:00Z"
source = "https://example.com"
input = "1"
output = "10"
cache_read = "0.5"
cache_write_5m = "2"
cache_write_1h = "2"
"#;
/// 30 fresh, 50 read, 20 written, 40 of output: 30 + 25 + 40 + 400 millionths of a dollar.
const COST: Pico = Pico(495_000_000);

fn usage() -> Usage {
    Usage {
        input: Some(100),
        fresh_input: Some(30),
        cache_read: Some(50),
        cache_write_5m: Some(15),
        cache_write_1h: Some(5),
        output: Some(40),
        reasoning: Some(10),
    }
}

fn answer(request_id: &str, usage_reported: bool) -> Answer {
    Answer {
        request_id: request_id.to_owned(),
        response_id: String::new(),
        format: Format::OpenaiChat,
        model: "gpt-4o-mini".to_owned(),
        stream: true,
        ending: Ending::Completed,
        status: 200,
        usage: usage(),
        usage_reported,
        fault: None,
        tag: None,
    }
}

fn row(id: u128, outcome: Outcome, upstream: &str, known: bool) -> Row {
    let count = |count| Some(count).filter(|_| known);
    Row {
        request_id: Uuid::from_u128(id),
        outcome,
        upstream_request_id: upstream.to_owned(),
        usage_source: if known { "provider" } else { "none" }.to_owned(),
        input_tokens: count(100),
        cache_read_tokens: count(50),
        cache_write_5m_tokens: count(15),
        cache_write_1h_tokens: count(5),
        output_tokens: count(40),
        reasoning_tokens: count(10),
        cost_usd: Some(COST).filter(|_| known),
    }
}

fn used(client: &str, known: bool) -> Used {
    let count = |count| Some(count).filter(|_| known);
    Used {
        client: Some(client.to_owned()),
        model: Some("m".to_owned()),
        outcome: None,
        requests: 1,
        input_tokens: count(100),
        cache_read_tokens: count(50),
        cache_write_5m_tokens: count(15),
        cache_write_1h_tokens: count(5),
        output_tokens: count(40),
        reasoning_tokens: count(10),
        estimated_usage_requests: 0,
        unknown_usage_requests: 0,
    }
}

/// A try of the first request.
fn tried(endpoint: &str, verdict: Verdict) -> Try {
    let count = |count| Some(count).filter(|_| verdict == Verdict::Succeeded);
    Try {
        request_id: Uuid::from_u128(1),
        endpoint: endpoint.to_owned(),
        verdict,
        status: Some(200),
        input_tokens: count(100),
        output_tokens: count(40),
    }
}

/// Three requests: one whole answer of a second provider, one without usage, one refused at the door.
fn books() -> Books {
    let sent = |id, expected| Sent { request_id: Some(Uuid::from_u128(id)), status: Some(200), expected, routes: &[] };
    let cost = |client: &str, cost_usd| Cost {
        client: Some(client.to_owned()),
        model: None,
        requests: 1,
        unpriced_requests: 0,
        cost_usd,
    };
    let refused = Answer { ending: Ending::Refused, status: 529, usage: Usage::UNKNOWN, ..answer("c", false) };
    Books {
        sent: vec![
            Sent { routes: &["relay", "api"], ..sent(1, Outcome::Completed) },
            sent(2, Outcome::Completed),
            sent(3, Outcome::Rejected),
        ],
        tally: Tally { answers: [answer("a", true), answer("b", false), refused].into(), ..Tally::default() },
        rows: vec![
            row(1, Outcome::Completed, "a", true),
            row(2, Outcome::Completed, "b", false),
            row(3, Outcome::Rejected, "", false),
        ],
        tries: vec![tried("relay", Verdict::Failed), tried("api", Verdict::Succeeded)],
        used: vec![used("search", true), used(DRILLS.name, false)],
        costs: vec![cost("search", Some(COST)), cost(DRILLS.name, None)],
        prices: Book::parse(PRICES).unwrap(),
    }
}

/// The checks that fail after a change to books that agree.
fn failing(change: impl FnOnce(&mut Books)) -> Vec<&'static str> {
    let mut books = books();
    change(&mut books);
    books.checks().into_iter().filter(|check| !check.holds()).map(|check| check.what.trim()).collect()
}

#[test]
fn books_that_agree_agree() {
    assert_eq!(failing(|_| {}), Vec::<&str>::new());
    assert!(books().differences().is_empty());
}

#[test]
fn a_missing_a_double_and_a_foreign_row_are_noticed() {
    let requests = "requests sent = rows in ClickHouse";
    let ids = "request ids seen by clients = in rows";
    let outcomes = "outcomes as they were provoked";
    assert_eq!(failing(|books| drop(books.rows.pop())), [requests, ids, outcomes]);
    assert_eq!(failing(|books| books.rows[2].request_id = Uuid::from_u128(9)), [ids, outcomes]);
    let double = failing(|books| books.rows.push(books.rows[0].clone()));
    assert!(double.contains(&requests) && double.contains(&"answers billed by the provider = rows to the token"));
}

#[test]
fn a_wrong_outcome_is_noticed_and_told() {
    let change = |books: &mut Books| books.rows[0].outcome = Outcome::Cancelled;
    assert_eq!(failing(change), ["outcomes as they were provoked"]);
    let mut wrong = books();
    change(&mut wrong);
    assert!(wrong.differences()[0].ends_with("is recorded as cancelled, not completed"));
}

#[test]
fn a_failover_that_did_not_happen_and_one_that_is_billed_twice_are_noticed() {
    let (second, refusals, tokens) = (
        "first provider failed = second one answered",
        "refusals by the provider = failed tries",
        "tokens of failed tries",
    );
    assert_eq!(failing(|books| drop(books.tries.remove(0))), [second, refusals]);
    assert_eq!(failing(|books| books.tries[0].verdict = Verdict::Skipped), [refusals]);
    assert_eq!(failing(|books| books.tries[1].endpoint = "relay".to_owned()), [second]);
    assert_eq!(failing(|books| books.tries[0].input_tokens = Some(100)), [tokens]);
    assert_eq!(failing(|books| books.tries[0].status = None), [refusals]);
}

#[test]
fn one_token_too_many_is_noticed_in_a_row_and_in_a_sum() {
    let rows = failing(|books| books.rows[0].output_tokens = Some(41));
    assert_eq!(rows, ["answers billed by the provider = rows to the token"]);
    let sums = failing(|books| books.used[0].reasoning_tokens = Some(11));
    assert_eq!(sums, ["of these reasoning"]);
}

#[test]
fn a_guess_that_is_passed_off_as_known_is_noticed() {
    let guessed = failing(|books| {
        books.rows[1] = Row { request_id: Uuid::from_u128(2), ..row(2, Outcome::Completed, "b", true) };
        books.rows[1].cost_usd = None;
    });
    assert_eq!(guessed, ["answers without usage that a row calls known"]);
}

#[test]
fn an_answer_broken_off_is_not_known_either() {
    let broken = failing(|books| {
        books.tally.answers[1].ending = Ending::Broken;
        books.rows[1] = Row { cost_usd: None, ..row(2, Outcome::Completed, "b", true) };
    });
    assert_eq!(broken, ["answers without usage that a row calls known"]);
}

#[test]
fn a_bill_that_is_off_by_the_last_digit_is_noticed() {
    let off = Some(Pico(COST.0 + 1));
    let (listed, summed) =
        ("US dollars, list prices of what was served = bill", "US dollars with the drills, sum of rows = bill");
    assert_eq!(failing(|books| books.costs[0].cost_usd = off), [listed, summed]);
    assert_eq!(failing(|books| books.rows[0].cost_usd = off), [summed]);
}

#[test]
fn the_script_covers_every_outcome_and_asks_what_the_provider_understands() {
    let shots = script::shots();
    let outcomes: BTreeSet<Outcome> = shots.iter().map(|shot| shot.expected).collect();
    assert_eq!(outcomes.len(), Outcome::ALL.len());
    let simulator = Simulator::new(Options::default());
    for shot in &shots {
        let (path, query) = shot.path.split_once('?').unwrap_or((&shot.path, ""));
        let address = Address::of(path, query).unwrap();
        assert_eq!(address.format, shot.format);
        simulator.plan(&address, &shot.body).unwrap();
        let is_known = CLIENTS.iter().any(|client| client.key == shot.key);
        assert!(is_known || shot.expected == Outcome::Rejected);
    }
    let formats: BTreeSet<&str> = shots.iter().map(|shot| shot.format.as_str()).collect();
    assert_eq!(formats.len(), 4);
    assert!(shots.iter().filter(|shot| shot.routes.len() == 2).count() >= 8);
    let bodies: BTreeSet<&[u8]> = shots.iter().map(|shot| shot.body.as_ref()).collect();
    assert!(bodies.len() > shots.len() / 2);
}

#[tokio::test]
async fn the_configuration_is_one_that_an_operator_could_write() {
    let provider = "127.0.0.1:1".parse().unwrap();
    let (config, listeners, addresses) =
        super::configuration::build(std::path::Path::new("/tmp/a \"quoted\" folder"), provider).await.unwrap();
    let Config { gateway, models, clients, .. } = &config;
    assert_eq!(listeners.clients.local_addr().unwrap(), gateway.listen);
    assert_eq!((models.len(), clients.len()), (script::models().count(), CLIENTS.len()));
    assert!(gateway.ledger_dir.ends_with("ledger") && config.clickhouse.database == addresses.database);
    assert!(config.check_secrets().is_ok());
}
