//! What the demo prints.

use std::fmt::Write as _;

use schemas::money::Pico;

use super::accounting::Check;
use super::configuration::Addresses;
use super::readback::{Asked, Cost, Used};
use super::script::{CLIENTS, STEADY};
use crate::terminal::{Align, table};

/// The bill by client and model, as analytics tells it.
pub(super) fn bill(analytics: &str, costs: &[Cost], used: &[Used]) -> String {
    let columns = [
        ("client", Align::Left),
        ("model", Align::Left),
        ("requests", Align::Right),
        ("input", Align::Right),
        ("cached", Align::Right),
        ("output", Align::Right),
        ("unknown", Align::Right),
        ("US dollars", Align::Right),
    ];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for cost in costs {
        let used = used.iter().find(|used| used.client == cost.client && used.model == cost.model);
        let count = |of: fn(&Used) -> Option<u64>| used.and_then(of).map_or("-".to_owned(), |count| count.to_string());
        rows.push(vec![
            name(&cost.client),
            name(&cost.model),
            cost.requests.to_string(),
            count(|used| used.input_tokens),
            count(|used| used.cache_read_tokens),
            count(|used| used.output_tokens),
            count(|used| Some(used.unknown_usage_requests)),
            dollars(cost.cost_usd, cost.unpriced_requests),
        ]);
    }
    let total = costs.iter().filter_map(|cost| cost.cost_usd).fold(Pico(0), |sum, cost| Pico(sum.0 + cost.0));
    rows.push(["total", "", "", "", "", "", ""].map(str::to_owned).into_iter().chain([total.to_string()]).collect());
    format!("\nThe bill (http://{analytics}/v1/costs?group_by=client,model)\n\n{}", table(&columns, &rows))
}

fn name(name: &Option<String>) -> String {
    name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "-".to_owned())
}

/// Unknown is not zero, and is not printed as zero.
fn dollars(cost: Option<Pico>, unpriced: u64) -> String {
    let amount = cost.map_or("-".to_owned(), |cost| cost.to_string());
    if unpriced == 0 { amount } else { format!("{amount} + {unpriced} unpriced") }
}

/// What became of the requests.
pub(super) fn outcomes(analytics: &str, outcomes: &[Used]) -> String {
    let columns = [
        ("outcome", Align::Left),
        ("requests", Align::Right),
        ("input", Align::Right),
        ("output", Align::Right),
        ("estimated", Align::Right),
        ("unknown", Align::Right),
    ];
    let tokens = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    let row = |used: &Used| {
        vec![
            name(&used.outcome),
            used.requests.to_string(),
            tokens(used.input_tokens),
            tokens(used.output_tokens),
            used.estimated_usage_requests.to_string(),
            used.unknown_usage_requests.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = outcomes.iter().map(row).collect();
    format!("What became of the requests (http://{analytics}/v1/usage?group_by=outcome)\n\n{}", table(&columns, &rows))
}

/// Who was asked, and how often in vain: failed tries are what the next candidate made good.
pub(super) fn providers(analytics: &str, asked: &[Asked]) -> String {
    let columns = [
        ("provider", Align::Left),
        ("endpoint", Align::Left),
        ("tries", Align::Right),
        ("answered", Align::Right),
        ("failed", Align::Right),
        ("rate limited", Align::Right),
        ("skipped", Align::Right),
        ("output", Align::Right),
    ];
    let row = |asked: &Asked| {
        let counts = [asked.attempts, asked.succeeded, asked.failed, asked.rate_limited, asked.skipped];
        let names = [name(&asked.provider), name(&asked.endpoint)].into_iter();
        let output = asked.output_tokens.map_or("-".to_owned(), |count| count.to_string());
        names.chain(counts.map(|count| count.to_string())).chain([output]).collect()
    };
    let rows: Vec<Vec<String>> = asked.iter().map(row).collect();
    let url = format!("http://{analytics}/v1/providers?group_by=provider,endpoint");
    format!("Who was asked ({url})\n\n{}", table(&columns, &rows))
}

/// Whether the books agree.
pub(crate) fn accounting(checks: &[Check]) -> String {
    let columns = [("", Align::Left), ("expected", Align::Right), ("found", Align::Right), ("", Align::Left)];
    let row = |check: &Check| {
        let verdict = if check.holds() { "ok" } else { "DIFFERENT" };
        vec![check.what.to_owned(), check.expected.clone(), check.found.clone(), verdict.to_owned()]
    };
    let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
    let verdict = if checks.iter().all(Check::holds) {
        "Every request is accounted for, to the token."
    } else {
        "The books do not agree."
    };
    format!("Do the books agree?\n\n{}\n{verdict}", table(&columns, &rows))
}

/// What can be tried while everything stays up.
pub(super) fn stays(addresses: &Addresses) -> String {
    let Addresses { gateway, gateway_ops, recorder_ops, analytics, provider, clickhouse, database } = addresses;
    let (key, model) = (CLIENTS[0].key, STEADY[0].name);
    let gemini = STEADY[6].name;
    let mut text = String::from("\nEverything stays up until Ctrl-C.\n\n");
    let _ = write!(
        text,
        r#"  gateway     http://{gateway}   metrics http://{gateway_ops}/metrics
  analytics   http://{analytics}/   API http://{analytics}/openapi.json   metrics http://{analytics}/metrics
  recorder    http://{recorder_ops}/metrics
  provider    http://{provider}/tally   (simulated)
  ClickHouse  {clickhouse}   database {database}

  curl -N http://{gateway}/v1/messages -H 'x-api-key: {key}' -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' \
    -d '{{"model": "{model}", "max_tokens": 300, "stream": true, "messages": [{{"role": "user", "content": "How high is the water?"}}]}}'
  The same in the other dialects: /v1/chat/completions, /v1/responses, /v1beta/models/{gemini}:streamGenerateContent
"#
    );
    text + &last_hour(addresses)
}

/// The question that everybody asks first, asked in three ways.
fn last_hour(addresses: &Addresses) -> String {
    let Addresses { analytics, clickhouse, database, .. } = addresses;
    let sql = "SELECT client, model, count() AS requests, sum(cost_usd) AS cost_usd FROM requests FINAL \
               WHERE received_at >= toStartOfMinute(now() - INTERVAL 1 HOUR) GROUP BY client, model ORDER BY client, model \
               FORMAT PrettyCompact";
    format!(
        r#"
What did the last hour cost, by client and model?

  in the browser   http://{analytics}/?from=-1h&by=client%2Cmodel
  with curl        curl 'http://{analytics}/v1/costs?from=-1h&group_by=client,model&format=csv'
  in SQL           curl '{clickhouse}/?database={database}' -d '{sql}'
"#
    )
}
