//! The demo's configuration: a file as an operator would write it, with this run's addresses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use schemas::config::Config;
use schemas::outcome::Format;
use toml::Value;
use uuid::Uuid;

use super::Error;
use super::script::{self, CLIENTS};
use crate::simulate::HEADER;
use crate::stack::{self, Listeners};

/// The variables that let the demo use a ClickHouse server which is there already.
const OVERRIDES: &str = "WEIR_CLICKHOUSE__";

/// An endpoint of the demo.
struct Endpoint {
    provider: &'static str,
    name: &'static str,
    format: Format,
    trouble: Trouble,
}

/// What is wrong with an endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// Nobody listens there.
    Unreachable,
    /// The simulated provider is told to fail, by a header that the configuration adds to every request.
    Fault(&'static str),
}

const fn endpoint(provider: &'static str, name: &'static str, format: Format, trouble: Trouble) -> Endpoint {
    Endpoint { provider, name, format, trouble }
}

/// Three providers that answer, each with an endpoint more for the drills, and a relay that is out of order in four ways.
const ENDPOINTS: [Endpoint; 12] = [
    endpoint("anthropic", "anthropic-api", Format::Anthropic, Trouble::None),
    endpoint("anthropic", "anthropic-drills", Format::Anthropic, Trouble::None),
    endpoint("openai", "openai-chat", Format::OpenaiChat, Trouble::None),
    endpoint("openai", "openai-responses", Format::OpenaiResponses, Trouble::None),
    endpoint("openai", "chat-drills", Format::OpenaiChat, Trouble::None),
    endpoint("openai", "responses-drills", Format::OpenaiResponses, Trouble::None),
    endpoint("google", "google-api", Format::Gemini, Trouble::None),
    endpoint("google", "google-drills", Format::Gemini, Trouble::None),
    endpoint("relay", "relay-anthropic", Format::Anthropic, Trouble::Fault("error-529")),
    endpoint("relay", "relay-chat", Format::OpenaiChat, Trouble::Unreachable),
    endpoint("relay", "relay-responses", Format::OpenaiResponses, Trouble::Fault("error-429-3")),
    endpoint("relay", "relay-gemini", Format::Gemini, Trouble::Fault("early-error")),
];

impl Endpoint {
    fn section(&self, address: SocketAddr) -> String {
        let Self { name, format, .. } = self;
        let headers = match self.trouble {
            Trouble::Fault(fault) => format!("  headers = {{ {HEADER} = \"{fault}\" }}\n"),
            Trouble::None | Trouble::Unreachable => String::new(),
        };
        format!(
            "  [[providers.endpoints]]\n  name = \"{name}\"\n  format = \"{format}\"\n  \
             base_url = \"http://{address}\"\n  max_retries = 0\n{headers}    \
             [[providers.endpoints.keys]]\n    name = \"main\"\n    secret = {{ plain = \"sk-simulated\" }}\n"
        )
    }
}

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
    let (nats, nowhere) = (stack::free_address().await?, stack::free_address().await?);
    let config = Config::parse(&file(&addresses, nats, nowhere, &folder.join("ledger")), &environment)?;
    addresses.clickhouse.clone_from(&config.clickhouse.url);
    let listeners = Listeners {
        clients,
        gateway_ops: gateway_ops_listener,
        recorder_ops: recorder_ops_listener,
        analytics: analytics_listener,
    };
    Ok((config, listeners, addresses))
}

fn file(addresses: &Addresses, nats: SocketAddr, nowhere: SocketAddr, ledger: &Path) -> String {
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

"#
    );
    text += &catalogue(*provider, nowhere);
    text
}

/// `[[providers]]`, `[[models]]` and `[[clients]]`, with the simulated provider and an address where nobody listens.
pub(crate) fn catalogue(provider: SocketAddr, nowhere: SocketAddr) -> String {
    let mut text = String::new();
    let mut provider_before = "";
    for endpoint in &ENDPOINTS {
        if std::mem::replace(&mut provider_before, endpoint.provider) != endpoint.provider {
            text += &format!("\n[[providers]]\nname = \"{}\"\n", endpoint.provider);
        }
        text += &endpoint.section(if endpoint.trouble == Trouble::Unreachable { nowhere } else { provider });
    }
    for model in script::models() {
        text += &format!("\n[[models]]\nname = \"{}\"\n", model.name);
        for (priority, endpoint) in model.routes.iter().enumerate() {
            text += &format!(
                "  [[models.routes]]\n  endpoint = \"{endpoint}\"\n  model = \"{}\"\n  priority = {priority}\n",
                model.upstream
            );
        }
    }
    for client in &CLIENTS {
        text += &format!(
            "\n[[clients]]\nname = \"{}\"\nkey = {{ plain = \"{}\" }}\ntags = {{ project = \"{}\" }}\n",
            client.name, client.key, client.project
        );
    }
    text
}
