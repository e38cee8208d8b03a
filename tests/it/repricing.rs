//! A period is priced again: rows stay, differences stand beside them, and a second run finds nothing left.

use std::path::Path;
use std::process::{Command, Output};

use schemas::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tests::answers::{self, Tokens, openai_body};
use tests::binaries;
use tests::caller;
use tests::caller::Caller;
use tests::configuration::{KEY_A, Settings};
use tests::eventually;
use tests::provider::{Received, Reply};
use tests::services::Analytics;
use tests::stack::{ARRIVAL, Plan, Stack};

const TOKENS: Tokens = Tokens { input: 1_000, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 100 };
/// Requests for each model.
const REQUESTS: usize = 7;

fn entry(model: &str, input: &str) -> String {
    format!(
        "[[prices]]\nid = \"own/{model}@2026-01-01\"\nprovider = \"own\"\nmodels = [\"{model}\"]\n\
         valid_from = \"2026-01-01T00:00:00Z\"\nsource = \"https://example.com\"\ninput = \"{input}\"\noutput = \"10\"\n"
    )
}

fn catalogue(prices: &Path, models: &[&str]) -> String {
    let route = |model: &str| format!("[[models]]\nname = \"{model}\"\n[[models.routes]]\nendpoint = \"own-api\"\n");
    format!(
        "[prices]\nfile = \"{}\"\n[[providers]]\nname = \"own\"\n[[providers.endpoints]]\nname = \"own-api\"\n\
         format = \"openai_chat\"\nbase_url = \"{{provider}}/v1\"\n[[providers.endpoints.keys]]\nname = \"main\"\n\
         secret = {{ plain = \"k\" }}\n{}[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n",
        prices.display(),
        models.iter().map(|model| route(model)).collect::<String>(),
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
    let stack = Stack::planned(
        Plan { catalogue: catalogue(&prices, &["listed", "forgotten"]), ..Plan::default() },
        |received| {
            let model = received.json()["model"].as_str().unwrap().to_owned();
            Reply::whole(200, "application/json", openai_body(&model, TOKENS, "x").to_string())
        },
    )
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

/// Of "silent" nobody tells what was read from a cache, of "telling" that it was nothing, of "charged" both that and a charge.
fn with_and_without_cache(received: &Received) -> Reply {
    let model = received.json()["model"].as_str().unwrap().to_owned();
    let cache_read = if model == "charged" { 500 } else { 0 };
    let mut body = openai_body(&model, Tokens { cache_read, ..TOKENS }, "x");
    match model.as_str() {
        "silent" => drop(body["usage"].as_object_mut().unwrap().remove("prompt_tokens_details")),
        "charged" => body["usage"]["cost"] = json!(0.5),
        _ => {}
    }
    Reply::whole(200, "application/json", body.to_string())
}

/// By model: what it costs, and what caches saved of that.
async fn savings(reader: &Caller, question: &str) -> Vec<(String, Value, Value)> {
    let reply = reader.get_json(&format!("/v1/costs?group_by=model&{question}")).await;
    let row = |row: &Value| {
        (row["model"].as_str().unwrap().to_owned(), row["cost_usd"].clone(), row["cache_saved_usd"].clone())
    };
    reply["rows"].as_array().unwrap().iter().map(row).collect()
}

/// What the days of the late rows have been found to be by the latest check of it since `from`.
async fn sealed_since(stack: &Stack, from: Timestamp) {
    let sql = format!(
        "SELECT toString(argMax(verdict, checked_at)) AS last FROM {{db}}.seals WHERE family = 'usage' \
         AND day < toDate(now() - INTERVAL 1 DAY) AND checked_at > fromUnixTimestamp64Micro({}, 'UTC')",
        from.as_micros()
    );
    eventually("the late day is sealed", ARRIVAL, || async {
        let told: Vec<Value> = stack.database.try_rows(&sql).await?;
        if told.first().is_some_and(|told| told["last"] == "equal") { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_of_caches_is_not_0_after_a_repricing() {
    const MODELS: [&str; 3] = ["charged", "silent", "telling"];
    let folder = tempfile::tempdir().unwrap();
    let (prices, config) = (folder.path().join("prices.toml"), folder.path().join("weir.toml"));
    let entries = |input: &str| MODELS.map(|model| entry(model, input) + "cache_read = \"0.1\"\n").concat();
    std::fs::write(&prices, entries("1")).unwrap();
    let recorder = "seal_every = \"300ms\"".to_owned();
    let plan = Plan { catalogue: catalogue(&prices, &MODELS), recorder, ..Plan::default() };
    let stack = Stack::planned(plan, with_and_without_cache).await;
    std::fs::write(&config, stack.settings.text()).unwrap();
    let began = Timestamp::now();
    for model in MODELS {
        let answer = stack.caller().send("/v1/chat/completions", &answers::openai_request(model, false)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }
    stack.all_rows(MODELS.len()).await;
    // What is older than minutes is read from the rollups.
    let late =
        "INSERT INTO {db}.requests SELECT * REPLACE (received_at - INTERVAL 2 DAY AS received_at) FROM {db}.requests";
    stack.database.rows::<Value>(late).await;
    sealed_since(&stack, began).await;
    let of_rows = Settings { analytics: "rollups = false".to_owned(), ..stack.settings.clone() };
    let of_rows = Analytics::start(&of_rows).await;
    let readers = [stack.reader(), Caller::new(&of_rows.url, "")];
    let told = |model: &str, cost: &str, saved: Option<&str>| (model.to_owned(), json!(cost), json!(saved));
    let recorded = [
        told("charged", "0.002050000000", Some("0.000450000000")),
        told("silent", "0.002000000000", None),
        told("telling", "0.002000000000", Some("0.000000000000")),
    ];
    const QUESTIONS: [&str; 3] = ["from=-3d&to=-1d", "from=-3d&to=-1d&interval=hour", "from=-1h"];
    for question in QUESTIONS {
        for reader in &readers {
            assert_eq!(savings(reader, question).await, recorded, "{question}");
        }
    }

    // One price was wrong, and of one model the charge counts, which says nothing of caches.
    let charged = entry("charged", "1") + "cache_read = \"0.1\"\nreported = true\n";
    let others = ["silent", "telling"].map(|model| entry(model, "3") + "cache_read = \"0.1\"\n").concat();
    std::fs::write(&prices, charged + &others).unwrap();
    let repriced = Timestamp::now();
    reprice(&config, &["--apply"]).await;
    let adjusted = [
        told("charged", "0.500000000000", None),
        told("silent", "0.004000000000", None),
        told("telling", "0.004000000000", Some("0.000000000000")),
    ];
    for pass in ["by the views", "by the seal"] {
        for question in QUESTIONS {
            for reader in &readers {
                assert_eq!(savings(reader, question).await, adjusted, "{question} {pass}");
            }
            let as_of = format!("{question}&as_of=now");
            assert_eq!(savings(&readers[0], &as_of).await, adjusted, "{as_of}");
        }
        sealed_since(&stack, repriced).await;
    }
    let both = "/v1/costs?from=-3d&to=-1d&model=silent&model=charged";
    assert_eq!(readers[0].get_json(both).await["rows"][0]["cache_saved_usd"], Value::Null);

    // And back: then it is known again what the cache has saved.
    std::fs::write(&prices, entries("1")).unwrap();
    reprice(&config, &["--apply"]).await;
    for reader in &readers {
        assert_eq!(savings(reader, QUESTIONS[0]).await, recorded, "priced as in the beginning");
    }
}
