//! What an answer costs is recorded to the last digit, also when its client has left.

use std::time::Duration;

use serde_json::json;
use tests::answers::{self, Tokens, anthropic_events, openai_events};
use tests::configuration::catalogue;
use tests::provider::{Gate, Received, Reply, Step};
use tests::stack::{ARRIVAL, Plan, Stack};
use tests::{eventually, load};

/// Worked out by hand from the list prices of 2025-09-29, dollars per million: input 3, output 15, read 0.30, written
/// 3.75 for five minutes and 6 for an hour; above 200,000 input tokens 6, 22.50, 0.60, 7.50, 12.
const ANTHROPIC: &[(Tokens, &str)] = &[
    // 1 x 3 + 1 x 15
    (Tokens { input: 1, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 1 }, "0.000018000000"),
    // 1234 x 3 + 321 x 15 + 98765 x 0.30 + 77 x 3.75 + 11 x 6 = 3702 + 4815 + 29629.5 + 288.75 + 66
    (
        Tokens { input: 1_234, cache_read: 98_765, cache_write_5m: 77, cache_write_1h: 11, output: 321 },
        "0.038501250000",
    ),
    // 200,000 in all is not above 200,000: 199,999 x 3 + 1 x 0.30 + 2 x 15
    (Tokens { input: 199_999, cache_read: 1, cache_write_5m: 0, cache_write_1h: 0, output: 2 }, "0.600027300000"),
    // One more is, and then every token is dearer: 200,000 x 6 + 1 x 0.60 + 2 x 22.50
    (Tokens { input: 200_000, cache_read: 1, cache_write_5m: 0, cache_write_1h: 0, output: 2 }, "1.200045600000"),
];

/// List prices of gpt-4o-mini: input 0.15, cached 0.075, output 0.60.
const OPENAI: &[(Tokens, &str)] = &[
    // 1 x 0.15 + 1 x 0.60
    (Tokens { input: 1, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 1 }, "0.000000750000"),
    // 2,007 x 0.15 + 1,023 x 0.075 + 499 x 0.60 = 301.05 + 76.725 + 299.4
    (Tokens { input: 2_007, cache_read: 1_023, cache_write_5m: 0, cache_write_1h: 0, output: 499 }, "0.000677175000"),
];

/// Answers with the tokens of the example whose number the request's text is.
fn examples(received: &Received) -> Reply {
    let body = received.json();
    let number: usize = body["messages"][0]["content"].as_str().unwrap().parse().unwrap();
    match received.uri.path().ends_with("/messages") {
        true => Reply::events(anthropic_events("claude-sonnet-4-5-20250929", ANTHROPIC[number].0, &["x"])),
        false => Reply::events(openai_events("gpt-4o-mini-2024-07-18", OPENAI[number].0, &["x"], true)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worked_examples_cost_what_they_cost() {
    let stack = Stack::start(examples).await;
    let caller = stack.caller();
    let cases = [("/v1/messages", "sonnet", ANTHROPIC), ("/v1/chat/completions", "small", OPENAI)];
    let mut sums = Vec::new();
    for (path, model, examples) in cases {
        let mut sum = schemas::money::Pico::ZERO;
        for (number, (tokens, cost)) in examples.iter().enumerate() {
            let message = json!([{ "role": "user", "content": number.to_string() }]);
            let body = json!({ "model": model, "max_tokens": 9, "stream": true, "messages": message });
            let answer = caller.send(path, &body).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            let row = stack.row(answer.request_id()).await;
            let Tokens { input, cache_read, cache_write_5m, cache_write_1h, output } = *tokens;
            assert_eq!(row.input_tokens, Some(input + cache_read + cache_write_5m + cache_write_1h), "{tokens:?}");
            assert_eq!((row.fresh_input_tokens, row.output_tokens), (Some(input), Some(output)), "{tokens:?}");
            assert_eq!(row.cost_usd.as_deref().map(exactly), Some(exactly(cost)), "{tokens:?}");
            assert!(!row.price_id.is_empty(), "{tokens:?}");
            sum = sum + exactly(cost);
        }
        sums.push(sum);
    }

    let models = ["claude-sonnet-4-5", "small"];
    let answered = eventually("analytics has the sums", ARRIVAL, || async {
        let reply = stack.reader().get_json("/v1/costs?group_by=model&from=-1h").await;
        let rows = reply["rows"].as_array().unwrap().clone();
        let sum = |model: &str| -> schemas::money::Pico {
            let of_model = rows.iter().filter(|row| row["model"] == model);
            of_model.map(|row| exactly(row["cost_usd"].as_str().expect("money is a decimal string"))).sum()
        };
        let answered = models.map(sum).to_vec();
        if answered == sums { Ok(answered) } else { Err(format!("{answered:?}")) }
    });
    assert_eq!(answered.await, sums);
}

fn exactly(text: &str) -> schemas::money::Pico {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_price_or_no_usage_costs_null_and_not_zero() {
    let catalogue = format!(
        "{}\n[[models]]\nname = \"our-own-model\"\n[[models.routes]]\nendpoint = \"openai-api\"\n",
        catalogue("{provider}")
    );
    let stack = Stack::planned(Plan { catalogue, ..Plan::default() }, |received| {
        let model = received.json()["model"].as_str().unwrap().to_owned();
        let tokens = Tokens { input: 5, output: 6, ..Tokens::default() };
        // The known model says nothing of its usage, the unknown one does.
        let with_usage = model == "our-own-model";
        Reply::events(openai_events(&model, tokens, &["x"], with_usage))
    })
    .await;
    let caller = stack.caller();
    let unpriced = caller.send("/v1/chat/completions", &answers::openai_request("our-own-model", true)).await;
    let row = stack.row(unpriced.request_id()).await;
    assert_eq!((row.input_tokens, row.output_tokens, row.usage_source.as_str()), (Some(5), Some(6), "provider"));
    assert_eq!((row.cost_usd, row.outcome.as_str()), (None, "completed"));

    let unknown = caller.send("/v1/chat/completions", &answers::openai_request("small", true)).await;
    let row = stack.row(unknown.request_id()).await;
    assert_eq!(row.outcome, "completed");
    assert_ne!(row.usage_source, "provider");
    assert_eq!(row.raw_usage, "");
    if row.usage_source == "none" {
        assert_eq!((row.input_tokens, row.output_tokens, row.cost_usd), (None, None, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_billed_what_the_provider_bills() {
    let gate = Gate::closed();
    let script = gate.clone();
    let tokens = Tokens { input: 40, output: 77, ..Tokens::default() };
    let stack = Stack::start(move |received| {
        let anthropic = received.uri.path().ends_with("/messages");
        let events = match anthropic {
            true => anthropic_events("claude-sonnet-4-5-20250929", tokens, &["first", "second"]),
            false => openai_events("gpt-4o-mini-2024-07-18", tokens, &["first", "second"], true),
        };
        let mut steps: Vec<Step> = events.into_iter().map(Step::Send).collect();
        let at = if anthropic { 4 } else { 2 };
        steps.insert(at, Step::Await(script.clone()));
        Reply::steps(200, "text/event-stream", steps)
    })
    .await;
    let caller = stack.caller();
    let mut ids = Vec::new();
    for (path, body) in [
        ("/v1/messages", answers::anthropic_request("sonnet", true)),
        ("/v1/chat/completions", answers::openai_request("small", true)),
    ] {
        ids.push(caller.leave_after(path, &body, "first").await);
    }
    gate.open();
    for id in ids {
        let row = stack.row(id).await;
        assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("cancelled", "client_left"), "{row:?}");
        assert_eq!((row.input_tokens, row.output_tokens), (Some(40), Some(77)), "{row:?}");
        assert_eq!(row.usage_source, "provider");
        assert!(row.delivered_output_tokens.is_some_and(|delivered| delivered < 77), "{row:?}");
        assert!(row.cost_usd.is_some(), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sum_of_many_is_the_sum_of_all() {
    let stack = Stack::start(load::answer).await;
    let load = load::Load::start(&stack.caller(), 4);
    eventually("enough requests", Duration::from_secs(60), || async {
        if load.begun() >= 300 { Ok(()) } else { Err(load.begun().to_string()) }
    })
    .await;
    let served = load.finish().await;
    let rows = stack.all_rows(served.len()).await;
    for (id, served) in &served {
        let row = &rows[id];
        let Tokens { input, cache_read, output, .. } = served.tokens;
        let recorded = (row.input_tokens, row.fresh_input_tokens, row.output_tokens);
        assert_eq!(recorded, (Some(input + cache_read), Some(input), Some(output)), "{row:?}");
        assert_eq!(row.outcome, "completed");
    }
    assert_eq!(stack.provider.received().len(), served.len(), "one request upstream per request");
}
