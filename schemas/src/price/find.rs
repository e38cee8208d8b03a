//! Which entry prices a request: exact names before dated ones before patterns, the newest that was valid at the time.

use super::{Book, Price};
use crate::time::Timestamp;

/// How closely a name fits an entry; the greater the closer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// A pattern of that many characters before its `*`.
    Pattern(usize),
    /// The name without its date is listed.
    Undated,
    /// The name is listed.
    Exact,
}

impl Book {
    /// The price of a request to `provider` at a time. `models` are names for the model, the most telling first: what
    /// the provider was asked for, what it says has answered, the catalogue's name (W15).
    ///
    /// A provider that the book does not know at all is priced by the maker's own list.
    pub fn find(&self, provider: &str, models: &[&str], at: Timestamp) -> Option<&Price> {
        let known = self.prices.iter().any(|price| price.provider == provider);
        let candidates: Vec<&Price> = self
            .prices
            .iter()
            .filter(|price| if known { price.provider == provider } else { price.first_party })
            .filter(|price| price.valid_from <= at)
            .collect();
        models.iter().filter(|model| !model.is_empty()).find_map(|model| {
            candidates
                .iter()
                .filter_map(|price| price.fit(model).map(|fit| ((fit, price.valid_from), *price)))
                .max_by_key(|(rank, _)| *rank)
                .map(|(_, price)| price)
        })
    }
}

impl Price {
    fn fit(&self, name: &str) -> Option<Fit> {
        let undated = without_date(name);
        self.models
            .iter()
            .filter_map(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix).then_some(Fit::Pattern(prefix.len())),
                None if pattern == name => Some(Fit::Exact),
                None => (undated == Some(pattern)).then_some(Fit::Undated),
            })
            .max()
    }
}

/// `gpt-4o-2024-08-06` and `claude-sonnet-4-5-20250929` (also `@20250929`, as Vertex writes it) without their date.
fn without_date(name: &str) -> Option<&str> {
    let shapes: [&[u8]; 3] = [b"-dddd-dd-dd", b"-dddddddd", b"@dddddddd"];
    shapes.into_iter().find_map(|shape| {
        let at = name.len().checked_sub(shape.len())?;
        let tail = name.as_bytes().get(at..)?;
        let fits = tail.iter().zip(shape).all(|(byte, mark)| match mark {
            b'd' => byte.is_ascii_digit(),
            _ => byte == mark,
        });
        fits.then(|| name.get(..at)).flatten()
    })
}
