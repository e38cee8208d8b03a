//! A real Prometheus scrapes the services, and every dashboard's and alert's query has an answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::caller::{self, Caller};
use tests::configuration::{self, KEY_B};
use tests::ports::ReservedPort;
use tests::prometheus::{Prometheus, Tools, installed};
use tests::provider::Reply;
use tests::stack::{Plan, Stack};
use tests::{answers, eventually, load, services};
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(90);
const TOKEN: &str = "the-token-of-analytics";
/// What a client has made up, and no label may show.
const INVENTED: &str = "made-up-by-a-client";

/// The key of a client that may send one request a minute, and has a budget.
const BOUNDED_KEY: &str = "client-key-of-the-bounded";
const BOUNDED: &str = r#"
[[clients]]
name = "bounded"
key = { plain = "client-key-of-the-bounded" }
requests_per_minute = 1
budget = { usd = "5.00", per = "month" }
"#;

/// The contract: name and type of every metric, and which service has it.
const METRICS: &[(&str, &str, &str)] = &[
    ("gateway", "gen_ai_client_token_usage", "histogram"),
    ("gateway", "gen_ai_server_request_duration_seconds", "histogram"),
    ("gateway", "gen_ai_server_time_to_first_token_seconds", "histogram"),
    ("gateway", "gen_ai_server_time_per_output_token_seconds", "histogram"),
    ("gateway", "weir_requests_total", "counter"),
    ("gateway", "weir_candidates_total", "counter"),
    ("gateway", "weir_affinity_total", "counter"),
    ("gateway", "weir_follow_ups_total", "counter"),
    ("gateway", "weir_active_streams", "gauge"),
    ("gateway", "weir_gateway_overhead_seconds", "histogram"),
    ("gateway", "weir_events_appended_total", "counter"),
    ("gateway", "weir_events_published_total", "counter"),
    ("gateway", "weir_events_lost_total", "counter"),
    ("gateway", "weir_ledger_bytes", "gauge"),
    ("gateway", "weir_breaker_state", "gauge"),
    ("gateway", "weir_config_reload_failures_total", "counter"),
    ("gateway", "weir_limited_total", "counter"),
    ("gateway", "weir_budget_left_usd", "gauge"),
    ("recorder", "weir_events_stored_total", "counter"),
    ("recorder", "weir_events_deduplicated_total", "counter"),
    ("recorder", "weir_events_dead_lettered_total", "counter"),
    ("recorder", "weir_pipeline_lag_seconds", "gauge"),
    ("recorder", "weir_sequence_gaps", "gauge"),
    ("recorder", "weir_unpriced_requests_total", "counter"),
    ("recorder", "weir_recorder_seals_total", "counter"),
    ("recorder", "weir_recorder_seal_differences_total", "counter"),
    ("recorder", "weir_recorder_sealed_timestamp_seconds", "gauge"),
    ("analytics", "weir_requests_total", "counter"),
    ("analytics", "weir_candidates_total", "counter"),
    ("analytics", "weir_cost_usd_total", "counter"),
    ("analytics", "weir_tokens_total", "counter"),
    ("analytics", "gen_ai_client_token_usage", "histogram"),
];

/// Queries of dashboards that rightly have no answer in a stack where all is well.
const MAY_BE_EMPTY: &[&str] = &[
    // No key has a limit on requests at once, configured or learned.
    "weir_key_concurrency_limit",
];

/// The stack under a load that goes on, with the addresses of its metrics.
struct Observed {
    stack: Stack,
    addresses: [(&'static str, String); 3],
    folder: TempDir,
    load: JoinHandle<()>,
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

impl Observed {
    async fn start() -> Self {
        let plan = Plan {
            analytics: format!("token = {{ plain = \"{TOKEN}\" }}"),
            catalogue: configuration::catalogue("{provider}") + BOUNDED,
            ..Plan::default()
        };
        let mut stack = Stack::planned(plan, |received| match received.json()["messages"][0]["content"].as_str() {
            Some("refuse me") => Reply::whole(529, "application/json", r#"{"type":"error"}"#),
            _ => load::answer(received),
        })
        .await;
        drop(stack.recorder.take());
        let (recorder, recorder_url) = services::recorder_with_ops(&stack.settings).await;
        stack.recorder = Some(recorder);
        let gateway_url = stack.gateway.as_ref().unwrap().ops_url.clone();
        let addresses =
            [("gateway", gateway_url), ("recorder", recorder_url), ("analytics", stack.analytics.url.clone())];
        let caller = stack.caller();
        let load = tokio::spawn(async move {
            let mut refused = answers::anthropic_request("sonnet", false);
            refused["messages"][0]["content"] = json!("refuse me");
            let invented = answers::openai_request(INVENTED, false);
            for number in 0u64.. {
                load::send_one(&caller, number).await;
                if number % 10 == 1 {
                    caller.with_key(KEY_B).send("/v1/messages", &refused).await;
                    caller.send("/v1/chat/completions", &invented).await;
                    caller.with_key(INVENTED).send("/v1/chat/completions", &invented).await;
                    caller
                        .with_key(BOUNDED_KEY)
                        .send("/v1/messages", &answers::anthropic_request("sonnet", false))
                        .await;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        let folder = tempfile::tempdir().unwrap();
        Self { stack, addresses, folder, load }
    }

    /// compose's configuration with this stack's addresses, and without its patience.
    fn config(&self, nobody: &ReservedPort) -> PathBuf {
        let token = self.folder.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        std::fs::copy(deploy().join("alerts.yml"), self.folder.path().join("alerts.yml")).unwrap();
        let mut text = std::fs::read_to_string(deploy().join("prometheus.yml")).unwrap();
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "deploy/prometheus.yml has no {from}");
            text = text.replace(from, to);
        };
        let address = |at: usize| self.addresses[at].1.trim_start_matches("http://");
        replace("gateway:9080", address(0));
        replace("recorder:9081", address(1));
        replace("analytics:8082", address(2));
        replace("clickhouse:9363", &nobody.address().to_string());
        replace("/tmp/analytics_token", token.to_str().unwrap());
        replace("scrape_interval: 30s", "scrape_interval: 1s");
        replace("scrape_interval: 10s", "scrape_interval: 1s\n  evaluation_interval: 1s");
        let file = self.folder.path().join("prometheus.yml");
        std::fs::write(&file, text).unwrap();
        file
    }

    async fn exposition(&self, at: usize) -> String {
        let caller = Caller::new(&self.addresses[at].1, TOKEN);
        let answer = caller::read(caller.request(Method::GET, "/metrics")).await;
        assert_eq!(answer.status, 200);
        answer.text()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_all_services_and_answers_what_dashboards_and_alerts_ask() {
    let Some(tools) = installed() else { return };
    let (observed, nobody) = (Observed::start().await, ReservedPort::new());
    let config = observed.config(&nobody);
    said_well(&tools, observed.folder.path(), &["check", "config", "prometheus.yml"], "");
    let prometheus = Prometheus::start(&tools, &observed.folder, &config).await;
    for (job, _) in &observed.addresses {
        has_values(&prometheus, &format!("up{{job=\"{job}\"}} == 1")).await;
    }
    for (job, name, kind) in METRICS {
        let suffix = if *kind == "histogram" { "_bucket" } else { "" };
        has_values(&prometheus, &format!("{name}{suffix}{{job=\"{job}\"}}")).await;
        let told = prometheus.get("metadata", &[("metric", name)]).await.unwrap();
        let told = told[name].as_array().unwrap();
        assert!(told.iter().all(|one| one["type"] == *kind && one["help"] != ""), "{name}: {told:?}");
    }
    for file in ["operations.json", "pipeline.json"] {
        for query in queries(file) {
            has_values(&prometheus, &query).await;
        }
    }
    for at in 0..observed.addresses.len() {
        said_well(&tools, observed.folder.path(), &["check", "metrics"], &observed.exposition(at).await);
    }
    rules_are_evaluated(&prometheus).await;
    no_label_is_invented(&prometheus).await;

    // Once nothing is under way, what one gateway counts is what ClickHouse has.
    observed.load.abort();
    let total = |job: &str| format!("sum(weir_requests_total{{job=\"{job}\"}})");
    eventually("the totals agree", DEADLINE, || async {
        let (counted, stored) =
            (prometheus.query(&total("gateway")).await?, prometheus.query(&total("analytics")).await?);
        if counted == stored && counted[0] > 0.0 { Ok(()) } else { Err(format!("{counted:?} {stored:?}")) }
    })
    .await;
    drop(observed.stack);
}

/// The expressions of a dashboard, with its variables filled in.
fn queries(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(deploy().join("grafana/dashboards").join(file)).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let filled =
        |target: &Value| target["expr"].as_str().unwrap().replace("$__rate_interval", "30s").replace("$instance", ".*");
    let queries: Vec<String> = targets.map(filled).collect();
    assert!(queries.len() > 10 && queries.iter().all(|query| !query.contains('$')), "{queries:#?}");
    queries
}

async fn has_values(prometheus: &Prometheus, query: &str) {
    let may_be_empty = MAY_BE_EMPTY.iter().any(|name| query.contains(name));
    eventually(query, DEADLINE, || async {
        let values = prometheus.query(query).await?;
        let is_answer = may_be_empty || values.iter().any(|value| value.is_finite());
        if is_answer { Ok(()) } else { Err(format!("{values:?}")) }
    })
    .await;
}

fn said_well(tools: &Tools, folder: &Path, arguments: &[&str], input: &str) {
    let (is_content, said) = tools.promtool(folder, arguments, input);
    assert!(is_content && !said.contains("error"), "promtool {arguments:?}: {said}");
}

async fn rules_are_evaluated(prometheus: &Prometheus) {
    eventually("every rule is evaluated", DEADLINE, || async {
        let told = prometheus.get("rules", &[]).await?;
        let rules: Vec<&Value> = told["groups"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|group| group["rules"].as_array())
            .flatten()
            .collect();
        let is_well = rules.len() >= 15 && rules.iter().all(|rule| rule["health"] == "ok");
        if is_well { Ok(()) } else { Err(format!("{rules:?}")) }
    })
    .await;
}

async fn no_label_is_invented(prometheus: &Prometheus) {
    let labels = prometheus.get("labels", &[]).await.unwrap();
    for label in labels.as_array().unwrap() {
        let values = prometheus.get(&format!("label/{}/values", label.as_str().unwrap()), &[]).await.unwrap();
        assert!(!values.to_string().contains(INVENTED), "{label}: {values}");
        assert!(values.as_array().unwrap().len() < 250, "{label} has {} values", values.as_array().unwrap().len());
    }
}

#[test]
fn every_alert_fires_when_it_should_and_not_otherwise() {
    let Some(tools) = installed() else { return };
    said_well(&tools, &deploy(), &["check", "rules", "alerts.yml"], "");
    let (is_content, said) = tools.promtool(&deploy(), &["test", "rules", "alerts_test.yml"], "");
    assert!(is_content && said.contains("SUCCESS"), "{said}");
    let (rules, tested) = (read("alerts.yml"), read("alerts_test.yml"));
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        // Once silent, and once with what it says.
        let fires = tested
            .split("alertname: ")
            .skip(1)
            .any(|test| test.strip_prefix(alert).is_some_and(|rest| rest.trim_start().starts_with("exp_alerts")));
        assert!(fires && tested.contains(&format!("alertname: {alert} }}")), "alerts_test.yml does not test {alert}");
    }
}

fn read(name: &str) -> String {
    std::fs::read_to_string(deploy().join(name)).unwrap()
}
