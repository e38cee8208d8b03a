//! Which entry prices a request: exact names before aliases before dated names before patterns, and of those that fit
//! equally well the newest that was valid at the time. Where the newest are several, as each holds at other hours, those
//! with hours go before the one for the rest of the week.

use std::borrow::Borrow;

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
        let known = self.knows(provider);
        let whose = |price: &Price| if known { price.provider == provider } else { price.first_party };
        let (newest, fit) = models.iter().find_map(|model| self.newest(model, at, whose))?;
        chosen(&newest, at).map(|price| (price, fit))
    }

    /// The entries that decide at a time, each at its hours: more than one only where prices depend on the hour.
    pub fn standing(&self, provider: &str, models: &[&str], at: Timestamp) -> Vec<&Price> {
        let known = self.knows(provider);
        let whose = |price: &Price| if known { price.provider == provider } else { price.first_party };
        models.iter().find_map(|model| self.newest(model, at, whose)).map(|(newest, _)| newest).unwrap_or_default()
    }

    /// What the book says of a provider's model without looking at anybody else's list.
    pub fn at_provider(&self, provider: &str, model: &str, at: Timestamp) -> Option<&Price> {
        let (newest, _) = self.newest(model, at, |price| price.provider == provider)?;
        chosen(&newest, at)
    }

    fn knows(&self, provider: &str) -> bool {
        self.prices.iter().any(|price| price.provider == provider)
    }

    /// The newest of the entries that fit a name most closely. A name that fits nothing leaves it to the next one.
    fn newest(&self, model: &str, at: Timestamp, whose: impl Fn(&Price) -> bool) -> Option<(Vec<&Price>, Fit)> {
        if model.is_empty() {
            return None;
        }
        let valid = self.prices.iter().filter(|price| price.valid_from <= at && whose(price));
        let fitting = valid.filter_map(|price| price.fit(model).map(|fit| ((fit, price.valid_from), price)));
        let mut newest: Option<((Fit, Timestamp), Vec<&Price>)> = None;
        for (key, price) in fitting {
            match &mut newest {
                Some((best, prices)) if *best == key => prices.push(price),
                Some((best, _)) if *best > key => {}
                _ => newest = Some((key, vec![price])),
            }
        }
        newest.map(|((fit, _), prices)| (prices, fit))
    }
}

/// [`Price::of_hour`] for references, which outlive the list of them.
pub(super) fn chosen<'a>(standing: &[&'a Price], at: Timestamp) -> Option<&'a Price> {
    let price = Price::of_hour(standing, at)?;
    standing.iter().copied().find(|standing| std::ptr::eq(*standing, price))
}

impl Price {
    /// Which of the entries that decide together, as [`Book::standing`] gives them, does so at this time; `None` where
    /// none of them holds at this hour, or nobody knows whether it still does.
    pub fn of_hour<P: Borrow<Self>>(standing: &[P], at: Timestamp) -> Option<&Self> {
        let holds = |price: &&Self| price.hours.as_ref().is_none_or(|hours| hours.contains(at));
        let price = standing
            .iter()
            .map(|price| <P as Borrow<Self>>::borrow(price))
            .filter(holds)
            .max_by_key(|price| price.hours.is_some())?;
        Some(price).filter(|price| !price.is_over(at))
    }

    /// Whether nobody knows any more if it still holds.
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.valid_until.is_some_and(|until| until <= at)
    }

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
