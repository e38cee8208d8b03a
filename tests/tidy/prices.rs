//! The price book makes sense: slips of the pen in it would be slips in every bill.

use std::collections::BTreeMap;

use schemas::config::Config;
use schemas::price::{Book, Price};
use schemas::time::Timestamp;

use crate::finding::{Finding, assert_none};
use crate::source::read;

const BOOK: &str = "schemas/prices.toml";

fn check(rule: fn(&Price) -> Vec<String>, what: &str, way_out: &str) {
    let book = Book::builtin().unwrap_or_else(|error| panic!("{BOOK}: {error}"));
    let findings: Vec<Finding> = book
        .entries()
        .iter()
        .flat_map(|price| rule(price).into_iter().map(|told| Finding::new(BOOK, 0, format!("{}: {told}", price.id))))
        .collect();
    assert_none(what, way_out, &findings);
}

#[test]
fn an_id_tells_what_it_prices_from_when() {
    check(misnamed, "an entry's id is provider/first model@day", "correct the id, before any row carries it");
}

#[test]
fn prices_at_some_hours_stand_beside_those_of_the_rest_of_the_week() {
    check(alone, "an entry with hours has a twin without, of the same models from the same moment", "add its twin");
}

fn alone(price: &Price) -> Vec<String> {
    let book = Book::builtin().unwrap_or_else(|error| panic!("{BOOK}: {error}"));
    let is_twin = |other: &Price| {
        (&other.provider, &other.models, other.valid_from) == (&price.provider, &price.models, price.valid_from)
            && other.hours.is_none()
    };
    let is_alone = price.hours.is_some() && !book.entries().iter().any(is_twin);
    if is_alone { vec!["no entry prices these models at other hours".to_owned()] } else { Vec::new() }
}

#[test]
fn prices_are_in_proportion() {
    check(
        disproportionate,
        "output costs no less than input, cached input less, writing it at most twice as much, and long contexts more than short",
        "compare the entry with its source; a digit or a column may have slipped",
    );
}

fn misnamed(price: &Price) -> Vec<String> {
    let day: String = price.valid_from.to_string().chars().take("2026-01-01".len()).collect();
    let model = price.models.first().map_or("", String::as_str);
    let expected = format!("{}/{model}@{day}", price.provider);
    let label = price.id.strip_prefix(&expected);
    // Of two entries from one day, the one with hours says which.
    let fits = match &price.hours {
        None => label == Some(""),
        Some(_) => label.is_some_and(|label| label.len() > 1 && label.starts_with('+')),
    };
    let further = if price.hours.is_some() { "+ and a word for its hours" } else { "" };
    if fits { Vec::new() } else { vec![format!("should be {expected}{further}")] }
}

fn disproportionate(price: &Price) -> Vec<String> {
    let mut told = Vec::new();
    let mut say = |wrong: bool, what: &str| {
        if wrong {
            told.push(what.to_owned());
        }
    };
    for tier in &price.tiers {
        say(tier.input.0 <= 0, "input is free");
        say(tier.output < tier.input, "output costs less than input");
        say(tier.cache_read.is_some_and(|read| read > tier.input), "reading the cache costs more than input");
        let writes = [tier.cache_write_5m, tier.cache_write_1h];
        say(writes.iter().flatten().any(|write| *write < tier.input), "writing the cache costs less than input");
        say(
            writes.iter().flatten().any(|write| write.0 > tier.input.0 * 2),
            "writing the cache costs over twice the input",
        );
    }
    for pair in price.tiers.windows(2) {
        say(pair[1].input <= pair[0].input || pair[1].output <= pair[0].output, "the longer context is no dearer");
        say(pair[1].cache_read.is_some() != pair[0].cache_read.is_some(), "only one of two tiers prices the cache");
    }
    told
}

#[test]
fn the_models_of_the_example_have_prices_today() {
    let config = Config::parse(&read("weir.toml").text, &BTreeMap::new()).expect("the example loads");
    let book = Book::builtin().expect("the book loads");
    let today: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a time");
    for model in &config.models {
        for route in &model.routes {
            let (provider, _) = config.endpoint(&route.endpoint).expect("the route leads to an endpoint");
            let name = route.model.as_deref().unwrap_or(&model.name);
            assert!(book.find(&provider.name, &[name], today).is_some(), "{name} at {} has no price", provider.name);
        }
    }
}

#[test]
fn slips_are_found() {
    let entry = |id: &str, prices: &str| {
        let text = format!(
            "[[prices]]\nid = \"{id}\"\nprovider = \"p\"\nmodels = [\"m\"]\nvalid_from = \"2026-01-01T00:00:00Z\"\n\
             source = \"https://example.com\"\n{prices}"
        );
        Book::parse(&text).expect("the entry is well-formed").entries()[0].clone()
    };
    assert!(misnamed(&entry("p/m@2026-01-01", "input = \"1\"\noutput = \"2\"")).is_empty());
    assert_eq!(misnamed(&entry("p/m@2025-01-01", "input = \"1\"\noutput = \"2\"")), ["should be p/m@2026-01-01"]);
    let hours = "hours = { utc = [\"01:00-02:00\"] }\ninput = \"1\"\noutput = \"2\"";
    assert!(misnamed(&entry("p/m@2026-01-01+peak", hours)).is_empty());
    assert_eq!(misnamed(&entry("p/m@2026-01-01", hours)).len(), 1);
    assert_eq!(misnamed(&entry("p/m@2026-01-01+peak", "input = \"1\"\noutput = \"2\"")).len(), 1);
    assert_eq!(alone(&entry("p/m@2026-01-01+peak", hours)).len(), 1);

    let slips = |prices: &str| disproportionate(&entry("x", prices)).len();
    assert_eq!(
        slips(
            "input = \"3\"\noutput = \"15\"\ncache_read = \"0.3\"\ncache_write_5m = \"3.75\"\ncache_write_1h = \"6\""
        ),
        0
    );
    assert_eq!(slips("input = \"15\"\noutput = \"3\""), 1);
    assert_eq!(slips("input = \"0\"\noutput = \"3\""), 1);
    assert_eq!(slips("input = \"3\"\noutput = \"15\"\ncache_read = \"30\""), 1);
    assert_eq!(slips("input = \"3\"\noutput = \"15\"\ncache_write_5m = \"37.5\""), 1);
    assert_eq!(slips("input = \"3\"\noutput = \"15\"\ncache_write_5m = \"0.375\""), 1);
    assert_eq!(
        slips("input = \"3\"\noutput = \"15\"\n[[prices.tiers]]\nover_input_tokens = 9\ninput = \"6\"\noutput = \"9\""),
        1
    );
}
