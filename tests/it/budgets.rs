//! Budgets: held by several gateways together to the stated bound, known after a restart, and for priced models only.

use std::net::{Ipv4Addr, SocketAddr};

use futures_util::future::join_all;
use schemas::money::Pico;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::answers::{self, Tokens};
use tests::caller::{self, Caller};
use tests::configuration::{self, KEY_A, Settings};
use tests::eventually;
use tests::provider::{Gate, Received, Reply, Step};
use tests::services::{Gateway, GatewayProcess};
use tests::stack::{ARRIVAL, Plan, Stack};

const CHAT: &str = "/v1/chat/completions";
/// What a request of [`request`] uses: no more than its bytes, and exactly what it allows.
const TOKENS: Tokens = Tokens { input: 20, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 1_000 };
/// At $0.15 and $0.60 for a million tokens.
const COST: Pico = Pico(20 * 150_000 + 1_000 * 600_000);

fn request() -> Value {
    json!({ "model": "gpt-4o-mini", "max_tokens": 1_000, "stream": true, "messages": [{ "role": "user", "content": "Hi" }] })
}

/// The same of the user who comes when the budget is nearly used.
fn edge() -> Value {
    let mut body = request();
    body["user"] = json!("edge");
    body
}

/// What is set aside for it: a token for every byte, and all that it allows.
fn reserved() -> Pico {
    Pico(edge().to_string().len() as i128 * 150_000 + 1_000 * 600_000)
}

fn catalogue(lines: &str) -> String {
    let usual = configuration::catalogue("{provider}");
    let models = usual.split("[[clients]]").next().expect("models stand before clients");
    let unpriced = "[[models]]\nname = \"of-our-own\"\n[[models.routes]]\nendpoint = \"openai-api\"\n";
    format!("{models}{unpriced}[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n{lines}\n")
}

fn budget(usd: Pico) -> String {
    catalogue(&format!("budget = {{ usd = \"{usd}\", per = \"month\" }}"))
}

fn answer(_: &Received) -> Reply {
    Reply::events(answers::openai_events("gpt-4o-mini", TOKENS, &["Hel", "lo"], true))
}

/// What the rows say that was spent.
async fn spent(stack: &Stack, requests: usize) -> Pico {
    #[derive(Deserialize)]
    struct Sum {
        spent: Pico,
    }
    stack.all_rows(requests).await;
    let sql = "SELECT toString(sum(ifNull(cost_usd, 0))) AS spent FROM {db}.requests";
    stack.database.rows::<Sum>(sql).await.remove(0).spent
}

/// A pipeline with two gateways; the second has a ledger of its own.
async fn two_gateways(
    catalogue: String,
    reply: impl Fn(&Received) -> Reply + Send + Sync + 'static,
) -> (Stack, Gateway, TempDir) {
    let stack = Stack::planned(Plan { catalogue, ..Plan::default() }, reply).await;
    let ledger = tempfile::tempdir().expect("a folder for a ledger");
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let ledger_dir = ledger.path().join("ledger");
    let settings = Settings { ledger_dir, listen: nowhere, ops_listen: nowhere, ..stack.settings.clone() };
    let other = Gateway::start(&settings).await;
    (stack, other, ledger)
}

/// Opens 50 streams at once through both gateways, lets them end once all are decided, and tells how many were let in.
async fn fifty_streams(callers: &[Caller], gate: &Gate) -> usize {
    let body = edge();
    let opened = join_all((0..50).map(|n| callers[n % callers.len()].open(CHAT, &body))).await;
    gate.open();
    let mut let_in = 0;
    for mut reading in opened {
        let (bytes, broken) = reading.rest().await;
        assert_eq!(broken, None);
        match reading.status.as_u16() {
            200 => let_in += 1,
            429 => assert!(String::from_utf8_lossy(&bytes).contains("budget"), "{bytes:?}"),
            other => panic!("{other}: {}", String::from_utf8_lossy(&bytes)),
        }
    }
    let_in
}

/// Requests of the user `edge` are answered whole only once the gate is open.
fn gated(gate: &Gate) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    let gate = gate.clone();
    move |received| {
        let events = answers::openai_events("gpt-4o-mini", TOKENS, &["Hel", "lo"], true);
        let mut steps: Vec<Step> = events.into_iter().map(Step::Send).collect();
        if received.json()["user"] == "edge" {
            steps.insert(2, Step::Await(gate.clone()));
        }
        Reply::steps(200, "text/event-stream", steps)
    }
}

/// Waits until a gateway believes that so much is left.
async fn is_left(ops_url: &str, expected: f64) {
    eventually("the gateway knows what is left", ARRIVAL, || async {
        let left = left(ops_url).await;
        if left.is_some_and(|left| (left - expected).abs() < 1e-9) { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

/// What a gateway believes to be left.
async fn left(ops_url: &str) -> Option<f64> {
    let ops = Caller::new(ops_url, "");
    let metrics = caller::read(ops.anonymous(http::Method::GET, "/metrics")).await.text();
    metrics.lines().find_map(|line| line.strip_prefix("weir_budget_left_usd{client=\"team-a\"} "))?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_streams_through_two_gateways_stay_within_the_stated_bound() {
    const BEFORE: i128 = 20;
    let gate = Gate::closed();
    // Room for twenty requests that were, and for ten more.
    let usd = Pico(COST.0 * BEFORE + reserved().0 * 10);
    let (stack, other, _ledger) = two_gateways(budget(usd), gated(&gate)).await;
    let callers = [stack.caller(), Caller::new(&other.url, KEY_A)];
    for _ in 0..BEFORE {
        assert_eq!(callers[0].send(CHAT, &request()).await.status, 200);
    }
    is_left(&other.ops_url, reserved().0 as f64 * 10.0 / 1e12).await;

    let let_in = fifty_streams(&callers, &gate).await;
    let spent = spent(&stack, usize::try_from(BEFORE).unwrap() + 50).await;
    let bound = usd + Pico(reserved().0 * 10);
    println!("budget {usd}, spent {spent}, let in {let_in} of 50, bound {bound}");
    assert_eq!(spent, Pico(COST.0 * (BEFORE + i128::try_from(let_in).unwrap())), "the rows say what was let in");
    assert!((10..=20).contains(&let_in) && spent <= bound, "{spent} of {usd}, at most {bound}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_cannot_hear_each_other_reach_the_bound_and_no_more() {
    let gate = Gate::closed();
    let usd = Pico(reserved().0 * 10);
    let (mut stack, other, _ledger) = two_gateways(budget(usd), gated(&gate)).await;
    let callers = [stack.caller(), Caller::new(&other.url, KEY_A)];
    stack.broker.kill();
    assert_eq!(fifty_streams(&callers, &gate).await, 20, "each lets in what the budget covers, to the last request");
    stack.broker.restart().await;
    assert_eq!(spent(&stack, 50).await, Pico(COST.0 * 20), "twice the budget, but for what was set aside and not used");

    // They hear each other again, and both know what both have spent.
    let expected = (usd.0 - COST.0 * 20) as f64 / 1e12;
    for gateway in [stack.gateway.as_ref().unwrap(), &other] {
        is_left(&gateway.ops_url, expected).await;
    }
    assert_eq!(callers[0].send(CHAT, &request()).await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_is_known_after_a_restart_from_the_file_and_from_clickhouse() {
    let usd = Pico(reserved().0 * 2);
    let mut stack = Stack::planned(Plan { catalogue: budget(usd), ..Plan::default() }, answer).await;
    for _ in 0..2 {
        assert_eq!(stack.caller().send(CHAT, &request()).await.status, 200);
    }
    assert_eq!(stack.caller().send(CHAT, &request()).await.status, 429);
    stack.all_rows(3).await;
    stack.gateway.take().unwrap().service.stop().await;

    // At once, without asking anybody.
    stack.start_gateway().await;
    let refused = stack.caller().send(CHAT, &request()).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.headers.get("x-should-retry").map(|value| value.to_str().unwrap()), Some("false"));
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(seconds <= 31 * 86_400, "{seconds}");
    stack.gateway.take().unwrap().service.stop().await;

    // A disk that was lost, and another gateway's ledger with it: ClickHouse knows.
    std::fs::remove_dir_all(&stack.settings.ledger_dir).unwrap();
    stack.start_gateway().await;
    eventually("ClickHouse has told", ARRIVAL, || async {
        let answer = stack.caller().send(CHAT, &request()).await;
        if answer.status == 429 { Ok(()) } else { Err(answer.text()) }
    })
    .await;
}

/// Sends requests until one is refused. Tells how many were answered.
async fn spend_all(caller: &Caller) -> i128 {
    for answered in 0..100 {
        match caller.send(CHAT, &request()).await.status.as_u16() {
            200 => {}
            429 => return answered,
            other => panic!("{other}"),
        }
    }
    panic!("nothing stops it");
}

fn usd(pico: Pico) -> f64 {
    pico.0 as f64 / 1e12
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_knows_what_it_spent_whatever_became_of_its_file() {
    let budget_usd = Pico(reserved().0 * 10);
    let stack = Stack::without_gateway(Plan { catalogue: budget(budget_usd), ..Plan::default() }, answer).await;
    let mut gateway = GatewayProcess::start(&stack.settings).await;
    let file = stack.settings.ledger_dir.join("budgets.json");
    let damages: [fn(Vec<u8>) -> Vec<u8>; 4] =
        [|whole| whole, |mut whole| whole.split_off(whole.len() / 2), |_| Vec::new(), |_| vec![0; 4_096]];
    let mut answered = 0;
    for damage in damages {
        let caller = Caller::new(&gateway.url(), KEY_A);
        for _ in 0..2 {
            assert_eq!(caller.send(CHAT, &request()).await.status, 200);
            answered += 1;
        }
        // Between two writes of the file: the last request, or both, are not in it yet.
        gateway.kill();
        let _none_was_written = std::fs::read(&file).map(|whole| std::fs::write(&file, damage(whole)));
        gateway.restart().await;
        is_left(&gateway.ops_url(), usd(budget_usd) - usd(Pico(COST.0 * answered))).await;
    }
    answered += spend_all(&Caller::new(&gateway.url(), KEY_A)).await;
    let spent = spent(&stack, usize::try_from(answered).unwrap() + 1).await;
    assert_eq!(spent, Pico(COST.0 * answered));
    assert!(spent <= budget_usd && budget_usd.0 - spent.0 < reserved().0, "{spent} of {budget_usd}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_a_killed_gateway_overspends_no_more_than_its_file_had_not_heard_of() {
    let budget_usd = Pico(reserved().0 * 6);
    let mut stack = Stack::without_gateway(Plan { catalogue: budget(budget_usd), ..Plan::default() }, answer).await;
    // Nobody to ask: neither NATS nor, through a recorder, ClickHouse.
    stack.broker.kill();
    let mut gateway = GatewayProcess::start(&stack.settings).await;
    let caller = Caller::new(&gateway.url(), KEY_A);
    for _ in 0..2 {
        assert_eq!(caller.send(CHAT, &request()).await.status, 200);
    }
    let file = stack.settings.ledger_dir.join("budgets.json");
    let written = Pico(COST.0 * 2).to_string();
    eventually("what was spent is written down", ARRIVAL, || async {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        if text.contains(&written) { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(caller.send(CHAT, &request()).await.status, 200);
    gateway.kill();
    let known = std::fs::read_to_string(&file).unwrap();
    let forgotten = if known.contains(&written) { COST.0 } else { 0 };
    gateway.restart().await;

    let answered = 3 + spend_all(&Caller::new(&gateway.url(), KEY_A)).await;
    stack.broker.restart().await;
    let spent = spent(&stack, usize::try_from(answered).unwrap() + 1).await;
    assert_eq!(spent, Pico(COST.0 * answered));
    let bound = Pico(budget_usd.0 + forgotten);
    assert!(spent <= bound && bound.0 - spent.0 < reserved().0, "{spent} of at most {bound}");
    is_left(&gateway.ops_url(), usd(budget_usd) - usd(spent)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_a_price_follows_the_policy() {
    let ask = |model: &str| json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] });
    let plain = |_: &Received| {
        Reply::whole(200, "application/json", answers::openai_body("of-our-own", TOKENS, "Hi").to_string())
    };
    let of_budget = "budget = { usd = \"1\", per = \"day\" }\n";
    for (lines, status) in [
        (of_budget.to_owned(), 403),
        (format!("{of_budget}unpriced = \"allow\""), 200),
        (String::new(), 200),
        ("unpriced = \"deny\"".to_owned(), 403),
    ] {
        let stack = Stack::planned(Plan { catalogue: catalogue(&lines), ..Plan::default() }, plain).await;
        let answer = stack.caller().send(CHAT, &ask("of-our-own")).await;
        assert_eq!(answer.status, status, "{lines}: {}", answer.text());
        let row = stack.row(answer.request_id()).await;
        assert_eq!(row.cost_usd, None, "unknown, never 0");
        if status == 403 {
            assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("rejected", "forbidden"));
            assert!(answer.text().contains("price"), "{}", answer.text());
        }
        assert_eq!(stack.caller().send(CHAT, &ask("gpt-4o-mini")).await.status, 200);
    }
}
