//! Every worked bill, from the provider's own usage object through the whole pipeline to the row.

mod table;

use std::collections::BTreeMap;
use std::fmt::Write;

use futures_util::future::join_all;
use recorder::reprice::{Period, Run};
use schemas::money::Pico;
use schemas::outcome::Format;
use schemas::time::Timestamp;
use serde_json::{Value, json};
use tests::answers::{self, Tokens};
use tests::configuration::KEY_A;
use tests::eventually;
use tests::provider::{Received, Reply};
use tests::stack::{ARRIVAL, Plan, Stack};

use self::table::BILLS;

/// How many requests are under way at once, one after the other: so ranges of all sizes are recorded.
const WAVES: &[usize] = &[1, 2, 3, 5, 7, 11, 13, 17, 19];

/// The key of a model: its multiplier.
fn multiplier(model: &str) -> &'static str {
    match model {
        "c-dear" => "1.1",
        "g-half" => "0.5",
        "g-third" => "0.333333333",
        "g-free" => "0",
        _ => "1.0",
    }
}

fn format(model: &str) -> Format {
    match model.as_bytes()[0] {
        b'c' => Format::Anthropic,
        b'g' => Format::OpenaiChat,
        b'r' => Format::OpenaiResponses,
        _ => Format::Gemini,
    }
}

/// One endpoint for each model, at a provider whose prices are those of the test.
fn catalogue(prices: &std::path::Path) -> String {
    let models: std::collections::BTreeSet<&str> = BILLS.iter().map(|(model, _, _)| *model).collect();
    let mut text = format!("[prices]\nfile = \"{}\"\n[[providers]]\nname = \"bills\"\n", prices.display());
    for model in &models {
        let base = if matches!(format(model), Format::OpenaiChat | Format::OpenaiResponses) { "/v1" } else { "" };
        write!(
            text,
            "[[providers.endpoints]]\nname = \"{model}\"\nformat = \"{}\"\nbase_url = \"{{provider}}{base}\"\n\
             [[providers.endpoints.keys]]\nname = \"main\"\nsecret = {{ plain = \"k\" }}\ncost_multiplier = \"{}\"\n",
            format(model).as_str(),
            multiplier(model)
        )
        .unwrap();
    }
    for model in &models {
        write!(text, "[[models]]\nname = \"{model}\"\n[[models.routes]]\nendpoint = \"{model}\"\n").unwrap();
    }
    text + &format!("[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n")
}

/// Answers with the usage of the bill whose number the request's text is.
fn answer(received: &Received) -> Reply {
    let request = received.json();
    let texts = [
        &request["messages"][0]["content"],
        &request["input"][0]["content"],
        &request["contents"][0]["parts"][0]["text"],
    ];
    let number: usize = texts.iter().find_map(|text| text.as_str()).unwrap().parse().unwrap();
    let (model, usage, _) = BILLS[number];
    let usage: Value = serde_json::from_str(usage).unwrap();
    let none = Tokens::default();
    let (mut body, place) = match format(model) {
        Format::Anthropic => (answers::anthropic_body(model, none, "x"), "usage"),
        Format::OpenaiChat => (answers::openai_body(model, none, "x"), "usage"),
        Format::OpenaiResponses => (answers::responses_body(model, none, "x"), "usage"),
        Format::Gemini => (answers::gemini_body(model, none, "x", true), "usageMetadata"),
    };
    body[place] = usage;
    Reply::whole(200, "application/json", body.to_string())
}

/// A plain request whose text is the bill's number.
fn ask(number: usize) -> (String, Value) {
    let model = BILLS[number].0;
    let (path, mut body) = answers::streaming_request(format(model), model, &number.to_string());
    if let Some(fields) = body.as_object_mut() {
        fields.remove("stream_options");
        if fields.contains_key("stream") {
            fields.insert("stream".to_owned(), json!(false));
        }
    }
    (path.replace("streamGenerateContent?alt=sse", "generateContent"), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worked_bill_is_in_its_row_to_the_last_digit() {
    let folder = tempfile::tempdir().unwrap();
    let prices = folder.path().join("prices.toml");
    std::fs::write(&prices, include_str!("prices.toml")).unwrap();
    let stack = Stack::planned(Plan { catalogue: catalogue(&prices), ..Plan::default() }, answer).await;
    let caller = stack.caller();
    let mut asked = BTreeMap::new();
    let mut waves = WAVES.iter().cycle();
    while asked.len() < BILLS.len() {
        let from = asked.len();
        let to = BILLS.len().min(from + waves.next().unwrap());
        let wave = (from..to).map(|number| {
            let (caller, (path, body)) = (caller.clone(), ask(number));
            async move { (number, caller.send(&path, &body).await) }
        });
        for (number, answer) in join_all(wave).await {
            assert_eq!(answer.status, 200, "bill {number}: {:?}", answer.body);
            asked.insert(number, answer.request_id());
        }
    }

    let rows = stack.all_rows(BILLS.len()).await;
    let differing: Vec<String> = BILLS
        .iter()
        .enumerate()
        .filter_map(|(number, (model, usage, cost))| {
            let row = &rows[&asked[&number]];
            let recorded: Option<Pico> = row.cost_usd.as_deref().map(|cost| cost.parse().unwrap());
            let same = recorded == Some(cost.parse().unwrap()) && row.model == *model;
            (!same).then(|| format!("bill {number}, {model} {usage}: {recorded:?} instead of {cost}"))
        })
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    tries_cost_what_their_requests_do(&stack).await;

    // Priced again by the same book, nothing changes: what a bill depends on is in its row.
    let config = stack.settings.config();
    let run = Run::new(&config, config.prices.book().unwrap()).unwrap();
    let total = run.look(Period { from: Timestamp::default(), to: Timestamp::now() }).await.unwrap().total();
    assert_eq!((total.requests, total.changed), (BILLS.len() as u64, 0), "{total:?}");
}

/// Each request had one try.
async fn tries_cost_what_their_requests_do(stack: &Stack) {
    let sql = "SELECT count() AS tries, countIf(toString(c.cost_usd) = toString(r.cost_usd)) AS same FROM {db}.candidates AS c \
               INNER JOIN {db}.requests AS r ON c.request_id = r.request_id";
    let expected = json!({ "tries": BILLS.len(), "same": BILLS.len() });
    eventually("every try has the cost of its request", ARRIVAL, || async {
        let counts: Vec<Value> = stack.database.try_rows(sql).await?;
        if counts[0] == expected { Ok(()) } else { Err(format!("{} instead of {expected}", counts[0])) }
    })
    .await;
}
