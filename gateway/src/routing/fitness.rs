//! Whether a candidate can do what a request needs (R21). Pure.

use schemas::config::{Capabilities, Requirement};
use schemas::outcome::Capability;

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u8);

impl Needs {
    /// The same, and this one if `is_needed`.
    pub const fn with(self, capability: Capability, is_needed: bool) -> Self {
        Self(self.0 | (is_needed as u8) << capability as u8)
    }

    /// The first that is in both.
    fn first_of(self, other: Self) -> Option<Capability> {
        Capability::ALL.iter().copied().find(|one| self.0 & other.0 & (1 << *one as u8) != 0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// What is said about a request's needs, whatever it looks like (R21): by the settings of its client, and by its own
/// header, which counts more. Of two words about one capability the later holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirements {
    wanted: Needs,
    unwanted: Needs,
}

impl Requirements {
    /// The same, and this.
    pub(crate) const fn and(self, requirement: Requirement) -> Self {
        let Self { wanted, unwanted } = self;
        let this = Needs(1 << requirement.capability as u8);
        match requirement.is_wanted {
            true => Self { wanted: Needs(wanted.0 | this.0), unwanted: unwanted.without(this) },
            false => Self { wanted: wanted.without(this), unwanted: Needs(unwanted.0 | this.0) },
        }
    }

    /// What a request needs that looks as if it needed `detected`: that counts where nothing is said.
    pub(crate) const fn needs(self, detected: Needs) -> Needs {
        Needs(detected.without(self.unwanted).0 | self.wanted.0)
    }
}

/// What a candidate can do, as its endpoint, its key and its route say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    lacks: Needs,
    kept_for: Needs,
}

/// Why a candidate is no match for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The request needs what it has not.
    Lacks(Capability),
    /// It is kept for requests that need this.
    KeptFor(Capability),
}

impl Abilities {
    /// Each of them may know less than the others.
    pub(crate) fn of(all: [&Capabilities; 3]) -> Self {
        let set = |is_in: &dyn Fn(Capability) -> bool| {
            Capability::ALL.iter().fold(Needs::default(), |set, one| set.with(*one, is_in(*one)))
        };
        Self {
            lacks: set(&|one| !all.iter().all(|known| known.allow(one))),
            kept_for: set(&|one| all.iter().any(|known| known.keep_for(one))),
        }
    }

    /// Why it is no match; nothing if it is one.
    pub(crate) fn unfit(self, needs: Needs) -> Option<Unfit> {
        let lacking = needs.first_of(self.lacks).map(Unfit::Lacks);
        lacking.or_else(|| self.kept_for.without(needs).first_of(self.kept_for).map(Unfit::KeptFor))
    }
}

impl Unfit {
    /// The reason in candidate events, rows and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lacks(Capability::Context1m) => "lacks_context_1m",
            Self::Lacks(Capability::Cache1h) => "lacks_cache_1h",
            Self::KeptFor(Capability::Context1m) => "kept_for_context_1m",
            Self::KeptFor(Capability::Cache1h) => "kept_for_cache_1h",
        }
    }

    /// The same for the client, when nobody is left.
    pub fn explain(self) -> &'static str {
        match self {
            Self::Lacks(Capability::Context1m) => {
                "no provider of this model offers the long context that the request needs (`anthropic-beta: context-1m-...`, \
                 or context_1m in `x-require-capability` or in the settings of its client)"
            }
            Self::Lacks(Capability::Cache1h) => {
                "no provider of this model offers the cache of an hour that the request needs (`ttl: 1h`, or cache_1h in \
                 `x-require-capability` or in the settings of its client)"
            }
            Self::KeptFor(_) => {
                "every provider of this model is kept for requests that need a cache of an hour (`cache_control.ttl: 1h`, \
                 or `x-require-capability: cache_1h`)"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn listed(names: Option<&str>) -> Capabilities {
        let line = names.map_or(String::new(), |names| format!("capabilities = {names}"));
        let file = format!(
            "[[providers]]\nname = \"p\"\n[[providers.endpoints]]\nname = \"e\"\nformat = \"anthropic\"\n\
             base_url = \"http://127.0.0.1:9\"\n{line}"
        );
        let config = schemas::config::Config::parse(&file, &BTreeMap::new()).unwrap();
        config.providers[0].endpoints[0].capabilities.clone()
    }

    #[test]
    fn what_is_said_counts_more_than_what_a_request_looks_like_and_the_last_word_most() {
        let said =
            |words: &[&str]| words.iter().fold(Requirements::default(), |said, word| said.and(word.parse().unwrap()));
        let (none, hour) = (Needs::default(), Needs::default().with(Capability::Cache1h, true));
        let both = hour.with(Capability::Context1m, true);
        for (words, detected, expected) in [
            (&[][..], hour, hour),
            (&["cache_1h"], none, hour),
            (&["-cache_1h"], hour, none),
            (&["-cache_1h"], both, none.with(Capability::Context1m, true)),
            (&["-cache_1h", "cache_1h"], none, hour),
            (&["cache_1h", "-cache_1h"], both, none.with(Capability::Context1m, true)),
            (&["context_1m"], hour, both),
        ] {
            assert_eq!(said(words).needs(detected), expected, "{words:?}");
        }
    }

    #[test]
    fn what_any_of_them_does_not_list_is_lacking_and_what_is_kept_serves_nobody_else() {
        let (long, hour) = (Needs::default().with(Capability::Context1m, true), Capability::Cache1h);
        let (plain, cached) = (Needs::default(), Needs::default().with(hour, true));
        let both = long.with(hour, true);
        let (nothing, none, all) = (None, Some("[]"), Some("[\"cache_1h\", \"context_1m\"]"));
        for (endpoint, key, route, expected) in [
            (nothing, nothing, nothing, [None, None, None, None]),
            (
                none,
                nothing,
                all,
                [Some("kept_for_cache_1h"), Some("lacks_context_1m"), Some("lacks_cache_1h"), Some("lacks_context_1m")],
            ),
            (nothing, Some("[\"context_1m\"]"), nothing, [None, None, Some("lacks_cache_1h"), Some("lacks_cache_1h")]),
            (
                nothing,
                nothing,
                Some("[\"cache_1h\"]"),
                [Some("kept_for_cache_1h"), Some("lacks_context_1m"), None, Some("lacks_context_1m")],
            ),
            (all, all, nothing, [Some("kept_for_cache_1h"), Some("kept_for_cache_1h"), None, None]),
        ] {
            let abilities = Abilities::of([&listed(endpoint), &listed(key), &listed(route)]);
            let reasons = [plain, long, cached, both].map(|needs| abilities.unfit(needs).map(Unfit::as_str));
            assert_eq!(reasons, expected, "{endpoint:?} {key:?} {route:?}");
        }
    }
}
