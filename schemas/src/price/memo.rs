//! A book that remembers what it has found: many requests name the same few models.

use std::collections::HashMap;

use super::find::chosen;
use super::{Billed, Book, Price, Priced};
use crate::time::Timestamp;

/// Names remembered at most. Clients choose some of them, so there may be any number.
const MOST: usize = 1024;

/// A book for many bills in a row.
#[derive(Debug)]
pub struct Memo<'b> {
    book: &'b Book,
    /// From when on its entries are valid, in order: between two of these times the same entries decide.
    begins: Vec<Timestamp>,
    /// Those entries, of which the hour chooses one.
    found: HashMap<Box<[u8]>, Vec<&'b Price>>,
    key: Vec<u8>,
}

impl<'b> Memo<'b> {
    /// Remembers nothing yet.
    pub fn new(book: &'b Book) -> Self {
        let mut begins: Vec<Timestamp> = book.entries().iter().map(|price| price.valid_from).collect();
        begins.sort_unstable();
        begins.dedup();
        Self { book, begins, found: HashMap::new(), key: Vec::new() }
    }

    /// What [`Book::bill`] says.
    pub fn bill(&mut self, billed: &Billed<'_>) -> Priced {
        billed.priced_by(self.find(billed))
    }

    fn find(&mut self, billed: &Billed<'_>) -> Option<&'b Price> {
        let names = [billed.provider, billed.model_upstream, billed.model_reported, billed.model];
        let era = self.begins.partition_point(|begins| *begins <= billed.received_at);
        self.key.clear();
        self.key.extend_from_slice(&era.to_le_bytes());
        for name in names {
            // With their lengths, so that no two lists of names read the same.
            self.key.extend_from_slice(&name.len().to_le_bytes());
            self.key.extend_from_slice(name.as_bytes());
        }
        if let Some(standing) = self.found.get(self.key.as_slice()) {
            return chosen(standing, billed.received_at);
        }
        let [provider, models @ ..] = names;
        let standing = self.book.standing(provider, &models, billed.received_at);
        let found = chosen(&standing, billed.received_at);
        if self.found.len() >= MOST {
            self.found.clear();
        }
        self.found.insert(self.key.as_slice().into(), standing);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Factor;
    use crate::price::Charge;
    use crate::usage::Usage;

    #[test]
    fn says_what_the_book_says_at_every_time_and_keeps_within_its_bound() {
        let book = Book::builtin().unwrap();
        let usage = Usage { input: Some(9), fresh_input: Some(9), output: Some(5), ..Usage::UNKNOWN };
        let mut memo = Memo::new(&book);
        let bound =
            |at: Timestamp| [at.as_micros() - 1, at.as_micros(), at.as_micros() + 1].map(Timestamp::from_micros);
        // Around every moment at which something changes by itself, and at the hours of some days.
        let ends = book.entries().iter().filter_map(|price| price.valid_until);
        let hours = (0..24).map(|hour| Timestamp::from_micros(1_795_219_200_000_000 + 7 * hour * 3_600_000_000));
        let times: Vec<Timestamp> = memo.begins.iter().copied().chain(ends).flat_map(bound).chain(hours).collect();
        let (mut bills, mut unpriced) = (0, 0);
        for entry in book.entries() {
            for model in entry.models.iter().chain(&entry.aliases) {
                for (provider, at) in times.iter().flat_map(|at| [(entry.provider.as_str(), at), ("someone", at)]) {
                    let model = model.trim_end_matches('*');
                    let (model_upstream, model_reported) = (model, "");
                    let (received_at, multiplier, usage) = (*at, Factor::ONE, &usage);
                    let charge = Charge::Read(None);
                    let billed = Billed {
                        provider,
                        model_upstream,
                        model_reported,
                        model,
                        received_at,
                        usage,
                        charge,
                        multiplier,
                    };
                    // The second time it is remembered.
                    let expected = book.bill(&billed);
                    assert_eq!([memo.bill(&billed), memo.bill(&billed)], [expected.clone(), expected.clone()]);
                    bills += 1;
                    unpriced += u32::from(expected.unpriced);
                    assert!(memo.found.len() <= MOST);
                }
            }
        }
        assert!(bills > 2 * MOST as u32 && unpriced > 0 && unpriced < bills, "{bills} bills, {unpriced} unpriced");
    }

    #[test]
    fn names_are_told_apart_wherever_they_end() {
        let book = Book::parse(
            "[[prices]]\nid = '1'\nprovider = 'a'\nmodels = ['bc']\nvalid_from = '2026-01-01T00:00:00Z'\n\
             source = 'https://example.com'\ninput = '1'\noutput = '2'\n",
        )
        .unwrap();
        let mut memo = Memo::new(&book);
        let mut id = |provider, model_upstream| {
            let received_at = "2026-06-01T00:00:00Z".parse().unwrap();
            let (usage, multiplier) = (&Usage::UNKNOWN, Factor::ONE);
            let (model_reported, model) = ("", "");
            let charge = Charge::Read(None);
            let billed =
                Billed { provider, model_upstream, model_reported, model, received_at, usage, charge, multiplier };
            memo.bill(&billed).price_id
        };
        assert_eq!([id("ab", "c"), id("a", "bc"), id("abc", "")], ["", "1", ""]);
    }
}
