//! How long after the last byte of an answer its request is in `/v1/usage`.
//!
//! The whole pipeline runs for it: simulated provider, gateway, NATS, recorder, ClickHouse and analytics. Requests begin
//! at a fixed rate, whatever becomes of those before. The answers' ends are put in order, and so are the moments at
//! which `/v1/usage` had counted one request more: the difference of the two is the freshness of each.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use schemas::config::Config;
use schemas::time::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::queries::percentile;
use crate::simulate::{self, Simulator};
use crate::stack::{self, Engines, Listeners, Services, bind, free_address};
use crate::terminal::Step;

/// How often `/v1/usage` is asked.
const POLL: Duration = Duration::from_millis(50);
/// How long the last requests may take to be visible.
const LAST: Duration = Duration::from_secs(60);
const KEY: &str = "measured";

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stack does not stand.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// The configuration that is written for it.
    #[error(transparent)]
    Configuration(#[from] schemas::config::Mistakes),
    /// An HTTP client.
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
    /// A temporary folder.
    #[error("cannot create a temporary folder: {0}")]
    Folder(std::io::Error),
    /// Requests that did not get their whole answer: figures of a failing load are worth nothing.
    #[error("{0} requests failed: measure with a lower rate")]
    Failed(usize),
    /// Requests that never became visible.
    #[error("{visible} of {sent} requests are visible {} s after the last", LAST.as_secs())]
    Lost {
        /// How many are.
        visible: u64,
        /// How many there are.
        sent: usize,
    },
}

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Requests per second.
    pub rate: u32,
    /// For how long.
    pub seconds: u32,
}

/// Measures; returns the report.
pub async fn run(options: Options, stop: &CancellationToken) -> Result<String, Error> {
    let folder = tempfile::Builder::new().prefix("weir-measure-").tempdir().map_err(Error::Folder)?.keep();
    let mut engines = Engines::passing(folder.clone());
    let measured = tokio::select! {
        measured = measure(options, &folder, &mut engines) => measured,
        () = stop.cancelled() => Ok("interrupted".to_owned()),
    };
    engines.stop().await;
    let _ = std::fs::remove_dir_all(&folder);
    measured
}

async fn measure(options: Options, folder: &Path, engines: &mut Engines) -> Result<String, Error> {
    let (listener, provider) = bind(0).await?;
    let answers = simulate::Options {
        first_token: Duration::from_millis(1),
        per_token: Duration::ZERO,
        output_tokens: 16..=16,
        answers_max: 0,
        ..simulate::Options::default()
    };
    let stopping = CancellationToken::new();
    let _stopped = stopping.clone().drop_guard();
    let simulator = Simulator::new(answers);
    tokio::spawn(async move { simulator.serve(listener, stopping).await });
    let (config, listeners, addresses) = configuration(folder, provider).await?;
    engines.start(&config).await?;
    let services = Services::start(&config, None, listeners);
    let report = load(options, addresses).await;
    services.stop().await;
    report
}

/// Where the gateway and analytics listen.
#[derive(Clone, Copy)]
struct Addresses {
    gateway: SocketAddr,
    analytics: SocketAddr,
}

async fn configuration(folder: &Path, provider: SocketAddr) -> Result<(Config, Listeners, Addresses), Error> {
    let (clients, gateway) = bind(0).await?;
    let (gateway_ops, gateway_ops_address) = bind(0).await?;
    let (recorder_ops, recorder_ops_address) = bind(0).await?;
    let (analytics_listener, analytics) = bind(0).await?;
    let (nats, clickhouse) = (free_address().await?, free_address().await?);
    let ledger = toml::Value::String(folder.join("ledger").display().to_string());
    // Everything that is not an address is at its default.
    let text = format!(
        r#"
[nats]
url = "nats://{nats}"
max_bytes = "1GiB"
[clickhouse]
url = "http://{clickhouse}"
[gateway]
listen = "{gateway}"
ops_listen = "{gateway_ops_address}"
ledger_dir = {ledger}
[recorder]
ops_listen = "{recorder_ops_address}"
[analytics]
listen = "{analytics}"
[[providers]]
name = "simulated"
[[providers.endpoints]]
name = "simulated-chat"
format = "openai_chat"
base_url = "http://{provider}/v1"
[[providers.endpoints.keys]]
name = "main"
secret = {{ plain = "sk-simulated" }}
[[models]]
name = "gpt-5.4"
[[models.routes]]
endpoint = "simulated-chat"
[[clients]]
name = "load"
key = {{ plain = "{KEY}" }}
"#
    );
    let config = Config::parse(&text, &Default::default())?;
    let listeners = Listeners { clients, gateway_ops, recorder_ops, analytics: analytics_listener };
    Ok((config, listeners, Addresses { gateway, analytics }))
}

/// When answers ended, as the clients saw it.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<Instant>>>);

impl Ends {
    fn now(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }

    fn in_order(&self) -> Vec<Instant> {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ends.sort_unstable();
        ends
    }
}

async fn load(options: Options, addresses: Addresses) -> Result<String, Error> {
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(2048).build()?;
    let began_at = Timestamp::now();
    // Until everything answers: the first request makes the connections and finds the tables.
    while !ask(&client, addresses.gateway).await {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let seen = |client: reqwest::Client| async move { visible(&client, addresses.analytics, began_at).await };
    while seen(client.clone()).await < 1 {
        tokio::time::sleep(POLL).await;
    }
    let before = seen(client.clone()).await;
    let total = options.rate * options.seconds;
    let step = Step::begin(format!("sending {total} requests, {} a second", options.rate));
    let ends = Ends::default();
    let sender = tokio::spawn(send(client.clone(), addresses.gateway, options, ends.clone()));
    let mut sights = Vec::new();
    let mut deadline = None;
    loop {
        let count = seen(client.clone()).await.saturating_sub(before);
        sights.push((Instant::now(), count));
        if sender.is_finished() {
            let until = *deadline.get_or_insert_with(|| Instant::now() + LAST);
            if count >= u64::from(total) || Instant::now() > until {
                break;
            }
        }
        tokio::time::sleep(POLL).await;
    }
    let ends = ends.in_order();
    step.done(format_args!("{} answers have ended", ends.len()));
    if ends.len() < total as usize {
        return Err(Error::Failed(total as usize - ends.len()));
    }
    report(&ends, &sights)
}

async fn send(client: reqwest::Client, gateway: SocketAddr, options: Options, ends: Ends) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / options.rate.max(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..options.rate * options.seconds {
        ticks.tick().await;
        let (client, ends) = (client.clone(), ends.clone());
        requests.spawn(async move {
            if ask(&client, gateway).await {
                ends.now();
            }
        });
    }
    requests.join_all().await;
}

/// One request, to the last byte of its answer.
async fn ask(client: &reqwest::Client, gateway: SocketAddr) -> bool {
    let body = r#"{"model":"gpt-5.4","stream":true,"messages":[{"role":"user","content":"How fresh are you?"}]}"#;
    let request = client.post(format!("http://{gateway}/v1/chat/completions")).bearer_auth(KEY);
    let Ok(answer) = request.header("content-type", "application/json").body(body).send().await else { return false };
    let well = answer.status().is_success();
    let mut body = answer.bytes_stream();
    while let Some(piece) = body.next().await {
        if piece.is_err() {
            return false;
        }
    }
    well
}

/// Requests in `/v1/usage`; none while it does not answer.
async fn visible(client: &reqwest::Client, analytics: SocketAddr, since: Timestamp) -> u64 {
    let question = format!("http://{analytics}/v1/usage?from={since}");
    let Ok(answer) = client.get(question).send().await else { return 0 };
    let answer: Value = answer.json().await.unwrap_or_default();
    answer.pointer("/rows/0/requests").and_then(Value::as_u64).unwrap_or(0)
}

fn report(ends: &[Instant], sights: &[(Instant, u64)]) -> Result<String, Error> {
    let waits = waits(ends, sights);
    if waits.len() < ends.len() {
        let visible = sights.iter().map(|(_, count)| *count).max().unwrap_or(0);
        return Err(Error::Lost { visible, sent: ends.len() });
    }
    let lasted = ends.first().zip(ends.last()).map_or(0.0, |(first, last)| (*last - *first).as_secs_f64());
    let figure = |percent| percentile(&waits, percent);
    Ok(format!(
        "{} requests, {:.0} a second: from the last byte of an answer until /v1/usage counts it, in milliseconds\n\n  \
         p50 {:.0}   p90 {:.0}   p99 {:.0}   max {:.0}   (asked every {} ms, {} times)",
        ends.len(),
        ends.len() as f64 / lasted.max(0.001),
        figure(50),
        figure(90),
        figure(99),
        figure(100),
        POLL.as_millis(),
        sights.len()
    ))
}

/// For each end, in order, how many milliseconds later as many requests were visible; those that never were are left out.
fn waits(ends: &[Instant], sights: &[(Instant, u64)]) -> Vec<f64> {
    let mut waits = Vec::new();
    let mut sights = sights.iter().peekable();
    for (number, end) in (1..).zip(ends) {
        while sights.next_if(|(_, count)| *count < number).is_some() {}
        let Some((at, _)) = sights.peek() else { break };
        waits.push(at.saturating_duration_since(*end).as_secs_f64() * 1000.0);
    }
    waits.sort_by(f64::total_cmp);
    waits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_waits_for_the_sight_that_counts_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let ends = [at(0), at(10), at(20), at(500)];
        let sights = [(at(5), 0), (at(55), 1), (at(105), 3), (at(155), 3), (at(505), 4)];
        assert_eq!(waits(&ends, &sights), [5.0, 55.0, 85.0, 95.0]);
        assert_eq!(waits(&ends, &sights[..4]).len(), 3, "the last was never seen");
    }
}
