//! `[[providers]]`

use std::collections::BTreeMap;
use std::fmt;

use super::read::Section;
use super::{Capabilities, SecretRef};
use crate::money::Factor;
use crate::outcome::Format;

/// Somebody who answers requests.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Name in events, rows and metrics.
    pub name: String,
    /// Lower is tried first.
    pub priority: i32,
    /// Where it is reached.
    pub endpoints: Vec<Endpoint>,
}

/// One base URL of a provider, speaking one format.
#[derive(Clone)]
pub struct Endpoint {
    /// Name, unique among all endpoints; routes refer to it.
    pub name: String,
    /// The dialect it speaks.
    pub format: Format,
    /// The URL that the format's paths are appended to. A trailing `/v1` and the like is understood (R4).
    pub base_url: String,
    /// Further tries at this endpoint after a failed one.
    pub max_retries: u8,
    /// Headers added to every request.
    pub headers: BTreeMap<String, String>,
    /// What it can do; a key or a route of it may say less.
    pub capabilities: Capabilities,
    /// Our keys there; none for an endpoint that asks for none.
    pub keys: Vec<Key>,
}

/// One of our keys at an endpoint.
#[derive(Clone, Debug)]
pub struct Key {
    /// Name in events, rows and metrics; never the key itself.
    pub name: String,
    /// The key.
    pub secret: SecretRef,
    /// Share of the load among equal keys.
    pub weight: u32,
    /// Most requests at once; 0 learns it.
    pub max_concurrent: u32,
    /// What the account behind it may do.
    pub capabilities: Capabilities,
    /// What a request costs us relative to the list price.
    pub cost_multiplier: Factor,
}

impl fmt::Debug for Endpoint {
    /// Added headers often carry credentials, so only their names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("format", &self.format)
            .field("base_url", &self.base_url)
            .field("max_retries", &self.max_retries)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("capabilities", &self.capabilities)
            .field("keys", &self.keys)
            .finish()
    }
}

impl Provider {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let provider = Self {
            name: section.required("name"),
            priority: section.or("priority", 10),
            endpoints: section.sections("endpoints").into_iter().map(Endpoint::read).collect(),
        };
        section.ensure(!provider.endpoints.is_empty(), "endpoints", "a provider needs at least one endpoint");
        section.finish();
        provider
    }
}

impl Endpoint {
    fn read(mut section: Section<'_>) -> Self {
        section.ensure(section.has("format"), "format", "is missing");
        let endpoint = Self {
            name: section.required("name"),
            format: section.or("format", Format::OpenaiChat),
            base_url: section.required("base_url"),
            max_retries: section.or("max_retries", 2),
            headers: section.or("headers", BTreeMap::new()),
            capabilities: section.or("capabilities", Capabilities::default()),
            keys: section.sections("keys").into_iter().map(Key::read).collect(),
        };
        if !endpoint.base_url.is_empty() {
            let message = "must be an http or https URL without query and fragment, like https://api.anthropic.com";
            let usable = url::Url::parse(&endpoint.base_url).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none()
            });
            section.ensure(usable, "base_url", message);
        }
        section.finish();
        endpoint
    }
}

impl Key {
    fn read(mut section: Section<'_>) -> Self {
        let key = Self {
            name: section.required("name"),
            secret: section.required("secret"),
            weight: section.or("weight", 1),
            max_concurrent: section.or("max_concurrent", 0),
            capabilities: section.or("capabilities", Capabilities::default()),
            cost_multiplier: section.or("cost_multiplier", Factor::ONE),
        };
        section.finish();
        key
    }
}
