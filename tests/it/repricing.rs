//! A period is priced again: rows stay, differences stand beside them, and a second run finds nothing left.

use std::path::Path;
use std::process::{Command, Output};

use schemas::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tests::answers::{self, Tokens, openai_body};
use tests::binaries;
use tests::caller;
use tests::configuration::KEY_A;
use tests::provider::Reply;
use tests::stack::{Plan, Stack};

const TOKENS: Tokens = Tokens { input: 1_000, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 100 };
/// Requests for each model.
const REQUESTS: usize = 7;

fn entry(model: &str, input: &str) -> String {
    format!(
        "[[prices]]\nid = \"own/{model}@2026-01-01\"\nprovider = \"own\"\nmodels = [\"{model}\"]\n\
         valid_from = \"2026-01-01T00:00:00Z\"\nsource = \"https://example.com\"\ninput = \"{input}\"\noutput = \"10\"\n"
    )
}

fn catalogue(prices: &Path) -> String {
    let route = |model: &str| format!("[[models]]\nname = \"{model}\"\n[[models.routes]]\nendpoint = \"own-api\"\n");
    format!(
        "[prices]\nfile = \"{}\"\n[[providers]]\nname = \"own\"\n[[providers.endpoints]]\nname = \"own-api\"\n\
         format = \"openai_chat\"\nbase_url = \"{{provider}}/v1\"\n[[providers.endpoints.keys]]\nname = \"main\"\n\
         secret = {{ plain = \"k\" }}\n{}{}[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n",
        prices.display(),
        route("listed"),
        route("forgotten"),
    )
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Costs {
    model: String,
    recorded: Option<String>,
    adjustments: u64,
    priced: i64,
    now: Option<String>,
}

/// What is recorded, what the adjustments add, and what it costs by both.
async fn costs(stack: &Stack) -> Vec<Costs> {
    let sql = "SELECT model, toString(any(recorded)) AS recorded, sum(adjustments) AS adjustments, sum(priced) AS priced, \
               toString(sum(ifNull(cost, 0))) AS now FROM (\
                 SELECT toString(model) AS model, sum(cost_usd) OVER (PARTITION BY model) AS recorded, 0 AS adjustments, \
                        toInt64(cost_usd IS NOT NULL) AS priced, cost_usd AS cost FROM {db}.requests \
                 UNION ALL \
                 SELECT toString(model) AS model, NULL, 1, priced_delta, cost_delta_usd FROM {db}.adjustments) \
               GROUP BY model ORDER BY model";
    stack.database.try_rows(sql).await.unwrap()
}

fn told(model: &str, recorded: Option<&str>, adjustments: u64, priced: i64, now: &str) -> Costs {
    let (model, recorded) = (model.to_owned(), recorded.map(str::to_owned));
    Costs { model, recorded, adjustments, priced, now: Some(now.to_owned()) }
}

async fn reprice(config: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(tokio::task::spawn_blocking(|| binaries::path("weir")).await.unwrap());
    command.args(["reprice", "--from", "2026-01-01", "--to", "2100-01-01", "--config"]).arg(config).args(more);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end().lines().last().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_are_written_beside_the_rows_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let (prices, config) = (folder.path().join("prices.toml"), folder.path().join("weir.toml"));
    std::fs::write(&prices, entry("listed", "1")).unwrap();
    let stack = Stack::planned(Plan { catalogue: catalogue(&prices), ..Plan::default() }, |received| {
        let model = received.json()["model"].as_str().unwrap().to_owned();
        Reply::whole(200, "application/json", openai_body(&model, TOKENS, "x").to_string())
    })
    .await;
    std::fs::write(&config, stack.settings.text()).unwrap();
    let caller = stack.caller();
    for _ in 0..REQUESTS {
        for model in ["listed", "forgotten"] {
            let answer = caller.send("/v1/chat/completions", &answers::openai_request(model, false)).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
        }
    }
    stack.all_rows(2 * REQUESTS).await;
    // 7 x (1,000 x 1 + 100 x 10) dollars per million
    let listed = Some("0.014");
    let before = vec![told("forgotten", None, 0, 0, "0"), told("listed", listed, 0, 7, "0.014")];
    assert_eq!(costs(&stack).await, before);

    // The price was wrong, and one was missing.
    std::fs::write(&prices, entry("listed", "3") + &entry("forgotten", "0.5")).unwrap();
    assert!(last_line(&reprice(&config, &[]).await).contains("--apply"));
    assert_eq!(costs(&stack).await, before, "without --apply nothing is written");

    let unadjusted = Timestamp::now();
    let applied = last_line(&reprice(&config, &["--apply"]).await);
    assert!(applied.contains("wrote 14 adjustments") && applied.contains("0.038500000000"), "{applied}");
    // 7 x (1,000 x 0.5 + 100 x 10) and 7 x (1,000 x 3 + 100 x 10)
    let after = vec![told("forgotten", None, 7, 7, "0.0105"), told("listed", listed, 7, 7, "0.028")];
    assert_eq!(costs(&stack).await, after);
    reprice(&config, &["--apply"]).await;
    assert_eq!(costs(&stack).await, after, "a second run has nothing to do");

    // Reports tell what is recorded, what is known now, and what was known before the adjustments were written.
    let report = async |as_of: &str| {
        let reply = stack.reader().get_json(&format!("/v1/costs?from=-1h&group_by=model{as_of}")).await;
        let row = |row: &Value| {
            (
                row["model"].clone(),
                row["cost_usd"].clone(),
                row["priced_requests"].clone(),
                row["unpriced_requests"].clone(),
            )
        };
        reply["rows"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let recorded = vec![
        (json!("forgotten"), Value::Null, json!(0), json!(REQUESTS)),
        (json!("listed"), json!("0.014000000000"), json!(REQUESTS), json!(0)),
    ];
    assert_eq!(report(&format!("&as_of={unadjusted}")).await, recorded);
    let adjusted = vec![
        (json!("forgotten"), json!("0.010500000000"), json!(REQUESTS), json!(0)),
        (json!("listed"), json!("0.028000000000"), json!(REQUESTS), json!(0)),
    ];
    assert_eq!(report("").await, adjusted, "what is known now is what nothing else asks for");
    assert_eq!(report("&as_of=now").await, adjusted);
    assert_eq!(report("&as_of=-1h").await, [], "nothing was known then");
    let refused = caller::read(stack.reader().request(http::Method::GET, "/v1/usage?as_of=now")).await;
    assert_eq!(refused.status, 400, "of usage there is one state only");

    // The story of a request tells what has become of its cost.
    let reader = stack.reader();
    let page = reader.get_json("/v1/requests?from=-1h&model=listed&limit=1").await;
    let id = page["rows"][0]["request_id"].as_str().unwrap();
    let story = reader.get_json(&format!("/v1/requests/{id}")).await;
    assert_eq!(story["adjustments"].as_array().map(Vec::len), Some(1), "{story}");
    assert_eq!(story["adjustments"][0]["cost_before_usd"], story["request"]["cost_usd"], "{story}");
    assert_eq!(story["adjustments"][0]["cost_usd"], "0.004000000000", "{story}");

    // A price that turns out to be nobody's makes its requests unknown again.
    std::fs::write(&prices, entry("listed", "3")).unwrap();
    reprice(&config, &["--apply"]).await;
    assert_eq!(costs(&stack).await, vec![told("forgotten", None, 14, 0, "0"), told("listed", listed, 7, 7, "0.028")]);
}
