use schemas::decimal::exact;
use schemas::money::Pico;
use schemas::price::{Book, Price};
use serde_json::value::RawValue;

use super::*;

const LITELLM: &str = r#"{
  "sample_spec": {"input_cost_per_token": "the price of a token", "litellm_provider": "one of these"},
  "fallback_generalizations": {"rules": []},
  "claude-x": {"litellm_provider": "anthropic", "mode": "chat", "source": "https://example.com/claude",
    "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_read_input_token_cost": 3e-07,
    "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
    "input_cost_per_token_batches": 1.5e-06},
  "claude-x-20260101": {"litellm_provider": "anthropic", "mode": "chat",
    "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05},
  "gemini/gem-x": {"litellm_provider": "gemini", "mode": "chat",
    "input_cost_per_token": 1.25e-06, "input_cost_per_token_above_200k_tokens": 2.5e-06,
    "output_cost_per_token": 1e-05, "output_cost_per_token_above_200k_tokens": 1.5e-05,
    "cache_read_input_token_cost": 0.0},
  "gpt-free": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
  "gpt-fine": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.23456e-11, "output_cost_per_token": 1e-06},
  "painter": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04},
  "bedrock/claude-x": {"litellm_provider": "bedrock", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}
}"#;

const GENAI: &str = r#"[
  {"id": "anthropic", "name": "Anthropic", "api_pattern": "", "pricing_urls": ["https://example.com/claude"], "models": [
    {"id": "claude-x", "match": {"or": [{"equals": "claude-x-latest"}, {"starts_with": "claude-x-"}, {"regex": "^x"}]},
     "prices": [{"prices": {"input_mtok": 4, "output_mtok": 20}},
                {"constraint": {"start_date": "2026-02-01"}, "prices": {"input_mtok": 3, "output_mtok": 15, "cache_read_mtok": 0.3}}]},
    {"id": "claude-hours", "match": {"equals": "claude-hours"},
     "prices": [{"prices": {"input_mtok": 1, "output_mtok": 2}},
                {"constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"}, "prices": {"input_mtok": 2, "output_mtok": 4}}]}]},
  {"id": "google", "name": "Google", "api_pattern": "", "models": [
    {"id": "gem-x", "match": {"equals": "gem-x"},
     "prices": {"input_mtok": {"base": 1.25, "tiers": [{"start": 200000, "price": 2.5}]}, "output_mtok": {"base": 10, "tiers": [{"start": 200000, "price": 15}]}}}]},
  {"id": "somebody", "name": "Somebody", "api_pattern": "", "models": []}
]"#;

fn at(text: &str) -> Timestamp {
    day_or_time(text).unwrap()
}

fn rates(model: &Listed) -> Vec<String> {
    model.tiers.iter().map(|tier| format!("{}: {}", tier.over_input_tokens, text::rates(tier))).collect()
}

fn listed<'a>(list: &'a List, name: &str) -> &'a Listed {
    list.models.iter().find(|model| model.names[0] == name).unwrap()
}

fn book(entries: &str) -> Book {
    Book::parse(entries).unwrap()
}

fn ours(model: &str, input: &str, more: &str) -> String {
    format!(
        "[[prices]]\nid = 'anthropic/{model}@1'\nprovider = 'anthropic'\nfirst_party = true\nmodels = ['{model}']\n\
         valid_from = '2026-01-01T00:00:00Z'\nsource = 'https://example.com'\ninput = '{input}'\noutput = '15'\n{more}\n"
    )
}

#[test]
fn numbers_are_read_by_their_digits() {
    let read = |text: &str, shift| {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        exact(raw.get(), shift).map(|pico| pico.0)
    };
    assert_eq!(read("3e-06", 0), Some(3_000_000));
    assert_eq!(read("0.0000015", 0), Some(1_500_000));
    assert_eq!(read("\"1.25e-7\"", 0), Some(125_000));
    assert_eq!(read("3.75", -6), Some(3_750_000));
    assert_eq!(read("8.749999999999999e-07", 0), Some(875_000), "a float has frayed it");
    assert_eq!(read("0.0", 0), Some(0));
    for text in ["1.5e-12", "-1", "\"free\"", "null", "1e99999999999", "[]"] {
        assert_eq!(read(text, 0), None, "{text}");
    }
}

#[test]
fn litellm_is_read_with_its_tiers_and_without_other_service_tiers() {
    let list = List::read(LITELLM, at("2026-06-01")).unwrap();
    let claude = listed(&list, "claude-x");
    assert_eq!(claude.source.as_deref(), Some("https://example.com/claude"));
    assert_eq!(rates(claude), ["0: input $3, output $15, cache read $0.3, cache write 5m $3.75, cache write 1h $6"]);
    let gemini = listed(&list, "gem-x");
    assert_eq!(gemini.provider, "google");
    assert_eq!(rates(gemini), ["0: input $1.25, output $10", "200000: input $2.5, output $15"]);
    let skipped: Vec<&str> = list.skipped.iter().map(|skipped| skipped.name.as_str()).collect();
    assert_eq!(skipped, ["openai/gpt-fine", "openai/gpt-free"]);
    assert_eq!(list.models.len(), 3, "images, other hosts, and the explanation are not prices of ours");
}

#[test]
fn genai_prices_is_read_as_of_a_day() {
    let list = List::read(GENAI, at("2026-06-01")).unwrap();
    let claude = listed(&list, "claude-x");
    assert_eq!(claude.names, ["claude-x", "claude-x-latest", "claude-x-*"]);
    assert_eq!(claude.since, Some(at("2026-02-01")));
    assert_eq!(rates(claude), ["0: input $3, output $15, cache read $0.3"]);
    assert_eq!(rates(listed(&list, "gem-x")), ["0: input $1.25, output $10", "200000: input $2.5, output $15"]);
    let earlier = List::read(GENAI, at("2026-01-01")).unwrap();
    assert_eq!(rates(listed(&earlier, "claude-x")), ["0: input $4, output $20"]);
    assert_eq!(list.skipped.len(), 1);
    assert!(list.skipped[0].reason.contains("more than the day"), "{:?}", list.skipped);
}

#[test]
fn other_files_are_refused() {
    for text in ["", "prices", "{", "{}", "{\"a\": 1}", "[1]", "[{\"id\": \"anthropic\"}]"] {
        assert!(List::read(text, at("2026-06-01")).is_err(), "{text}");
    }
}

#[test]
fn what_differs_becomes_entries_and_what_agrees_does_not() {
    let list = List::read(LITELLM, at("2026-06-01")).unwrap();
    let book = book(&ours("claude-x", "3", "cache_read = '0.3'\ncache_write_5m = '3.75'\ncache_write_1h = '6'"));
    let difference = Difference::between(&book, &list, at("2026-06-01"), "a list");
    assert_eq!(difference.same, 2, "the dated name is priced by the undated one");
    let [Change::New(gemini)] = &difference.changes[..] else { panic!("{:?}", difference.changes) };
    assert_eq!((gemini.id.as_str(), gemini.first_party), ("google/gem-x@2026-06-01", false));
    assert_eq!(gemini.source, "a list");

    let dearer = super::Difference::between(&self::book(&ours("claude-x", "2", "")), &list, at("2026-06-01"), "a list");
    let Change::Changed { before, after } = &dearer.changes[0] else { panic!("{:?}", dearer.changes) };
    assert_eq!((before.tiers[0].input, after.tiers[0].input), (Pico(2_000_000), Pico(3_000_000)));
    assert_eq!((after.valid_from, after.first_party), (at("2026-06-01"), true));
    let grown = self::book(&ours("claude-x", "2", "")).overlaid(Book::new(vec![after.clone()]).unwrap()).unwrap();
    let id = |day| grown.find("anthropic", &["claude-x"], at(day)).map(|price: &Price| price.id.clone());
    assert_eq!(id("2026-05-31"), Some("anthropic/claude-x@1".to_owned()), "the past keeps its price");
    assert_eq!(id("2026-06-01"), Some("anthropic/claude-x@2026-06-01".to_owned()));
    let again = Difference::between(&grown, &list, at("2026-06-02"), "a list");
    assert_eq!(again.changes.len(), 1, "only what was not taken over is left: {:?}", again.changes);
}

#[test]
fn a_list_that_would_halve_the_book_is_refused() {
    let list = List::read(LITELLM, at("2026-06-01")).unwrap();
    let entries = |names: &[&str]| book(&names.iter().map(|name| ours(name, "3", "")).collect::<String>());
    let difference = |names: &[&str]| Difference::between(&entries(names), &list, at("2026-06-01"), "a list");
    assert_eq!(difference(&["claude-x", "b"]).check_size(), Ok(()));
    let cut = difference(&["claude-x", "b", "c"]);
    assert_eq!(cut.check_size(), Err(Shrunk { named: 1, priced: 3 }));
    assert_eq!(cut.unlisted, ["anthropic/b", "anthropic/c"]);
}

#[test]
fn a_price_that_depends_on_the_hour_is_left_to_a_reader_and_is_not_missing_from_the_list() {
    let hours = r#""off_peak_pricing": {"input_cost_per_token": 1e-06}"#;
    let text = format!(
        r#"{{"deep-x": {{"litellm_provider": "deepseek", "input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06, {hours}}},
             "deepseek/deep-x": {{"litellm_provider": "deepseek", "input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06, {hours}}},
             "deep-y": {{"litellm_provider": "deepseek", "input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06, "off_peak_pricing": null}}}}"#
    );
    let list = List::read(&text, at("2026-06-01")).unwrap();
    assert_eq!(list.models.iter().map(|model| model.names[0].as_str()).collect::<Vec<_>>(), ["deep-y"]);
    let skipped: Vec<&str> = list.skipped.iter().map(|skipped| skipped.name.as_str()).collect();
    assert_eq!(skipped, ["deepseek/deep-x"], "once, though it is listed twice");
    let ours = ours("deep-x", "2", "").replace("anthropic", "deepseek")
        + &ours("deep-z", "2", "").replace("anthropic", "deepseek");
    let difference = Difference::between(&book(&ours), &list, at("2026-06-01"), "a list");
    assert_eq!((difference.changes.len(), difference.priced), (1, 2));
    assert_eq!(difference.unlisted, ["deepseek/deep-z"]);
}

#[test]
fn what_goes_by_reports_still_does_when_a_list_prices_it() {
    let text = r#"{"openrouter/a/m": {"litellm_provider": "openrouter", "input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06}}"#;
    let list = List::read(text, at("2026-06-01")).unwrap();
    let any = "[[prices]]\nid = 'any'\nprovider = 'openrouter'\nmodels = ['*']\nvalid_from = '2026-01-01T00:00:00Z'\n\
               reported = true\nsource = 'https://example.com'\n";
    let difference = Difference::between(&book(any), &list, at("2026-06-01"), "a list");
    let [Change::New(price)] = &difference.changes[..] else { panic!("{:?}", difference.changes) };
    assert!(price.is_reported && price.tiers.len() == 1, "{price:?}");
    assert_eq!(difference.check_size(), Ok(()), "a pattern is no model that a list could miss");
}
