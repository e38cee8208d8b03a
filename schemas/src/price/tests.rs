use super::*;

const BOOK: &str = r#"
[[prices]]
id = "a/m@1"
provider = "a"
first_party = true
models = ["m", "m-*"]
valid_from = "2025-01-01T00:00:00Z"
source = "https://example.com/prices"
input = "3"
output = "15"
cache_read = "0.30"
cache_write_5m = "3.75"
[[prices.tiers]]
over_input_tokens = 200000
input = "6"
output = "22.50"
cache_read = "0.60"
cache_write_5m = "7.50"

[[prices]]
id = "a/m@2"
provider = "a"
first_party = true
models = ["m"]
valid_from = "2026-01-01T00:00:00Z"
source = "https://example.com/prices"
input = "2"
output = "10"
"#;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn usage(fresh: u64, read: u64, write: u64, output: u64) -> Usage {
    Usage {
        input: Some(fresh + read + write),
        fresh_input: Some(fresh),
        cache_read: Some(read),
        cache_write_5m: Some(write),
        cache_write_1h: Some(0),
        output: Some(output),
        reasoning: None,
    }
}

#[test]
fn the_builtin_book_is_valid_and_every_entry_names_its_source() {
    let book = Book::builtin().unwrap();
    assert!(!book.entries().is_empty());
    for price in book.entries() {
        assert!(price.source.starts_with("https://"), "{}", price.id);
    }
}

#[test]
fn the_entry_valid_at_the_time_is_found_by_name_date_or_pattern() {
    let book = Book::parse(BOOK).unwrap();
    let id = |provider, models: &[&str], time| book.find(provider, models, at(time)).map(|price| price.id.as_str());
    assert_eq!(id("a", &["m"], "2025-06-01T00:00:00Z"), Some("a/m@1"));
    assert_eq!(id("a", &["m"], "2026-01-01T00:00:00Z"), Some("a/m@2"));
    assert_eq!(id("a", &["m-20251231"], "2026-06-01T00:00:00Z"), Some("a/m@2"));
    assert_eq!(id("a", &["m-large"], "2026-06-01T00:00:00Z"), Some("a/m@1"));
    assert_eq!(id("a", &["m"], "2024-06-01T00:00:00Z"), None);
    assert_eq!(id("someone", &["", "unheard-of", "m"], "2026-06-01T00:00:00Z"), Some("a/m@2"));
}

#[test]
fn a_bill_is_exact_and_the_tier_starts_above_its_edge() {
    let book = Book::parse(BOOK).unwrap();
    let price = book.find("a", &["m"], at("2025-06-01T00:00:00Z")).unwrap();
    let cost = |usage: &Usage| price.cost(usage, Factor::ONE).map(|cost| cost.to_string());
    // 10*3 + 1000*0.30 + 100*3.75 + 7*15 = 810 dollars per million
    assert_eq!(cost(&usage(10, 1000, 100, 7)).unwrap(), "0.000810000000");
    assert_eq!(cost(&usage(200_000, 0, 0, 0)).unwrap(), "0.600000000000");
    assert_eq!(cost(&usage(200_001, 0, 0, 0)).unwrap(), "1.200006000000");
    let half = price.cost(&usage(1, 0, 0, 0), "0.5".parse().unwrap()).unwrap();
    assert_eq!(half.to_string(), "0.000001500000");
}

#[test]
fn what_the_cache_saved_is_the_difference_to_the_bill_without_it() {
    let book = Book::parse(BOOK).unwrap();
    let saved = |usage: &Usage| {
        let names = ["a", "m", "", "m"];
        let [provider, model_upstream, model_reported, model] = names;
        let received_at = at("2025-06-01T00:00:00Z");
        let billed = super::Billed {
            provider,
            model_upstream,
            model_reported,
            model,
            received_at,
            usage,
            multiplier: Factor::ONE,
        };
        book.bill(&billed).cache_saved.map(|saved| saved.to_string())
    };
    // 1000 x (3 - 0.30), and 100 x (3 - 3.75), dollars per million
    assert_eq!(saved(&usage(10, 1000, 0, 7)).unwrap(), "0.002700000000");
    assert_eq!(saved(&usage(10, 0, 100, 7)).unwrap(), "-0.000075000000");
    assert_eq!(saved(&usage(10, 0, 0, 7)).unwrap(), "0.000000000000");
    assert_eq!(saved(&Usage::UNKNOWN), None);
}

#[test]
fn what_is_unknown_has_no_cost() {
    let book = Book::parse(BOOK).unwrap();
    let price = book.find("a", &["m"], at("2026-06-01T00:00:00Z")).unwrap();
    assert_eq!(price.cost(&Usage::UNKNOWN, Factor::ONE), None);
    assert_eq!(price.cost(&Usage { output: None, ..usage(1, 0, 0, 0) }, Factor::ONE), None);
    assert_eq!(price.cost(&usage(1, 1, 0, 1), Factor::ONE), None, "this entry has no price for cache reads");
    assert!(price.cost(&usage(1, 0, 0, 1), Factor::ONE).is_some());
}

#[test]
fn ambiguity_is_refused_at_load() {
    let twice = format!("{BOOK}{}", BOOK.replace("a/m@", "b/m@").replace("provider = \"a\"", "provider = \"b\""));
    let mistakes = Book::parse(&twice).unwrap_err().to_string();
    assert!(mistakes.contains("a/m@1 and b/m@1 both price m"), "{mistakes}");
    assert!(Book::parse(&BOOK.replace("\"15\"", "\"15.0000001\"")).is_err());
}

/// An entry whose provider and maker's mark are `whose`, with these lines of names, from that day on.
fn entry(id: &str, whose: (&str, bool), names: &str, from: &str) -> String {
    let (provider, first_party) = whose;
    format!(
        "[[prices]]\nid = '{id}'\nprovider = '{provider}'\nfirst_party = {first_party}\n{names}\n\
         valid_from = '{from}T00:00:00Z'\nsource = 'https://example.com'\ninput = '1'\noutput = '2'\n"
    )
}

#[test]
fn a_name_is_exact_before_alias_before_dated_before_pattern() {
    let day = "2026-01-01";
    let text = [
        entry("1", ("p", false), "models = ['m-2']", day),
        entry("2", ("p", false), "models = ['m']\naliases = ['m-2', 'm-latest']", day),
        entry("3", ("p", false), "models = ['m-*']", day),
        entry("4", ("p", false), "models = ['m-la*']", day),
    ]
    .concat();
    let book = Book::parse(&text).unwrap();
    let found =
        |name| book.explain("p", &[name], at("2026-06-01T00:00:00Z")).map(|(price, fit)| (price.id.as_str(), fit));
    assert_eq!(found("m-2"), Some(("1", Fit::Exact)));
    assert_eq!(found("m-latest"), Some(("2", Fit::Alias)));
    assert_eq!(found("m-20260101"), Some(("2", Fit::Undated)));
    assert_eq!(found("m-large"), Some(("4", Fit::Pattern(4))));
    assert_eq!(found("m-other"), Some(("3", Fit::Pattern(2))));
    assert_eq!(found("n"), None);
}

#[test]
fn a_later_entry_by_a_looser_name_does_not_replace_a_closer_one() {
    let text = [
        entry("1", ("p", false), "models = ['m']", "2026-01-01"),
        entry("2", ("p", false), "models = ['m*']", "2026-05-01"),
    ]
    .concat();
    let book = Book::parse(&text).unwrap();
    let found = book.find("p", &["m"], at("2026-06-01T00:00:00Z")).unwrap();
    assert_eq!(found.id, "1");
}

#[test]
fn two_makers_of_one_name_are_ambiguous_whenever_they_began() {
    let text = [
        entry("1", ("a", true), "models = ['m']", "2026-01-01"),
        entry("2", ("b", true), "models = ['m']", "2026-05-01"),
    ]
    .concat();
    let mistakes = Book::parse(&text).unwrap_err().to_string();
    assert!(mistakes.contains("both price m from 2026-05-01"), "{mistakes}");
    assert!(Book::parse(&text.replace("first_party = true", "first_party = false")).is_ok());
}

#[test]
fn an_overlay_adds_and_replaces_by_id() {
    let base = Book::parse(BOOK).unwrap();
    let dearer = Book::parse(&BOOK.replace("input = \"2\"", "input = \"4\"")).unwrap();
    let merged = base.clone().overlaid(dearer).unwrap();
    assert_eq!(merged.entries().len(), base.entries().len());
    let price = merged.find("a", &["m"], at("2026-06-01T00:00:00Z")).unwrap();
    assert_eq!(per_million(price.tiers[0].input), "4");
    assert_eq!(base.clone().overlaid(Book::parse("").unwrap()).unwrap().entries(), base.entries());
    let rival = Book::parse(&BOOK.replace("a/m@", "a/n@")).unwrap();
    assert!(base.overlaid(rival).is_err(), "two ids for one name from one day");
}

#[test]
fn what_is_written_reads_back_the_same() {
    let book = Book::builtin().unwrap();
    let text: String = book.entries().iter().map(Price::to_toml).collect();
    assert_eq!(Book::parse(&text).unwrap().entries(), book.entries());
}
