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
