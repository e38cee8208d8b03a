//! Which endpoints serve which model. Read-only after load.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use schemas::config::{Capabilities, Config, Endpoint, Key, Mistake, Mistakes, Model, Provider, Route, Secret};
use schemas::money::Factor;
use schemas::outcome::{Format, Operation};
use schemas::price::Book;
use schemas::time::Timestamp;
use sha2::{Digest, Sha256};
use url::Url;

use crate::formats::{self, Wanted};
use crate::health::TargetSpec;
use crate::quote::{Quote, Quoted};
use crate::routing::{Abilities, CANDIDATES_MAX, Identity};

/// One endpoint with one of its keys, ready to be asked.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its place in [`crate::health::Health`].
    pub(crate) id: usize,
    pub(crate) provider: String,
    pub(crate) endpoint: String,
    /// Name of the key; empty for an endpoint without keys.
    pub(crate) key: String,
    pub(crate) format: Format,
    /// Stands for the endpoint and the key, the same at every gateway.
    pub(crate) account: u64,
    pub(crate) base_url: Url,
    pub(crate) secret: Option<Secret>,
    /// Headers of the configuration, added to every request.
    pub(crate) headers: HeaderMap,
    pub(crate) cost_multiplier: Factor,
    /// Further tries here after a failed one.
    pub(crate) max_retries: u8,
    provider_priority: i32,
    weight: u32,
    max_concurrent: u32,
    /// As its endpoint and its key have them.
    capabilities: [Capabilities; 2],
}

/// A target and what to ask it for.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) target: Arc<Target>,
    pub(crate) model_upstream: String,
    /// Lower is tried first.
    pub(crate) priority: i32,
    /// Share of the load among candidates of the same priority.
    pub(crate) weight: f64,
    /// Tells the candidates apart in the same way at every gateway and after every restart.
    pub(crate) seed: u64,
    pub(crate) abilities: Abilities,
    /// What its tokens cost.
    pub(crate) quote: Quote,
    /// Where requests go, per kind of answer; made when first needed.
    addresses: [OnceLock<Option<Uri>>; 3],
}

/// A model with its candidates.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The canonical name.
    pub(crate) model: String,
    /// By format, and then in order of priority.
    pub(crate) candidates: Vec<Candidate>,
    /// In the order of the formats.
    dialects: [Dialect; Format::ALL.len()],
}

/// What is known of a format before any request speaks it. Places are among all candidates of the model.
#[derive(Clone, Debug, Default)]
struct Dialect {
    /// Those who speak it.
    speaking: Range<usize>,
    /// Of the others one for each endpoint and model, in order of priority, and no more than may stand in a line.
    others: Vec<usize>,
}

impl Listed {
    fn new(model: String, mut candidates: Vec<Candidate>) -> Self {
        candidates.sort_by_key(|candidate| (candidate.target.format, candidate.priority));
        let mut dialects: [Dialect; Format::ALL.len()] = Default::default();
        for (dialect, format) in dialects.iter_mut().zip(Format::ALL) {
            *dialect = Dialect::of(*format, &candidates);
        }
        Self { model, candidates, dialects }
    }

    /// The candidates that speak a format, by priority, and the place of the first of them among all.
    pub(crate) fn speaking(&self, format: Format) -> (usize, &[Candidate]) {
        let speaking = self.dialects.get(format as usize).map(|dialect| dialect.speaking.clone()).unwrap_or_default();
        (speaking.start, self.candidates.get(speaking).unwrap_or_default())
    }

    /// The endpoints that are left out because they speak another format, each with the model that it is asked for.
    pub(crate) fn others(&self, format: Format) -> impl Iterator<Item = &Candidate> {
        let others = self.dialects.get(format as usize).map(|dialect| dialect.others.as_slice()).unwrap_or_default();
        others.iter().filter_map(|place| self.candidates.get(*place))
    }

    /// The place in [`crate::health::Health`] of the candidate in this place.
    pub fn target_id(&self, place: usize) -> Option<usize> {
        self.candidates.get(place).map(|candidate| candidate.target.id)
    }

    /// What the candidate in this place is known by to [`crate::routing::Affinity`].
    pub fn identity(&self, place: usize) -> Option<Identity> {
        self.candidates.get(place).map(Candidate::identity)
    }
}

impl Dialect {
    fn of(format: Format, candidates: &[Candidate]) -> Self {
        let begin = candidates.partition_point(|candidate| candidate.target.format < format);
        let end = candidates.partition_point(|candidate| candidate.target.format <= format);
        let mut others: Vec<(usize, &Candidate)> =
            candidates.iter().enumerate().filter(|(_, candidate)| candidate.target.format != format).collect();
        others.sort_by_key(|(_, candidate)| candidate.priority);
        let mut seen = BTreeSet::new();
        others.retain(|(_, other)| seen.insert((other.target.endpoint.as_str(), other.model_upstream.as_str())));
        let others = others.into_iter().take(CANDIDATES_MAX).map(|(place, _)| place).collect();
        Self { speaking: begin..end, others }
    }
}

/// What a candidate's tokens cost depends on.
struct Priced<'a> {
    book: &'a Book,
    /// The catalogue's name of the model.
    model: &'a str,
    /// Most output tokens of an answer whose request states no bound.
    output_tokens: u64,
}

impl Candidate {
    fn new(target: &Arc<Target>, model_upstream: String, route: Option<&Route>, priced: &Priced<'_>) -> Self {
        let anything = Capabilities::default();
        let [endpoint, key] = &target.capabilities;
        let quoted = Quoted {
            provider: &target.provider,
            models: [&model_upstream, priced.model],
            multiplier: target.cost_multiplier,
            output_tokens: priced.output_tokens,
        };
        Self {
            seed: affinity([target.endpoint.as_str(), &target.key, &model_upstream]),
            target: Arc::clone(target),
            quote: Quote::new(priced.book, &quoted, Timestamp::now()),
            model_upstream,
            priority: route.and_then(|route| route.priority).unwrap_or(target.provider_priority),
            weight: f64::from(route.map_or(1, |route| route.weight)) * f64::from(target.weight),
            abilities: Abilities::of([endpoint, key, route.map_or(&anything, |route| &route.capabilities)]),
            addresses: Default::default(),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity { candidate: self.seed, account: self.target.account }
    }

    /// Where a request goes, without a query. `None` if that is no address that HTTP can have.
    pub(crate) fn address(&self, operation: Operation, stream: bool) -> Option<&Uri> {
        let [whole, streamed, count] = &self.addresses;
        let address = match (operation, stream) {
            (Operation::Generate, false) => whole,
            (Operation::Generate, true) => streamed,
            (Operation::CountTokens, _) => count,
        };
        let wanted = Wanted { operation, model: &self.model_upstream, stream };
        let make = || {
            let mut url = formats::upstream_url(self.target.format, &self.target.base_url, wanted);
            url.set_query(None);
            url.as_str().parse().ok()
        };
        address.get_or_init(make).as_ref()
    }
}

/// A number that stands for some names, the same everywhere and always.
pub(crate) fn affinity<'a>(names: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name);
        // No name holds it, so that no two lists run together.
        hash.update([0xff]);
    }
    hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// All models.
#[derive(Debug)]
pub struct Catalog {
    /// By name and alias.
    models: BTreeMap<String, Arc<Listed>>,
    targets: Vec<Arc<Target>>,
    allow_unlisted: bool,
    book: Arc<Book>,
}

impl Catalog {
    /// The catalogue of a configuration, priced by a book; secrets that are missing and headers that are none are mistakes.
    pub fn build(config: &Config, book: Arc<Book>) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut targets = Vec::new();
        for (p, provider) in config.providers.iter().enumerate() {
            for (e, endpoint) in provider.endpoints.iter().enumerate() {
                let path = format!("providers[{p}].endpoints[{e}]");
                targets.extend(endpoint_targets(provider, endpoint, &path, &mut mistakes));
            }
        }
        let numbered = targets.into_iter().enumerate().map(|(id, target)| Arc::new(Target { id, ..target }));
        let targets: Vec<Arc<Target>> = numbered.collect();
        let mut models = BTreeMap::new();
        for model in &config.models {
            let mut candidates = Vec::new();
            for route in &model.routes {
                let serving = targets.iter().filter(|target| target.endpoint == route.endpoint);
                candidates.extend(serving.map(|target| {
                    let model_upstream = route.model.clone().unwrap_or_else(|| model.name.clone());
                    let priced = Priced { book: &book, model: &model.name, output_tokens: model.max_output_tokens };
                    Candidate::new(target, model_upstream, Some(route), &priced)
                }));
            }
            let listed = Arc::new(Listed::new(model.name.clone(), candidates));
            for name in model.aliases.iter().chain([&model.name]) {
                models.insert(name.clone(), Arc::clone(&listed));
            }
        }
        let catalog = Self { models, targets, allow_unlisted: config.gateway.allow_unlisted_models, book };
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

    /// All targets, in the order of their ids.
    pub fn health_specs(&self) -> impl Iterator<Item = TargetSpec> {
        self.targets.iter().map(|target| TargetSpec {
            provider: target.provider.clone(),
            endpoint: target.endpoint.clone(),
            key: target.key.clone(),
            max_concurrent: target.max_concurrent,
            fingerprint: target.secret.as_ref().map_or(0, fingerprint),
        })
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
    pub fn find(&self, name: &str, format: Format) -> Option<Arc<Listed>> {
        if let Some(listed) = self.models.get(name) {
            return Some(Arc::clone(listed));
        }
        if !self.allow_unlisted || name.is_empty() {
            return None;
        }
        let serving = self.targets.iter().filter(|target| target.format == format);
        let priced = Priced { book: &self.book, model: name, output_tokens: Model::MAX_OUTPUT_TOKENS };
        let candidate = |target| Candidate::new(target, name.to_owned(), None, &priced);
        let candidates: Vec<Candidate> = serving.map(candidate).collect();
        (!candidates.is_empty()).then(|| Arc::new(Listed::new(name.to_owned(), candidates)))
    }
}

/// 32 bits of a hash: too few to find a secret by, enough to tell one from its successor.
fn fingerprint(secret: &Secret) -> u32 {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(secret.expose().as_bytes()).into();
    u32::from_be_bytes([a, b, c, d])
}

fn endpoint_targets(provider: &Provider, endpoint: &Endpoint, path: &str, mistakes: &mut Vec<Mistake>) -> Vec<Target> {
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
        let (weight, max_concurrent) = key.as_ref().map_or((1, 0), |(key, _)| (key.weight, key.max_concurrent));
        let of_key = key.as_ref().map_or_else(Capabilities::default, |(key, _)| key.capabilities.clone());
        Target {
            id: 0,
            provider: provider.name.clone(),
            account: affinity([endpoint.name.as_str(), &name]),
            endpoint: endpoint.name.clone(),
            key: name,
            format: endpoint.format,
            base_url: base_url.clone(),
            secret: key.map(|(_, secret)| secret),
            headers: headers.clone(),
            cost_multiplier: multiplier,
            max_retries: endpoint.max_retries,
            provider_priority: provider.priority,
            weight,
            max_concurrent,
            capabilities: [endpoint.capabilities.clone(), of_key],
        }
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
