//! Several gateways, one catalogue: what one learns of a key keeps all others from it, and without NATS each is alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use tempfile::TempDir;
use tests::answers::{self, Tokens};
use tests::broker::Broker;
use tests::caller::{self, Caller};
use tests::configuration::{KEY_A, Settings};
use tests::eventually;
use tests::provider::{Provider, Received, Reply};
use tests::services::Gateway;

const TOKENS: Tokens = Tokens { input: 11, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 5 };
/// What the gateways promise each other.
const SHARED_WITHIN: Duration = Duration::from_secs(1);
/// What a loaded machine may take on top, and the questions whether it is known.
const SLACK: Duration = Duration::from_secs(4);
/// What a test on a loaded machine waits for before it gives up.
const ARRIVAL: Duration = Duration::from_secs(60);

/// A model with a first and a second key, at endpoints of their own.
fn catalogue() -> String {
    let side = |name: &str, priority: u8| {
        format!(
            "[[providers]]\nname = \"{name}\"\npriority = {priority}\n[[providers.endpoints]]\nname = \"{name}\"\n\
             format = \"openai_chat\"\nbase_url = \"{{provider}}/{name}/v1\"\nmax_retries = 0\n\
             [[providers.endpoints.keys]]\nname = \"main\"\nsecret = {{ plain = \"upstream-key-of-{name}\" }}\n"
        )
    };
    format!(
        "[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n{}{}\
         [[models]]\nname = \"m\"\n[[models.routes]]\nendpoint = \"first\"\n[[models.routes]]\nendpoint = \"second\"\n",
        side("first", 1),
        side("second", 2),
    )
}

/// Gateways of one deployment, each with a ledger of its own.
struct Fleet {
    provider: Provider,
    broker: Broker,
    gateways: Vec<Gateway>,
    _ledgers: Vec<TempDir>,
}

impl Fleet {
    /// `sick` is what the first endpoint answers; the second is well.
    async fn start(count: usize, sick: impl Fn() -> Option<Reply> + Send + Sync + 'static) -> Self {
        let answer = move |received: &Received| {
            let is_first = received.uri.path().starts_with("/first/");
            let well = || Reply::whole(200, "application/json", answers::openai_body("m", TOKENS, "Hi").to_string());
            is_first.then(&sick).flatten().unwrap_or_else(well)
        };
        let (provider, broker) = tokio::join!(Provider::start(answer), Broker::start());
        let (mut gateways, mut ledgers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let ledger = tempfile::tempdir().expect("a folder for a ledger");
            let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let settings = Settings {
                nats_url: broker.url(),
                // Nobody reads what these gateways record.
                clickhouse_url: "http://127.0.0.1:1".to_owned(),
                database: "none".to_owned(),
                ledger_dir: ledger.path().join("ledger"),
                listen: nowhere,
                ops_listen: nowhere,
                recorder_ops_listen: nowhere,
                nats: String::new(),
                gateway: String::new(),
                recorder: String::new(),
                analytics: String::new(),
                catalogue: catalogue().replace("{provider}", &provider.url()),
            };
            gateways.push(Gateway::start(&settings).await);
            ledgers.push(ledger);
        }
        Self { provider, broker, gateways, _ledgers: ledgers }
    }

    /// Asks a gateway, which must answer from whichever endpoint.
    async fn ask(&self, gateway: usize) {
        let caller = Caller::new(&self.gateways[gateway].url, KEY_A);
        let answer = caller.send("/v1/chat/completions", &answers::openai_request("m", false)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// How often the first endpoint was asked so far.
    fn asked(&self) -> usize {
        self.provider.received().iter().filter(|received| received.uri.path().starts_with("/first/")).count()
    }

    /// The value of a gauge of the first endpoint's key.
    async fn gauge(&self, gateway: usize, name: &str) -> Option<f64> {
        let caller = Caller::new(&self.gateways[gateway].ops_url, "");
        let text = caller::read(caller.anonymous(Method::GET, "/metrics")).await.text();
        let line = text.lines().find(|line| {
            line.strip_prefix(name).is_some_and(|rest| !rest.starts_with('_')) && !line.contains("\"second\"")
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }

    async fn all_show(&self, name: &str, value: f64) {
        eventually(&format!("{name} is {value} everywhere"), ARRIVAL, || async {
            let shown = join_all((0..self.gateways.len()).map(|gateway| self.gauge(gateway, name))).await;
            if shown.iter().all(|shown| *shown == Some(value)) { Ok(()) } else { Err(format!("{shown:?}")) }
        })
        .await;
    }
}

fn refused() -> Reply {
    let error = json!({ "error": { "message": "Incorrect API key", "type": "invalid_request_error", "code": "invalid_api_key" } });
    Reply::whole(401, "application/json", error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_dies_is_used_by_no_gateway_any_more() {
    let is_dead = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_dead);
    let fleet = Fleet::start(2, move || seen.load(Ordering::Relaxed).then(refused)).await;
    fleet.all_show("weir_peers", 1.0).await;
    join_all((0..2).map(|gateway| fleet.ask(gateway))).await;
    assert_eq!(fleet.asked(), 2, "both use the key while it lives");

    is_dead.store(true, Ordering::Relaxed);
    fleet.ask(0).await;
    let died = Instant::now();
    fleet.all_show("weir_key_disabled", 1.0).await;
    let known_after = died.elapsed();
    println!("a dead key is known to the other gateway after {known_after:?}");
    assert!(known_after < SHARED_WITHIN + SLACK, "known to the other gateway after {known_after:?}");
    for gateway in [0, 1, 0, 1] {
        fleet.ask(gateway).await;
    }
    assert_eq!(fleet.asked(), 3, "one refusal is enough for all");
}

/// From one probe of a sick key to the next, while they fail at once.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn eight_gateways_send_a_sick_key_one_probe_per_interval_and_serve_everybody() {
    let fleet = Fleet::start(8, || Some(Reply::whole(503, "application/json", "{}"))).await;
    fleet.all_show("weir_peers", 7.0).await;
    let begun = Instant::now();
    while fleet.gauge(0, "weir_breaker_state").await != Some(2.0) {
        fleet.ask(0).await;
    }
    fleet.all_show("weir_breaker_state", 2.0).await;
    let asked = fleet.asked();
    // A probe is due so long after the opening: until then nobody asks, however many would.
    join_all((0..200).map(|n| fleet.ask(n % 8))).await;
    assert!(fleet.asked() - asked <= probes_due(begun));

    // Everybody has something to send when it is due: one sends it, and all others hear of that in time.
    let mut seen_at = None;
    while seen_at.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(6)) {
        join_all((0..8).map(|gateway| fleet.ask(gateway))).await;
        let probes = fleet.asked() - asked;
        assert!(probes <= probes_due(begun), "{probes} probes within {:?}", begun.elapsed());
        seen_at = seen_at.or((probes > 0).then(Instant::now));
        assert!(begun.elapsed() < ARRIVAL, "the key is not looked after");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// How many probes there may be since then, at the most.
fn probes_due(since: Instant) -> usize {
    usize::try_from(since.elapsed().as_secs() / PROBE_INTERVAL.as_secs()).expect("a small number")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nats_every_gateway_learns_for_itself_and_tells_it_later() {
    let is_dead = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&is_dead);
    let mut fleet = Fleet::start(2, move || seen.load(Ordering::Relaxed).then(refused)).await;
    fleet.all_show("weir_peers", 1.0).await;
    fleet.broker.kill();
    fleet.ask(0).await;
    fleet.ask(0).await;
    assert_eq!(fleet.asked(), 1, "it knows by itself");
    is_dead.store(false, Ordering::Relaxed);
    fleet.ask(1).await;
    assert_eq!(fleet.asked(), 2, "the other does not know, and needs nobody to serve");
    fleet.broker.restart().await;
    fleet.all_show("weir_key_disabled", 1.0).await;
    fleet.ask(1).await;
    assert_eq!(fleet.asked(), 2);
}
