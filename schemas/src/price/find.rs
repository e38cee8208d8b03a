//! Which entry prices a request: exact names before aliases before dated names before patterns, and of those that fit
//! equally well the newest that was valid at the time.

use super::{Book, Price};
use crate::time::Timestamp;

/// How closely a name fits an entry; the greater the closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// A pattern of that many characters before its `*`.
    Pattern(usize),
    /// The name without its date is listed.
    Undated,
    /// The name is listed among the aliases.
    Alias,
    /// The name is listed among the models.
    Exact,
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pattern(_) => "by a pattern",
            Self::Undated => "by the name without its date",
            Self::Alias => "by an alias",
            Self::Exact => "by its name",
        })
    }
}

impl Book {
    /// The price of a request to `provider` at a time. `models` are names for the model, the most telling first: what
    /// the provider was asked for, what it says has answered, the catalogue's name (W15).
    ///
    /// A provider that the book does not know at all is priced by the maker's own list.
    pub fn find(&self, provider: &str, models: &[&str], at: Timestamp) -> Option<&Price> {
        self.explain(provider, models, at).map(|(price, _)| price)
    }

    /// Like [`Self::find`], with the reason.
    pub fn explain(&self, provider: &str, models: &[&str], at: Timestamp) -> Option<(&Price, Fit)> {
        let known = self.prices.iter().any(|price| price.provider == provider);
        let whose = |price: &Price| if known { price.provider == provider } else { price.first_party };
        models.iter().filter(|model| !model.is_empty()).find_map(|model| self.closest(model, at, whose))
    }

    /// What the book says of a provider's model without looking at anybody else's list.
    pub fn at_provider(&self, provider: &str, model: &str, at: Timestamp) -> Option<&Price> {
        self.closest(model, at, |price| price.provider == provider).map(|(price, _)| price)
    }

    fn closest(&self, model: &str, at: Timestamp, whose: impl Fn(&Price) -> bool) -> Option<(&Price, Fit)> {
        self.prices
            .iter()
            .filter(|price| price.valid_from <= at && whose(price))
            .filter_map(|price| price.fit(model).map(|fit| (price, fit)))
            .max_by_key(|(price, fit)| (*fit, price.valid_from))
    }
}

impl Price {
    /// How closely a name fits this entry; `None`: not at all.
    pub fn fit(&self, name: &str) -> Option<Fit> {
        let undated = without_date(name);
        let by_name = |listed: &String, fit: Fit| match listed.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix).then_some(Fit::Pattern(prefix.len())),
            None if listed == name => Some(fit),
            None => (undated == Some(listed)).then_some(Fit::Undated),
        };
        let models = self.models.iter().filter_map(|listed| by_name(listed, Fit::Exact));
        models.chain(self.aliases.iter().filter_map(|listed| by_name(listed, Fit::Alias))).max()
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
