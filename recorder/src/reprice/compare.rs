//! What a request costs by the book, beside what is recorded. Pure.

use std::collections::BTreeMap;

use schemas::money::Pico;
use schemas::price::{Book, Priced};

use super::stored::Stored;

/// A request's cost, as it counts now and by the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) before: Option<Pico>,
    pub(super) price_id_before: String,
    pub(super) cache_saved_before: Pico,
    /// Whether that is known, as a number to count with: 1, or 0.
    pub(super) cache_saved_requests_before: i64,
    pub(super) after: Priced,
}

impl Change {
    /// Whether the cost is another one. That another entry leads to the same cost is none.
    pub(super) fn differs(&self) -> bool {
        self.before != self.after.cost
    }

    /// What to add to a sum of costs, in which an unknown cost counts nothing; `None` if it does not fit.
    pub(super) fn delta(&self) -> Option<Pico> {
        let known = |cost: Option<Pico>| cost.unwrap_or(Pico::ZERO).0;
        known(self.after.cost).checked_sub(known(self.before)).map(Pico)
    }

    /// What to add to a sum of what caches saved; `None` if it does not fit.
    pub(super) fn cache_saved_delta(&self) -> Option<Pico> {
        self.after.cache_saved.unwrap_or(Pico::ZERO).0.checked_sub(self.cache_saved_before.0).map(Pico)
    }

    /// What to add to the number of requests of which it is known what the cache saved; `None` if what is stored makes no
    /// sense.
    pub(super) fn cache_saved_requests_delta(&self) -> Option<i8> {
        let after = i64::from(self.after.cache_saved.is_some());
        i8::try_from(after.checked_sub(self.cache_saved_requests_before)?).ok()
    }

    /// What to add to the number of requests whose cost is known.
    pub(super) fn priced_delta(&self) -> i8 {
        i8::from(self.after.cost.is_some()) - i8::from(self.before.is_some())
    }
}

pub(super) fn change(book: &Book, request: &Stored) -> Change {
    let (before, price_id_before) = request.current();
    let usage = request.usage();
    let after = book.bill(&request.billed(&usage));
    Change {
        before,
        price_id_before: price_id_before.to_owned(),
        cache_saved_before: request.cache_saved(),
        cache_saved_requests_before: request.cache_saved_requests(),
        after,
    }
}

/// What a run found, by provider and model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// One line for each provider and model, in this order.
    pub lines: BTreeMap<(String, String), Line>,
}

/// What changes for one model of one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Requests of the period.
    pub requests: u64,
    /// Requests whose cost changes.
    pub changed: u64,
    /// Requests that had no known cost, and have one now.
    pub newly_priced: u64,
    /// Requests that had a known cost, and have none now.
    pub no_longer_priced: u64,
    /// The sum of known costs as it counts now.
    pub before: Pico,
    /// The sum of known costs by the book.
    pub after: Pico,
}

impl Summary {
    pub(super) fn add(&mut self, request: &Stored, change: &Change) {
        let line = self.lines.entry((request.provider.clone(), request.model.clone())).or_default();
        line.requests += 1;
        line.changed += u64::from(change.differs());
        line.newly_priced += u64::from(change.priced_delta() > 0);
        line.no_longer_priced += u64::from(change.priced_delta() < 0);
        line.before = line.before + change.before.unwrap_or(Pico::ZERO);
        line.after = line.after + change.after.cost.unwrap_or(Pico::ZERO);
    }

    /// The sum over all models.
    pub fn total(&self) -> Line {
        self.lines.values().fold(Line::default(), |sum, line| Line {
            requests: sum.requests + line.requests,
            changed: sum.changed + line.changed,
            newly_priced: sum.newly_priced + line.newly_priced,
            no_longer_priced: sum.no_longer_priced + line.no_longer_priced,
            before: sum.before + line.before,
            after: sum.after + line.after,
        })
    }
}
