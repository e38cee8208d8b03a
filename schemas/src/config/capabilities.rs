//! `capabilities`, of endpoints, keys and routes; `require_capabilities`, of clients.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::outcome::Capability;

/// What an endpoint, a key or a route can do besides answering. A list holds all that there is; without one nothing is
/// known, and every request may be sent there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(Option<BTreeSet<Capability>>);

impl Capabilities {
    /// Whether a request that needs this may be sent there.
    pub fn allow(&self, needed: Capability) -> bool {
        self.0.as_ref().is_none_or(|known| known.contains(&needed))
    }

    /// Whether it is kept for requests that need this.
    pub fn keep_for(&self, capability: Capability) -> bool {
        capability.is_exclusive() && self.0.as_ref().is_some_and(|known| known.contains(&capability))
    }
}

/// What requests need, whatever they look like: a capability by its name, or with `-` before it that they do not (R21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Of what.
    pub capability: Capability,
    /// Whether it is needed.
    pub is_wanted: bool,
}

impl FromStr for Requirement {
    /// What is wrong, for whoever wrote it.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix('-');
        let capability = name.unwrap_or(text).parse()?;
        Ok(Self { capability, is_wanted: name.is_none() })
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeSet::deserialize(deserializer).map(|known| Self(Some(known)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Capabilities, toml::de::Error> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            capabilities: Capabilities,
        }
        toml::from_str::<File>(text).map(|file| file.capabilities)
    }

    #[test]
    fn a_requirement_is_a_name_or_its_denial() {
        let said = |text: &str| text.parse::<Requirement>().map(|one| (one.capability, one.is_wanted));
        assert_eq!(said("cache_1h"), Ok((Capability::Cache1h, true)));
        assert_eq!(said("-context_1m"), Ok((Capability::Context1m, false)));
        for wrong in ["", "-", "--cache_1h", "vision", "cache_1h "] {
            assert!(said(wrong).unwrap_err().contains("is none of context_1m, cache_1h"), "{wrong}");
        }
    }

    #[test]
    fn a_list_holds_all_there_is_and_no_list_says_nothing() {
        let says = |text: &str| {
            let known = read(text).unwrap();
            Capability::ALL.iter().map(|one| (known.allow(*one), known.keep_for(*one))).collect::<Vec<_>>()
        };
        assert_eq!(says(""), [(true, false), (true, false)]);
        assert_eq!(says("capabilities = []"), [(false, false), (false, false)]);
        assert_eq!(says("capabilities = [\"context_1m\"]"), [(true, false), (false, false)]);
        assert_eq!(says("capabilities = [\"cache_1h\"]"), [(false, false), (true, true)]);
        assert!(read("capabilities = [\"vision\"]").unwrap_err().to_string().contains("vision"));
    }
}
