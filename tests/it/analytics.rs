//! Analytics answers what ClickHouse holds.

use std::time::Duration;

use serde_json::{Value, json};
use tests::answers;
use tests::caller::Caller;
use tests::configuration::KEY_B;
use tests::load;
use tests::provider::Reply;
use tests::stack::{ARRIVAL, Plan, Stack};
use tests::{caller, eventually};

/// Numbered requests of team-a, one of team-b that the provider refuses, one for a model that does not exist.
async fn some_history() -> (Stack, Value) {
    let stack = Stack::start(|received| match received.json()["messages"][0]["content"].as_str() {
        Some("refuse me") => {
            let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
            Reply::whole(529, "application/json", error.to_string())
        }
        _ => load::answer(received),
    })
    .await;
    let caller = stack.caller();
    let mut totals = json!({ "claude-sonnet-4-5": [0, 0, 0], "small": [0, 0, 0] });
    for number in 0..12u64 {
        let (_, served) = load::send_one(&caller, number).await;
        let total = &mut totals[if number % 2 == 0 { "claude-sonnet-4-5" } else { "small" }];
        let counts = [1, served.tokens.input + served.tokens.cache_read, served.tokens.output];
        for (at, count) in counts.into_iter().enumerate() {
            total[at] = json!(total[at].as_u64().unwrap() + count);
        }
    }
    let mut refused = answers::anthropic_request("sonnet", false);
    refused["messages"][0]["content"] = json!("refuse me");
    let answer = caller.with_key(KEY_B).send("/v1/messages", &refused).await;
    assert_eq!(answer.status, 529, "{:?}", answer.body);
    caller.send("/v1/chat/completions", &answers::openai_request("no-such-model", false)).await;
    stack.all_rows(14).await;
    (stack, totals)
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_grouped_filtered_and_complete() {
    let (stack, totals) = some_history().await;
    let reader = stack.reader();
    let reply = reader.get_json("/v1/usage?group_by=model&outcome=completed&from=-1h").await;
    for (model, total) in totals.as_object().unwrap() {
        let rows: Vec<&Value> = reply["rows"].as_array().unwrap().iter().filter(|row| row["model"] == *model).collect();
        let sum = |column: &str| rows.iter().map(|row| row[column].as_u64().unwrap()).sum::<u64>();
        assert_eq!(json!([sum("requests"), sum("input_tokens"), sum("output_tokens")]), *total, "{model}: {reply}");
    }
    let by_outcome = reader.get_json("/v1/usage?group_by=client,outcome&from=-1h").await;
    let count = |client: &str, outcome: &str| -> u64 {
        let rows = by_outcome["rows"].as_array().unwrap().iter();
        let rows = rows.filter(|row| row["client"] == client && row["outcome"] == outcome);
        rows.map(|row| row["requests"].as_u64().unwrap()).sum()
    };
    assert_eq!(count("team-a", "completed"), 12, "{by_outcome}");
    assert_eq!(count("team-a", "rejected"), 1, "{by_outcome}");
    assert_eq!(count("team-b", "failed"), 1, "{by_outcome}");

    let by_tag = reader.get_json("/v1/usage?group_by=tag:project&client=team-a&from=-1h").await;
    assert!(by_tag["rows"].as_array().unwrap().iter().all(|row| row.to_string().contains("alpha")), "{by_tag}");
    let nothing = reader.get_json("/v1/usage?client=nobody&from=-1h").await;
    assert_eq!(nothing["rows"], json!([]), "no rows are no rows, not a row of zeros");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_tells_its_whole_story() {
    let (stack, _) = some_history().await;
    let (id, served) = load::send_one(&stack.caller(), 0).await;
    let row = stack.row(id).await;
    let reader = stack.reader();
    let story = eventually("the story of the request", ARRIVAL, || async {
        let answer = caller::read(reader.request(http::Method::GET, &format!("/v1/requests/{id}"))).await;
        if answer.status == 200 { Ok(answer.json()) } else { Err(answer.text()) }
    })
    .await;
    let text = story.to_string();
    assert!(text.contains(&id.to_string()), "{story}");
    let find = |name: &str| find(&story, name).unwrap_or_else(|| panic!("no {name} in {story}"));
    assert_eq!(find("output_tokens"), json!(served.tokens.output));
    let exactly = |text: &str| text.parse::<schemas::money::Pico>().expect("a decimal string");
    let cost = find("cost_usd");
    assert_eq!(cost.as_str().map(exactly), row.cost_usd.as_deref().map(exactly), "to the last digit");
    assert_eq!(cost.as_str().and_then(|text| text.split_once('.')).map(|(_, digits)| digits.len()), Some(12));
    assert_eq!(find("outcome"), json!("completed"));
    let candidates = find("candidates");
    assert_eq!(candidates.as_array().map(Vec::len), Some(1), "{story}");
    assert_eq!(candidates[0]["verdict"], "succeeded", "{story}");
    assert_eq!(candidates[0]["endpoint"], "anthropic-api", "{story}");

    let unknown = uuid::Uuid::now_v7();
    let answer = caller::read(reader.request(http::Method::GET, &format!("/v1/requests/{unknown}"))).await;
    assert_eq!(answer.status, 404);
    let answer = caller::read(reader.request(http::Method::GET, "/v1/requests/not-an-id")).await;
    assert_eq!(answer.status, 400);
}

/// The first value of that name, wherever it stands.
fn find(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Object(object) => {
            object.get(name).cloned().or_else(|| object.values().find_map(|inner| find(inner, name)))
        }
        Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_found_by_paging() {
    let (stack, _) = some_history().await;
    let rows = stack.all_rows(14).await;
    let reader = stack.reader();
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    for _page in 0..20 {
        let after: String = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let reply = reader.get_json(&format!("/v1/requests?from=-1h&limit=4{after}")).await;
        let page = reply["rows"].as_array().unwrap();
        assert!(page.len() <= 4, "{reply}");
        found.extend(page.iter().map(|row| row["request_id"].as_str().unwrap().to_owned()));
        cursor = reply["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    found.sort();
    let expected: Vec<String> = rows.keys().map(ToString::to_string).collect();
    let mut expected = expected;
    expected.sort();
    assert_eq!(found, expected, "every request once, over all pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_are_named() {
    let stack = Stack::start(load::answer).await;
    stack.row(load::send_one(&stack.caller(), 0).await.0).await;
    let reader = stack.reader();
    for (query, named) in [
        ("group_by=nonsense", "group_by"),
        ("interval=fortnight", "interval"),
        ("from=yesterday", "from"),
        ("from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("colour=red", "colour"),
        ("group_by=tag:a'%20OR%201=1", "group_by"),
    ] {
        let answer = caller::read(reader.request(http::Method::GET, &format!("/v1/usage?{query}"))).await;
        // A tag may have any name, so that one may also simply find nothing.
        if query.contains("tag:") && answer.status == 200 {
            continue;
        }
        assert_eq!(answer.status, 400, "{query}: {:?}", answer.body);
        let text = answer.json().to_string();
        assert!(text.contains(named), "{query} is not told by its name: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_is_told_but_that_it_lives() {
    let plan = Plan { analytics: "token = { plain = \"read-only\" }".to_owned(), ..Plan::default() };
    let stack = Stack::planned(plan, load::answer).await;
    let (id, _) = load::send_one(&stack.caller(), 0).await;
    stack.row(id).await;
    let url = stack.analytics.url.as_str();
    let story = format!("/v1/requests/{id}");
    for path in ["/v1/usage", "/v1/costs", "/v1/requests", story.as_str(), "/metrics"] {
        for key in ["", "wrong", "read-onl", "read-only-and-more"] {
            let answer = caller::read(Caller::new(url, key).request(http::Method::GET, path)).await;
            assert_eq!(answer.status, 401, "{path} with {key:?}");
        }
        let anonymous = caller::read(Caller::new(url, "").anonymous(http::Method::GET, path)).await;
        assert_eq!(anonymous.status, 401, "{path}");
        let allowed = caller::read(Caller::new(url, "read-only").request(http::Method::GET, path)).await;
        assert_eq!(allowed.status, 200, "{path}: {:?}", allowed.body);
    }
    let alive = caller::read(Caller::new(url, "").anonymous(http::Method::GET, "/healthz")).await;
    assert_eq!(alive.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_is_stored() {
    let (stack, totals) = some_history().await;
    let reader = stack.reader();
    let expected: u64 = totals.as_object().unwrap().values().map(|total| total[2].as_u64().unwrap()).sum();
    eventually("the metrics have caught up", Duration::from_secs(60), || async {
        let answer = caller::read(reader.request(http::Method::GET, "/metrics")).await;
        let text = answer.text();
        let sum = |name: &str, label: &str| -> f64 {
            let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        let requests = ["completed", "failed", "rejected"]
            .map(|outcome| sum("weir_requests_total{", &format!("outcome=\"{outcome}\"")));
        let output = sum("gen_ai_client_token_usage_sum{", "gen_ai_token_type=\"output\"");
        let seen = format!("requests {requests:?}, output tokens {output} of {expected}\n{text}");
        if requests == [12.0, 1.0, 1.0] && output == expected as f64 { Ok(()) } else { Err(seen) }
    })
    .await;
}
