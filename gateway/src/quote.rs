//! What a candidate's tokens cost, now and after each change of prices that the book already knows.

use schemas::money::{Factor, Pico};
use schemas::price::{Book, Price};
use schemas::time::Timestamp;

/// The prices of one model at one provider, for one of our keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    /// By the time from which they hold: more than one where prices depend on the hour, and none where nobody knows any.
    prices: Vec<(Timestamp, Vec<Price>)>,
    multiplier: Factor,
    /// Most output tokens of an answer whose request states no bound.
    output_tokens: u64,
}

/// Who is asked for what.
pub(crate) struct Quoted<'a> {
    pub(crate) provider: &'a str,
    /// What the provider is asked for, and the catalogue's name.
    pub(crate) models: [&'a str; 2],
    pub(crate) multiplier: Factor,
    pub(crate) output_tokens: u64,
}

impl Quote {
    /// Looks the prices up once, so that no request has to.
    pub(crate) fn new(book: &Book, quoted: &Quoted<'_>, now: Timestamp) -> Self {
        let mut turns: Vec<Timestamp> = book.entries().iter().map(|price| price.valid_from).collect();
        turns.retain(|turn| *turn > now);
        turns.push(now);
        turns.sort_unstable();
        let mut prices: Vec<(Timestamp, Vec<Price>)> = Vec::new();
        for turn in turns {
            let standing = book.standing(quoted.provider, &quoted.models, turn);
            if prices.last().is_none_or(|(_, last)| !last.iter().eq(standing.iter().copied())) {
                prices.push((turn, standing.into_iter().cloned().collect()));
            }
        }
        Self { prices, multiplier: quoted.multiplier, output_tokens: quoted.output_tokens }
    }

    /// Most output tokens of a request that states this bound for each of so many answers.
    pub(crate) fn output_tokens(&self, stated: Option<u64>, answers: u64) -> u64 {
        stated.unwrap_or(self.output_tokens).saturating_mul(answers.max(1))
    }

    /// The most that a request of so many tokens can cost; `None` where the book knows no price.
    pub(crate) fn most(&self, input: u64, output: u64, now: Timestamp) -> Option<Pico> {
        let valid = self.prices.iter().rev().find(|(from, _)| *from <= now);
        // The clock may have been set back since the start.
        let (_, standing) = valid.or(self.prices.first())?;
        Price::of_hour(standing, now)?.most(input, output, self.multiplier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_that_the_book_knows_to_change_changes_in_time() {
        let entry = |from: &str, input: &str| {
            format!(
                "[[prices]]\nid = \"p/m@{from}\"\nprovider = \"p\"\nmodels = [\"m\"]\nvalid_from = \"{from}T00:00:00Z\"\n\
                 source = \"https://example.com\"\ninput = \"{input}\"\noutput = \"10\"\n"
            )
        };
        let text = [entry("2026-01-01", "1"), entry("2026-06-01", "2"), entry("2027-01-01", "3")].concat();
        let book = Book::parse(&text).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let quoted = |model| Quoted { provider: "p", models: [model, "m2"], multiplier: Factor::ONE, output_tokens: 5 };
        let quote = Quote::new(&book, &quoted("m"), at("2026-11-27T00:00:00Z"));
        for (day, most) in [("2026-11-27", 2_000_010), ("2026-12-31", 2_000_010), ("2027-01-01", 3_000_010)] {
            let most = Some(Pico(most * 1_000_000));
            assert_eq!(quote.most(1_000_000, 1, at(&format!("{day}T00:00:00Z"))), most, "{day}");
        }
        let other = Quote::new(&book, &quoted("other"), at("2026-11-27T00:00:00Z"));
        assert_eq!(other.most(1, 1, at("2027-06-01T00:00:00Z")), None);
        assert_eq!((quote.output_tokens(None, 1), quote.output_tokens(Some(7), 3)), (5, 21));
    }

    #[test]
    fn what_is_set_aside_depends_on_the_hour_where_the_price_does() {
        let entry = |id: &str, input: &str, more: &str| {
            format!(
                "[[prices]]\nid = \"{id}\"\nprovider = \"p\"\nmodels = [\"m\"]\nvalid_from = \"2026-01-01T00:00:00Z\"\n\
                 source = \"https://example.com\"\ninput = \"{input}\"\noutput = \"10\"\n{more}\n"
            )
        };
        let peak = "hours = { utc = [\"01:00-04:00\"] }\nvalid_until = \"2026-12-31T00:00:00Z\"";
        let book = Book::parse(&(entry("all", "1", "") + &entry("peak", "2", peak))).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let quoted = Quoted { provider: "p", models: ["m", "m"], multiplier: Factor::ONE, output_tokens: 5 };
        let quote = Quote::new(&book, &quoted, at("2026-11-27T12:00:00Z"));
        let most = |time| quote.most(1_000_000, 0, at(time)).map(|most| most.0 / 1_000_000_000_000);
        assert_eq!(most("2026-11-28T00:59:59Z"), Some(1));
        assert_eq!(most("2026-11-28T01:00:00Z"), Some(2));
        assert_eq!(most("2026-11-28T04:00:00Z"), Some(1));
        assert_eq!(most("2026-12-31T02:00:00Z"), None, "nobody knows any more");
        assert_eq!(most("2026-12-31T05:00:00Z"), Some(1));
    }
}
