//! The configuration: one TOML file that all services read, each its own part.
//!
//! Every section has one file, which names its keys, their defaults and their rules. Reading never stops at the first
//! mistake: all of them are returned together, each with the path of its key. Unknown keys are mistakes.

mod read;
mod environment;
mod secret;
mod units;

mod nats;
mod clickhouse;
mod gateway;
mod capabilities;
mod providers;
mod models;
mod clients;
mod budget;
mod prices;
mod recorder;
mod analytics;

pub use self::analytics::Analytics;
pub use self::budget::{Budget, BudgetWindow, Unpriced};
pub use self::capabilities::{Capabilities, Requirement};
pub use self::clickhouse::ClickHouse;
pub use self::clients::{Client, ClientKey, RateLimits, glob_matches};
pub use self::gateway::{Capture, Drain, Gateway, LedgerFsync, OnLedgerFull, Smoothing, Timeouts};
pub use self::models::{Model, Route};
pub use self::nats::Nats;
pub use self::prices::{NoBook, Prices};
pub use self::providers::{Endpoint, Key, Provider};
pub use self::recorder::Recorder;
pub use self::secret::{Secret, SecretRef};
pub use self::units::{ByteSize, Span};

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use self::read::{Errors, Section};

/// Everything in the file, valid by construction. Secrets are still references: whoever needs one resolves it.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[nats]`
    pub nats: Nats,
    /// `[clickhouse]`
    pub clickhouse: ClickHouse,
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[[providers]]`
    pub providers: Vec<Provider>,
    /// `[[models]]`
    pub models: Vec<Model>,
    /// `[[clients]]`
    pub clients: Vec<Client>,
    /// `[prices]`
    pub prices: Prices,
    /// `[recorder]`
    pub recorder: Recorder,
    /// `[analytics]`
    pub analytics: Analytics,
}

/// One mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Path of the key, as in `providers[0].endpoints[1].base_url`; empty for the file as a whole.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { write!(f, "{}", self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// All mistakes found; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Mistake::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Config {
    /// Reads a file, with overrides from the process's environment.
    pub fn load(path: &Path) -> Result<Self, Mistakes> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Mistakes(vec![Mistake { path: String::new(), message: format!("cannot read {}: {error}", path.display()) }])
        })?;
        Self::parse(&text, &std::env::vars().collect())
    }

    /// Reads TOML text, with overrides `WEIR_SECTION__KEY` from `environment`.
    pub fn parse(text: &str, environment: &BTreeMap<String, String>) -> Result<Self, Mistakes> {
        let mut table: toml::Table = toml::from_str(text).map_err(|error| {
            Mistakes(vec![Mistake { path: String::new(), message: format!("not valid TOML: {error}") }])
        })?;
        let errors = Errors::default();
        environment::apply(&mut table, environment, &errors);
        let mut root = Section::new(String::new(), table, &errors);
        let config = Self {
            nats: Nats::read(root.section("nats")),
            clickhouse: ClickHouse::read(root.section("clickhouse")),
            gateway: Gateway::read(root.section("gateway")),
            providers: root.sections("providers").into_iter().map(Provider::read).collect(),
            models: root.sections("models").into_iter().map(Model::read).collect(),
            clients: root.sections("clients").into_iter().map(Client::read).collect(),
            prices: Prices::read(root.section("prices")),
            recorder: Recorder::read(root.section("recorder")),
            analytics: Analytics::read(root.section("analytics")),
        };
        root.finish();
        config.check_names(&errors);
        errors.into_result(config)
    }

    /// The endpoint of that name, with its provider.
    pub fn endpoint(&self, name: &str) -> Option<(&Provider, &Endpoint)> {
        self.providers.iter().find_map(|provider| {
            provider.endpoints.iter().find(|endpoint| endpoint.name == name).map(|endpoint| (provider, endpoint))
        })
    }

    /// Resolves every secret that the file refers to and reports those that cannot be had (`weir check`).
    pub fn check_secrets(&self) -> Result<(), Mistakes> {
        let errors = Errors::default();
        let check = |path: String, secret: Option<&SecretRef>| {
            if let Some(Err(message)) = secret.map(SecretRef::resolve) {
                errors.add(path, message);
            }
        };
        check("clickhouse.password".into(), self.clickhouse.password.as_ref());
        check("analytics.token".into(), self.analytics.token.as_ref());
        for (p, provider) in self.providers.iter().enumerate() {
            for (e, endpoint) in provider.endpoints.iter().enumerate() {
                for (k, key) in endpoint.keys.iter().enumerate() {
                    check(format!("providers[{p}].endpoints[{e}].keys[{k}].secret"), Some(&key.secret));
                }
            }
        }
        for (c, client) in self.clients.iter().enumerate() {
            for key in &client.keys {
                if let ClientKey::Secret(secret) = key {
                    check(format!("clients[{c}].key"), Some(secret));
                }
            }
        }
        errors.into_result(())
    }

    /// Names that must be unique, and references that must lead somewhere.
    fn check_names(&self, errors: &Errors) {
        let duplicates = |paths: Vec<(String, &str)>, what: &str| {
            let mut seen = BTreeMap::new();
            for (path, name) in paths {
                if let Some(first) = seen.insert(name.to_owned(), path.clone()).filter(|_| !name.is_empty()) {
                    errors.add(path, format!("the {what} {name:?} is already defined at {first}: choose another name"));
                }
            }
        };
        let indexed = |list: &str, names: Vec<&'_ str>| -> Vec<(String, String)> {
            names.iter().enumerate().map(|(i, name)| (format!("{list}[{i}].name"), (*name).to_owned())).collect()
        };
        let providers = indexed("providers", self.providers.iter().map(|p| p.name.as_str()).collect());
        duplicates(providers.iter().map(|(path, name)| (path.clone(), name.as_str())).collect(), "provider");
        let clients = indexed("clients", self.clients.iter().map(|c| c.name.as_str()).collect());
        duplicates(clients.iter().map(|(path, name)| (path.clone(), name.as_str())).collect(), "client");

        let mut endpoints = Vec::new();
        for (p, provider) in self.providers.iter().enumerate() {
            for (e, endpoint) in provider.endpoints.iter().enumerate() {
                endpoints.push((format!("providers[{p}].endpoints[{e}].name"), endpoint.name.as_str()));
                let keys = endpoint
                    .keys
                    .iter()
                    .enumerate()
                    .map(|(k, key)| (format!("providers[{p}].endpoints[{e}].keys[{k}].name"), key.name.as_str()));
                duplicates(keys.collect(), "key of this endpoint");
            }
        }
        duplicates(endpoints, "endpoint");

        let mut models = Vec::new();
        for (m, model) in self.models.iter().enumerate() {
            models.push((format!("models[{m}].name"), model.name.as_str()));
            models.extend(model.aliases.iter().map(|alias| (format!("models[{m}].aliases"), alias.as_str())));
            for (r, route) in model.routes.iter().enumerate() {
                if !route.endpoint.is_empty() && self.endpoint(&route.endpoint).is_none() {
                    let message = format!("there is no endpoint {:?} under [[providers]]", route.endpoint);
                    errors.add(format!("models[{m}].routes[{r}].endpoint"), message);
                }
            }
        }
        duplicates(models, "model or alias");
    }
}

#[cfg(test)]
mod tests;
