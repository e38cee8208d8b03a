//! The demo's configuration: a file as an operator would write it, with this run's addresses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use schemas::config::Config;
use toml::Value;
use uuid::Uuid;

use super::Error;
use super::script::{CLIENTS, MODELS};
use crate::stack::{self, Listeners};

/// The variables that let the demo use a ClickHouse server which is there already.
const OVERRIDES: &str = "WEIR_CLICKHOUSE__";

/// Where everything listens.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) gateway: SocketAddr,
    pub(super) gateway_ops: SocketAddr,
    pub(super) recorder_ops: SocketAddr,
    pub(super) analytics: SocketAddr,
    pub(super) provider: SocketAddr,
    pub(super) clickhouse: String,
    pub(super) database: String,
}

/// Binds the services' sockets, finds free ports for the engines, and reads the file that results from it.
pub(super) async fn build(folder: &Path, provider: SocketAddr) -> Result<(Config, Listeners, Addresses), Error> {
    let (clients, gateway) = stack::bind(8080).await?;
    let (gateway_ops_listener, gateway_ops) = stack::bind(9080).await?;
    let (recorder_ops_listener, recorder_ops) = stack::bind(9081).await?;
    let (analytics_listener, analytics) = stack::bind(8082).await?;
    let mut environment: BTreeMap<String, String> =
        std::env::vars().filter(|(name, _)| name.starts_with(OVERRIDES)).collect();
    // A server that is there already keeps what it has: the demo's rows go into a database of their own.
    let database = format!("weir_demo_{}", Uuid::now_v7().simple());
    environment.insert("WEIR_CLICKHOUSE__DATABASE".to_owned(), database.clone());
    let mut addresses = Addresses {
        gateway,
        gateway_ops,
        recorder_ops,
        analytics,
        provider,
        clickhouse: format!("http://{}", stack::free_address().await?),
        database,
    };
    let nats = stack::free_address().await?;
    let config = Config::parse(&file(&addresses, nats, &folder.join("ledger")), &environment)?;
    addresses.clickhouse.clone_from(&config.clickhouse.url);
    let listeners = Listeners {
        clients,
        gateway_ops: gateway_ops_listener,
        recorder_ops: recorder_ops_listener,
        analytics: analytics_listener,
    };
    Ok((config, listeners, addresses))
}

fn file(addresses: &Addresses, nats: SocketAddr, ledger: &Path) -> String {
    let Addresses { gateway, gateway_ops, recorder_ops, analytics, provider, clickhouse, .. } = addresses;
    let ledger = Value::String(ledger.display().to_string());
    let mut text = format!(
        r#"
[nats]
url = "nats://{nats}"
partitions = 2
max_bytes = "1GiB"

[clickhouse]
url = "{clickhouse}"

[gateway]
name = "demo"
listen = "{gateway}"
ops_listen = "{gateway_ops}"
ledger_dir = {ledger}

[recorder]
ops_listen = "{recorder_ops}"
max_range_age = "250ms"

[analytics]
listen = "{analytics}"

[[providers]]
name = "anthropic"
  [[providers.endpoints]]
  name = "anthropic-api"
  format = "anthropic"
  base_url = "http://{provider}"
    [[providers.endpoints.keys]]
    name = "main"
    secret = {{ plain = "sk-ant-simulated" }}

[[providers]]
name = "openai"
  [[providers.endpoints]]
  name = "openai-api"
  format = "openai_chat"
  base_url = "http://{provider}/v1"
    [[providers.endpoints.keys]]
    name = "main"
    secret = {{ plain = "sk-simulated" }}
"#
    );
    for model in &MODELS {
        text += &format!(
            "\n[[models]]\nname = \"{}\"\n  [[models.routes]]\n  endpoint = \"{}\"\n",
            model.name, model.endpoint
        );
    }
    for client in &CLIENTS {
        text += &format!(
            "\n[[clients]]\nname = \"{}\"\nkey = {{ plain = \"{}\" }}\ntags = {{ project = \"{}\" }}\n",
            client.name, client.key, client.project
        );
    }
    text
}
