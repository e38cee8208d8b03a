//! What a foreign list says differently from our book.

use std::collections::BTreeSet;

use schemas::money::Pico;
use schemas::price::{Book, Price, Tier};
use schemas::time::Timestamp;

use super::{List, Listed};

/// What becomes of one listed model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The book has no price for it yet.
    New(Price),
    /// The book's entry says otherwise.
    Changed {
        /// The entry that prices it today.
        before: Box<Price>,
        /// The entry that would from then on.
        after: Price,
    },
}

impl Change {
    /// The entry to be added.
    pub fn entry(&self) -> &Price {
        match self {
            Self::New(price) | Self::Changed { after: price, .. } => price,
        }
    }
}

/// A list beside a book.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// What would be added to the book.
    pub changes: Vec<Change>,
    /// How many listed models the book prices just so.
    pub same: usize,
    /// Models that the book prices today and the list does not name.
    pub unlisted: Vec<String>,
    /// Listed models whose names another listed model has as well; they are left out.
    pub contradictions: Vec<String>,
    /// How many models the book prices today, of the providers that were compared.
    pub priced: usize,
}

/// The list names fewer than half of the models that the book prices.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the list names only {named} of the {priced} models that the book prices today; it may be cut short, or of another \
     kind. If it is right, add --allow-shrink"
)]
pub struct Shrunk {
    /// Models of the book that the list names as well.
    pub named: usize,
    /// Models of the book.
    pub priced: usize,
}

impl Difference {
    /// Compares a list with the book's prices at a time. `source` is what new entries cite where the list names nothing.
    pub fn between(book: &Book, list: &List, at: Timestamp, source: &str) -> Self {
        let mut difference = Self::default();
        let mut added = Book::default();
        let mut models: Vec<&Listed> = list.models.iter().collect();
        // The shortest name first: dated names of the same price then need no entry of their own.
        models.sort_by_key(|model| (model.provider.clone(), model.names[0].len(), model.names[0].clone()));
        for model in models {
            let (provider, name) = (&model.provider, &model.names[0]);
            let known = added.at_provider(provider, name, at).or_else(|| book.at_provider(provider, name, at)).cloned();
            let entry = entry(model, known.as_ref(), at, source);
            // What only the provider's own reports price has no price to compare with.
            let known = known.filter(|price| !price.tiers.is_empty());
            if known.as_ref().is_some_and(|price| agrees(price, model)) {
                difference.same += 1;
                continue;
            }
            let mut entries = added.entries().to_vec();
            entries.push(entry.clone());
            match Book::new(entries) {
                Ok(grown) => added = grown,
                Err(error) => {
                    difference.contradictions.push(error.to_string());
                    continue;
                }
            }
            difference.changes.push(match known {
                Some(before) => Change::Changed { before: Box::new(before), after: entry },
                None => Change::New(entry),
            });
        }
        difference.count_unlisted(book, list, at);
        difference
    }

    fn count_unlisted(&mut self, book: &Book, list: &List, at: Timestamp) {
        let theirs: Vec<Price> = list.models.iter().map(|model| entry(model, None, at, "")).collect();
        let skipped: BTreeSet<&str> = list.skipped.iter().map(|skipped| skipped.name.as_str()).collect();
        let mut current: BTreeSet<(&str, &str)> = BTreeSet::new();
        for price in book.entries().iter().filter(|price| price.valid_from <= at) {
            if theirs.iter().any(|listed| listed.provider == price.provider) && !price.is_over(at) {
                let names = price.models.iter().filter(|model| !model.ends_with('*'));
                current.extend(names.map(|model| (price.provider.as_str(), model.as_str())));
            }
        }
        let listed = |(provider, model): &(&str, &str)| {
            let ours = book.at_provider(provider, model, at);
            let dated = |name: &String| ours.is_some_and(|ours| ours.fit(name).is_some());
            let same = |price: &Price| price.fit(model).is_some() || price.models.iter().any(dated);
            theirs.iter().any(|price| price.provider == *provider && same(price))
        };
        self.priced = current.len();
        let missing = current.iter().filter(|model| !listed(model));
        let missing = missing.map(|(provider, model)| format!("{provider}/{model}"));
        self.unlisted = missing.filter(|name| !skipped.contains(name.as_str())).collect();
    }

    /// Refuses a list that names fewer than half of what the book prices.
    ///
    /// # Errors
    /// [`Shrunk`], with the counts.
    pub fn check_size(&self) -> Result<(), Shrunk> {
        let named = self.priced - self.unlisted.len();
        if named * 2 < self.priced { Err(Shrunk { named, priced: self.priced }) } else { Ok(()) }
    }
}

/// Whether every price that the list states is the book's as well. What the list does not state is no difference.
fn agrees(price: &Price, listed: &Listed) -> bool {
    let same = |ours: Option<Pico>, theirs: Option<Pico>| theirs.is_none() || ours == theirs;
    price.tiers.len() == listed.tiers.len()
        && price.per_request == listed.per_request
        && price.tiers.iter().zip(&listed.tiers).all(|(ours, theirs): (&Tier, &Tier)| {
            ours.over_input_tokens == theirs.over_input_tokens
                && ours.input == theirs.input
                && ours.output == theirs.output
                && same(ours.cache_read, theirs.cache_read)
                && same(ours.cache_write_5m, theirs.cache_write_5m)
                && same(ours.cache_write_1h, theirs.cache_write_1h)
        })
}

/// The entry that takes a listed model over: from the day that the list tells, if that is after the entry before it.
fn entry(listed: &Listed, before: Option<&Price>, at: Timestamp, source: &str) -> Price {
    let told = listed.since.filter(|since| before.is_none_or(|price| price.valid_from < *since));
    let valid_from = told.unwrap_or(at);
    let model = &listed.names[0];
    let day: String = valid_from.to_string().chars().take("2026-01-01".len()).collect();
    Price {
        id: format!("{}/{model}@{day}", listed.provider),
        provider: listed.provider.clone(),
        first_party: before.is_some_and(|price| price.first_party),
        models: listed.names.clone(),
        aliases: Vec::new(),
        valid_from,
        valid_until: None,
        hours: None,
        is_reported: before.is_some_and(|price| price.is_reported),
        source: listed.source.clone().unwrap_or_else(|| source.to_owned()),
        tiers: listed.tiers.clone(),
        per_request: listed.per_request,
    }
}
