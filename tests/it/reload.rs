//! A running gateway takes over a changed configuration whole or not at all, and no running answer notices.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::Method;
use tempfile::TempDir;
use tests::answers::{self, Tokens};
use tests::caller::{self, Caller};
use tests::configuration::Settings;
use tests::eventually;
use tests::ports::ReservedPort;
use tests::provider::{Gate, Provider, Received, Reply, Step};
use tests::services::GatewayProcess;

const TOKENS: Tokens = Tokens { input: 11, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 5 };
const OLD: &str = "client-key-of-the-old";
const NEW: &str = "client-key-of-the-new";
const DEADLINE: Duration = Duration::from_secs(30);

/// A gateway without anybody to ship to, and a provider whose streams wait at the gate.
struct Running {
    provider: Provider,
    gateway: GatewayProcess,
    gate: Gate,
    folder: TempDir,
    _nobody: ReservedPort,
}

impl Running {
    async fn start() -> Self {
        let gate = Gate::closed();
        let opener = gate.clone();
        let answer = move |received: &Received| {
            let model = received.json()["model"].as_str().unwrap_or_default().to_owned();
            if received.json()["stream"] != true {
                let body = answers::openai_body(&model, TOKENS, "Hi");
                return Reply::whole(200, "application/json", body.to_string());
            }
            let events = answers::openai_events(&model, TOKENS, &["first", "last"], true);
            let mut steps: Vec<Step> = events.into_iter().map(Step::Send).collect();
            steps.insert(2, Step::Await(opener.clone()));
            Reply::steps(200, "text/event-stream", steps)
        };
        let provider = Provider::start(answer).await;
        let (folder, nobody) = (tempfile::tempdir().unwrap(), ReservedPort::new());
        std::fs::write(folder.path().join("secret"), "upstream-key-one").unwrap();
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let settings = Settings {
            nats_url: format!("nats://{}", nobody.address()),
            clickhouse_url: format!("http://{}", nobody.address()),
            database: "none".to_owned(),
            ledger_dir: folder.path().join("ledger"),
            listen: nowhere,
            ops_listen: nowhere,
            recorder_ops_listen: nowhere,
            nats: String::new(),
            gateway: String::new(),
            recorder: String::new(),
            analytics: String::new(),
            catalogue: catalogue(&provider.url(), &folder, "old", OLD),
        };
        let gateway = GatewayProcess::start(&settings).await;
        Self { provider, gateway, gate, folder, _nobody: nobody }
    }

    /// The file with one model and one client of that name.
    fn text(&self, name: &str, key: &str) -> String {
        let catalogue = catalogue(&self.provider.url(), &self.folder, name, key);
        Settings { catalogue, ..self.gateway.settings().clone() }.text()
    }

    /// In place, as `cat >` and compose's mounts have it.
    fn write(&self, text: &str) {
        std::fs::write(self.gateway.config_file(), text).unwrap();
    }

    /// Another file in its place, as most editors have it.
    fn replace(&self, text: &str) {
        let beside = self.folder.path().join("weir.toml.new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, self.gateway.config_file()).unwrap();
    }

    async fn metric(&self, name: &str) -> Option<f64> {
        let caller = Caller::new(&self.gateway.ops_url(), "");
        let text = caller::read(caller.anonymous(Method::GET, "/metrics")).await.text();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    async fn shows(&self, name: &str, value: f64) {
        eventually(&format!("{name} is {value}"), DEADLINE, || async {
            let shown = self.metric(name).await;
            if shown == Some(value) { Ok(()) } else { Err(format!("{shown:?}: {}", self.gateway.log())) }
        })
        .await;
    }

    /// The status of a plain request.
    async fn ask(&self, key: &str, model: &str) -> u16 {
        let caller = Caller::new(&self.gateway.url(), key);
        caller.send("/v1/chat/completions", &answers::openai_request(model, false)).await.status.as_u16()
    }
}

/// `name` is both the client and the model that it may use.
fn catalogue(provider: &str, folder: &TempDir, name: &str, key: &str) -> String {
    let secret = folder.path().join("secret");
    format!(
        "[[providers]]\nname = \"openai\"\n[[providers.endpoints]]\nname = \"openai-api\"\nformat = \"openai_chat\"\n\
         base_url = \"{provider}/v1\"\nmax_retries = 0\n[[providers.endpoints.keys]]\nname = \"main\"\n\
         secret = {{ file = {secret:?} }}\n\
         [[models]]\nname = \"model-{name}\"\n[[models.routes]]\nendpoint = \"openai-api\"\n\
         [[clients]]\nname = \"{name}\"\nkey = {{ plain = \"{key}\" }}\nmodels = [\"model-{name}\"]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_client_and_model_come_into_force_and_running_streams_end_under_the_old_ones() {
    let running = Running::start().await;
    let caller = Caller::new(&running.gateway.url(), OLD);
    let mut stream = caller.open("/v1/chat/completions", &answers::openai_request("model-old", true)).await;
    stream.until("first").await;

    running.write(&running.text("new", NEW));
    running.shows("weir_config_reloads_total", 1.0).await;
    assert_eq!(running.ask(NEW, "model-new").await, 200);
    assert_eq!(running.ask(NEW, "model-old").await, 404, "a model that is gone");
    assert_eq!(running.ask(OLD, "model-old").await, 401, "a client that is gone");

    running.gate.open();
    let (rest, broken) = stream.rest().await;
    let rest = String::from_utf8(rest).unwrap();
    assert!(broken.is_none() && rest.contains("last") && rest.contains("[DONE]"), "{broken:?} {rest}");
    running.shows("weir_active_streams", 0.0).await;
    // The stream ended as what it began as.
    let label = "gen_ai_server_request_duration_seconds_count{gen_ai_provider_name=\"openai\",gen_ai_request_model=\"model-old\"}";
    running.shows(label, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_is_counted_and_says_what_is_wrong() {
    let running = Running::start().await;
    let mistaken = running.text("new", NEW).replace("\"openai_chat\"", "\"openia\"");
    running.replace(&mistaken);
    running.shows("weir_config_reload_failures_total", 1.0).await;
    assert!(running.gateway.log().contains("providers[0].endpoints[0].format"), "{}", running.gateway.log());
    assert_eq!((running.ask(OLD, "model-old").await, running.ask(NEW, "model-new").await), (200, 401));

    // Asked again, it says so again; left alone, it does not.
    running.gateway.hang_up();
    running.shows("weir_config_reload_failures_total", 2.0).await;
    // Valid as a file, and still not to be had: two clients with one key.
    running.replace(&(running.text("new", NEW) + &format!("[[clients]]\nname = \"x\"\nkey = {{ plain = \"{NEW}\" }}")));
    running.shows("weir_config_reload_failures_total", 3.0).await;
    std::fs::remove_file(running.gateway.config_file()).unwrap();
    running.shows("weir_config_reload_failures_total", 4.0).await;
    assert_eq!(running.ask(OLD, "model-old").await, 200);

    running.replace(&running.text("new", NEW));
    running.shows("weir_config_reloads_total", 1.0).await;
    assert_eq!((running.ask(OLD, "model-old").await, running.ask(NEW, "model-new").await), (401, 200));
    running.shows("weir_config_reload_failures_total", 4.0).await;
    for secret in [OLD, NEW, "upstream-key-one"] {
        assert!(!running.gateway.log().contains(secret), "the log shows a key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_secrets_again_and_what_needs_a_restart_is_named() {
    let running = Running::start().await;
    assert_eq!(running.ask(OLD, "model-old").await, 200);
    std::fs::write(running.folder.path().join("secret"), "upstream-key-two\n").unwrap();
    running.gateway.hang_up();
    running.shows("weir_config_reloads_total", 1.0).await;
    assert_eq!(running.ask(OLD, "model-old").await, 200);
    let keys: Vec<String> = running
        .provider
        .received()
        .iter()
        .map(|received| received.header("authorization").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(keys, ["Bearer upstream-key-one", "Bearer upstream-key-two"]);
    running.shows("weir_config_keys_waiting", 0.0).await;

    running.write(&running.text("new", NEW).replace("[nats]\n", "[nats]\npartitions = 3\n"));
    running.shows("weir_config_keys_waiting", 1.0).await;
    assert_eq!(running.ask(NEW, "model-new").await, 200, "the rest is in force");
    let log = running.gateway.log();
    let told = log.lines().find(|line| line.contains("wait for a restart"));
    assert!(told.is_some_and(|line| line.contains("nats.partitions")), "{log}");
    running.write(&running.text("new", NEW));
    running.shows("weir_config_keys_waiting", 0.0).await;
}
