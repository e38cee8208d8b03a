//! Configuration files as an operator would write them, with the test's real addresses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemas::config::Config;
use schemas::outcome::Format;
use sha2::{Digest, Sha256};

/// The key of client `team-a`, which the configuration knows by its SHA-256 only.
pub const KEY_A: &str = "client-key-of-team-a";
/// The key of client `team-b`.
pub const KEY_B: &str = "client-key-of-team-b";
/// Our key at the Anthropic endpoint.
pub const UPSTREAM_KEY_ANTHROPIC: &str = "upstream-key-at-anthropic";
/// Our key at the OpenAI endpoint.
pub const UPSTREAM_KEY_OPENAI: &str = "upstream-key-at-openai";
/// Our key at the Google endpoint.
pub const UPSTREAM_KEY_GOOGLE: &str = "upstream-key-at-google";

/// A model of the catalogue that is served in this format.
pub fn model(format: Format) -> &'static str {
    match format {
        Format::Anthropic => "claude-sonnet-4-5",
        Format::OpenaiChat | Format::OpenaiResponses => "gpt-4o-mini",
        Format::Gemini => "gemini-2.5-flash",
    }
}

/// What the file says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[nats] url`
    pub nats_url: String,
    /// `[clickhouse] url`
    pub clickhouse_url: String,
    /// `[clickhouse] database`
    pub database: String,
    /// `[gateway] ledger_dir`
    pub ledger_dir: PathBuf,
    /// `[gateway] listen`
    pub listen: SocketAddr,
    /// `[gateway] ops_listen`
    pub ops_listen: SocketAddr,
    /// `[recorder] ops_listen`
    pub recorder_ops_listen: SocketAddr,
    /// Further lines of `[nats]`.
    pub nats: String,
    /// Further lines of `[gateway]`, sub-tables included.
    pub gateway: String,
    /// Further lines of `[recorder]`.
    pub recorder: String,
    /// Further lines of `[analytics]`.
    pub analytics: String,
    /// `[[providers]]`, `[[models]]` and `[[clients]]`.
    pub catalogue: String,
}

impl Settings {
    /// For services that read a database, with nothing else behind them.
    pub fn of_database(clickhouse_url: String, database: &str) -> Self {
        let nowhere = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        Self {
            nats_url: "nats://127.0.0.1:1".to_owned(),
            clickhouse_url,
            database: database.to_owned(),
            ledger_dir: "unused".into(),
            listen: nowhere,
            ops_listen: nowhere,
            recorder_ops_listen: nowhere,
            nats: String::new(),
            gateway: String::new(),
            recorder: String::new(),
            analytics: String::new(),
            catalogue: String::new(),
        }
    }

    /// The file.
    pub fn text(&self) -> String {
        let Self {
            nats_url,
            clickhouse_url,
            database,
            listen,
            ops_listen,
            gateway,
            recorder,
            analytics,
            catalogue,
            ..
        } = self;
        let Self { nats, recorder_ops_listen, .. } = self;
        let ledger_dir = toml::Value::String(self.ledger_dir.display().to_string());
        format!(
            r#"
[nats]
url = "{nats_url}"
{nats}

[clickhouse]
url = "{clickhouse_url}"
database = "{database}"

[gateway]
name = "gateway-under-test"
listen = "{listen}"
ops_listen = "{ops_listen}"
ledger_dir = {ledger_dir}
{gateway}

[recorder]
ops_listen = "{recorder_ops_listen}"
max_range_age = "200ms"
lease = "1s"
{recorder}

[analytics]
listen = "127.0.0.1:0"
{analytics}

{catalogue}
"#
        )
    }

    /// The file, read as the services read it.
    pub fn config(&self) -> Config {
        Config::parse(&self.text(), &BTreeMap::new()).unwrap_or_else(|mistakes| panic!("{mistakes}\n{}", self.text()))
    }
}

/// A provider per vendor behind one address; a model that is asked for under its own name, one under another, an alias.
pub fn catalogue(provider_url: &str) -> String {
    providers(provider_url) + &models_and_clients()
}

fn providers(provider_url: &str) -> String {
    format!(
        r#"
[[providers]]
name = "anthropic"
  [[providers.endpoints]]
  name = "anthropic-api"
  format = "anthropic"
  base_url = "{provider_url}"
  max_retries = 0
    [[providers.endpoints.keys]]
    name = "anthropic-main"
    secret = {{ plain = "{UPSTREAM_KEY_ANTHROPIC}" }}

[[providers]]
name = "openai"
  [[providers.endpoints]]
  name = "openai-api"
  format = "openai_chat"
  base_url = "{provider_url}/v1"
  max_retries = 0
    [[providers.endpoints.keys]]
    name = "openai-main"
    secret = {{ plain = "{UPSTREAM_KEY_OPENAI}" }}

  [[providers.endpoints]]
  name = "openai-responses-api"
  format = "openai_responses"
  base_url = "{provider_url}/v1"
  max_retries = 0
    [[providers.endpoints.keys]]
    name = "openai-main"
    secret = {{ plain = "{UPSTREAM_KEY_OPENAI}" }}

[[providers]]
name = "google"
  [[providers.endpoints]]
  name = "google-api"
  format = "gemini"
  base_url = "{provider_url}"
  max_retries = 0
    [[providers.endpoints.keys]]
    name = "google-main"
    secret = {{ plain = "{UPSTREAM_KEY_GOOGLE}" }}
"#
    )
}

fn models_and_clients() -> String {
    let hash: String = Sha256::digest(KEY_A.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        r#"
[[models]]
name = "claude-sonnet-4-5"
aliases = ["sonnet"]
  [[models.routes]]
  endpoint = "anthropic-api"
  model = "claude-sonnet-4-5-20250929"

[[models]]
name = "gpt-4o-mini"
  [[models.routes]]
  endpoint = "openai-api"
  [[models.routes]]
  endpoint = "openai-responses-api"

[[models]]
name = "small"
  [[models.routes]]
  endpoint = "openai-api"
  model = "gpt-4o-mini-2024-07-18"

[[models]]
name = "gemini-2.5-flash"
  [[models.routes]]
  endpoint = "google-api"

[[clients]]
name = "team-a"
key = {{ sha256 = "{hash}" }}
tags = {{ project = "alpha" }}

[[clients]]
name = "team-b"
key = {{ plain = "{KEY_B}" }}
"#
    )
}
