//! Which endpoints serve which model. Read-only after load.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemas::config::{Config, Endpoint, Key, Mistake, Mistakes, Provider, Secret};
use schemas::money::Factor;
use schemas::outcome::Format;

/// One endpoint with one of its keys, ready to be asked.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) provider: String,
    pub(crate) endpoint: String,
    /// Name of the key; empty for an endpoint without keys.
    pub(crate) key: String,
    pub(crate) format: Format,
    pub(crate) base_url: Url,
    pub(crate) secret: Option<Secret>,
    /// Headers of the configuration, added to every request.
    pub(crate) headers: HeaderMap,
    pub(crate) cost_multiplier: Factor,
    provider_priority: i32,
}

/// A target and what to ask it for.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) target: Arc<Target>,
    pub(crate) model_upstream: String,
    priority: (i32, i32),
}

/// A model with its candidates, best first.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// The canonical name.
    pub(crate) model: String,
    pub(crate) candidates: Vec<Candidate>,
}

/// All models.
#[derive(Debug)]
pub(crate) struct Catalog {
    /// By name and alias.
    models: BTreeMap<String, Arc<Listed>>,
    targets: Vec<Arc<Target>>,
    allow_unlisted: bool,
}

impl Catalog {
    pub(crate) fn build(config: &Config) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut targets = Vec::new();
        for (p, provider) in config.providers.iter().enumerate() {
            for (e, endpoint) in provider.endpoints.iter().enumerate() {
                let path = format!("providers[{p}].endpoints[{e}]");
                targets.extend(endpoint_targets(provider, endpoint, &path, &mut mistakes));
            }
        }
        let mut models = BTreeMap::new();
        for model in &config.models {
            let mut candidates = Vec::new();
            for route in &model.routes {
                let serving = targets.iter().filter(|target| target.endpoint == route.endpoint);
                candidates.extend(serving.map(|target| Candidate {
                    target: Arc::clone(target),
                    model_upstream: route.model.clone().unwrap_or_else(|| model.name.clone()),
                    priority: (route.priority.unwrap_or(0), target.provider_priority),
                }));
            }
            candidates.sort_by_key(|candidate| candidate.priority);
            let listed = Arc::new(Listed { model: model.name.clone(), candidates });
            for name in model.aliases.iter().chain([&model.name]) {
                models.insert(name.clone(), Arc::clone(&listed));
            }
        }
        let catalog = Self { models, targets, allow_unlisted: config.gateway.allow_unlisted_models };
        if mistakes.is_empty() { Ok(catalog) } else { Err(Mistakes(mistakes)) }
    }

    /// The names and aliases of models that an endpoint of this format serves, each with its canonical name, in order.
    pub(crate) fn names(&self, format: Format) -> impl Iterator<Item = (&str, &str)> {
        // Both OpenAI formats share one list.
        let family = |other: Format| match other {
            Format::OpenaiResponses => Format::OpenaiChat,
            other => other,
        };
        self.models
            .iter()
            .filter(move |(_, listed)| listed.candidates.iter().any(|one| family(one.target.format) == family(format)))
            .map(|(name, listed)| (name.as_str(), listed.model.as_str()))
    }

    /// What must never be written down: the keys, and the headers of the configuration, which may hold credentials too.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = Secret> {
        let credential = |(name, value): (&HeaderName, &HeaderValue)| {
            let is_one = ["auth", "key", "token", "secret", "cookie"].iter().any(|part| name.as_str().contains(part));
            is_one.then(|| value.to_str().ok().map(Secret::new)).flatten()
        };
        let of_target = move |target: &Arc<Target>| {
            target.secret.iter().cloned().chain(target.headers.iter().filter_map(credential)).collect::<Vec<_>>()
        };
        self.targets.iter().flat_map(of_target)
    }

    /// The model that a client's name means. An unlisted one goes to every endpoint of the client's format, if allowed.
    pub(crate) fn find(&self, name: &str, format: Format) -> Option<Arc<Listed>> {
        if let Some(listed) = self.models.get(name) {
            return Some(Arc::clone(listed));
        }
        if !self.allow_unlisted || name.is_empty() {
            return None;
        }
        let mut candidates: Vec<Candidate> = self
            .targets
            .iter()
            .filter(|target| target.format == format)
            .map(|target| Candidate {
                target: Arc::clone(target),
                model_upstream: name.to_owned(),
                priority: (0, target.provider_priority),
            })
            .collect();
        candidates.sort_by_key(|candidate| candidate.priority);
        (!candidates.is_empty()).then(|| Arc::new(Listed { model: name.to_owned(), candidates }))
    }
}

fn endpoint_targets(
    provider: &Provider,
    endpoint: &Endpoint,
    path: &str,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Arc<Target>> {
    let mut fail = |key: String, message: String| mistakes.push(Mistake { path: format!("{path}.{key}"), message });
    let base_url = match endpoint.base_url.parse::<Url>() {
        Ok(url) => url,
        Err(error) => {
            fail("base_url".to_owned(), error.to_string());
            return Vec::new();
        }
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &endpoint.headers {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            // The value may be a credential: the name alone tells where to look.
            _ => fail(format!("headers.{name}"), "is not a valid header".to_owned()),
        }
    }
    let target = |key: Option<(&Key, Secret)>| {
        let (name, multiplier) =
            key.as_ref().map_or((String::new(), Factor::ONE), |(key, _)| (key.name.clone(), key.cost_multiplier));
        Arc::new(Target {
            provider: provider.name.clone(),
            endpoint: endpoint.name.clone(),
            key: name,
            format: endpoint.format,
            base_url: base_url.clone(),
            secret: key.map(|(_, secret)| secret),
            headers: headers.clone(),
            cost_multiplier: multiplier,
            provider_priority: provider.priority,
        })
    };
    if endpoint.keys.is_empty() {
        return vec![target(None)];
    }
    let mut targets = Vec::new();
    for (k, key) in endpoint.keys.iter().enumerate() {
        match key.secret.resolve() {
            Ok(secret) if HeaderValue::from_str(secret.expose()).is_ok() => targets.push(target(Some((key, secret)))),
            Ok(_) => fail(format!("keys[{k}].secret"), "holds characters that no header can carry".to_owned()),
            Err(message) => fail(format!("keys[{k}].secret"), message),
        }
    }
    targets
}
