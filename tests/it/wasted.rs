//! What a try costs whose answer no client got stands beside what the request is charged.

use serde::Deserialize;
use serde_json::json;
use tests::answers::{self, Tokens};
use tests::configuration::KEY_A;
use tests::eventually;
use tests::provider::{Received, Reply};
use tests::stack::{ARRIVAL, Plan, Stack};

const MODEL: &str = "claude-sonnet-4-5-20250929";
const WON: Tokens = Tokens { input: 100, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 20 };
const LOST: Tokens = Tokens { input: 1_000, cache_read: 200, cache_write_5m: 0, cache_write_1h: 0, output: 7 };

/// The first endpoint counts the prompt and then fails before its first word.
fn reply(received: &Received) -> Reply {
    if !received.uri.path().starts_with("/first/") {
        return Reply::events(answers::anthropic_events(MODEL, WON, &["Hel", "lo"]));
    }
    let begun = answers::anthropic_events(MODEL, LOST, &[]).remove(0);
    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    Reply::events(vec![begun, answers::named(&error)])
}

fn catalogue() -> String {
    let side = |name: &str, priority: u8, multiplier: &str| {
        format!(
            "[[providers]]\nname = \"{name}\"\npriority = {priority}\n[[providers.endpoints]]\nname = \"{name}\"\n\
             format = \"anthropic\"\nbase_url = \"{{provider}}/{name}\"\nmax_retries = 0\n\
             [[providers.endpoints.keys]]\nname = \"main\"\nsecret = {{ plain = \"k\" }}\ncost_multiplier = \"{multiplier}\"\n"
        )
    };
    let route = |endpoint: &str| format!("[[models.routes]]\nendpoint = \"{endpoint}\"\nmodel = \"{MODEL}\"\n");
    format!(
        "{}{}[[models]]\nname = \"sonnet\"\n{}{}[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n",
        side("first", 1, "0.5"),
        side("second", 2, "1"),
        route("first"),
        route("second")
    )
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Try {
    endpoint: String,
    verdict: String,
    cost_usd: Option<String>,
    price_id: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Waste {
    paid: String,
    charged: String,
    wasted: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_lost_is_priced_and_shown_as_wasted() {
    let stack = Stack::planned(Plan { catalogue: catalogue(), ..Plan::default() }, reply).await;
    let answer = stack.caller().send("/v1/messages", &answers::anthropic_request("sonnet", true)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.request_id();
    // 100 x 3 + 20 x 15 dollars per million
    assert_eq!(stack.row(id).await.cost_usd.as_deref(), Some("0.0006"));

    let sql = format!(
        "SELECT endpoint, verdict, toString(cost_usd) AS cost_usd, price_id FROM {{db}}.candidates \
         WHERE request_id = '{id}' ORDER BY candidate_index"
    );
    let tries: Vec<Try> = eventually("both tries are recorded", ARRIVAL, || async {
        let tries = stack.database.try_rows::<Try>(&sql).await?;
        if tries.len() == 2 { Ok(tries) } else { Err(format!("{tries:?}")) }
    })
    .await;
    let of = |endpoint: &str, verdict: &str, cost: &str| Try {
        endpoint: endpoint.to_owned(),
        verdict: verdict.to_owned(),
        cost_usd: Some(cost.to_owned()),
        price_id: "anthropic/claude-sonnet-4-5@2025-09-29".to_owned(),
    };
    // (1,000 x 3 + 200 x 0.3 + 1 x 15) / 2: the first event of a stream counts one token of its answer.
    assert_eq!(tries, [of("first", "failed", "0.0015375"), of("second", "succeeded", "0.0006")]);

    let sql = format!(
        "SELECT toString(paid_usd) AS paid, toString(charged_usd) AS charged, toString(wasted_cost_usd) AS wasted \
         FROM {{db}}.wasted_costs WHERE request_id = '{id}' AND client = 'team-a'"
    );
    let waste: Vec<Waste> = stack.database.rows(&sql).await;
    let expected = Waste { paid: "0.0021375".into(), charged: "0.0006".into(), wasted: "0.0015375".into() };
    assert_eq!(waste, [expected]);
    let story = stack.reader().get_json(&format!("/v1/requests/{id}")).await;
    assert_eq!(story["candidates"][0]["cost_usd"], "0.001537500000", "{story}");

    // A request that nobody answered is charged what its last try cost: nothing of it is shown twice.
    let nothing: Vec<Waste> = stack
        .database
        .rows(
            "SELECT toString(paid_usd) AS paid, toString(charged_usd) AS charged, toString(wasted_cost_usd) AS wasted \
             FROM {db}.wasted_costs WHERE wasted_cost_usd < 0",
        )
        .await;
    assert_eq!(nothing, []);
}
