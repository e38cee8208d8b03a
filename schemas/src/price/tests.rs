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
            charge: Charge::Read(None),
            multiplier: Factor::ONE,
        };
        book.bill(&billed).cache_saved.map(|saved| saved.to_string())
    };
    // 1000 x (3 - 0.30), and 100 x (3 - 3.75), dollars per million
    assert_eq!(saved(&usage(10, 1000, 0, 7)).unwrap(), "0.002700000000");
    assert_eq!(saved(&usage(10, 0, 100, 7)).unwrap(), "-0.000075000000");
    assert_eq!(saved(&usage(10, 0, 0, 7)).unwrap(), "0.000000000000");
    assert_eq!(saved(&Usage::UNKNOWN), None);
    let silent = Usage { cache_read: None, cache_write_5m: None, cache_write_1h: None, ..usage(10, 0, 0, 7) };
    assert_eq!(saved(&silent), None, "who tells nothing of a cache may have one");
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

/// The builtin book's entry for a DeepSeek model, and what 1,000,000 fresh, 1,000,000 cached and 1,000,000 output tokens cost.
fn deepseek(model: &str, time: &str) -> Option<(String, String)> {
    let book = Book::builtin().unwrap();
    let price = book.find("deepseek", &[model], at(time))?;
    let cost = price.cost(&usage(1_000_000, 1_000_000, 0, 1_000_000), Factor::ONE).unwrap();
    Some((price.id.clone(), cost.to_string()))
}

#[test]
fn deepseek_costs_twice_as_much_at_the_busy_hours_of_working_days() {
    let flash = |time| deepseek("deepseek-flash", time).unwrap();
    let (low, high) = ("0.753000000000".to_owned(), "1.506000000000".to_owned());
    // 0.15 + 0.003 + 0.6, and twice that.
    for (time, cost) in [
        ("2026-11-27T00:59:59.999999Z", &low),
        ("2026-11-27T01:00:00Z", &high),
        ("2026-11-27T04:00:00Z", &low),
        ("2026-11-27T06:00:00Z", &high),
        ("2026-11-27T10:00:00Z", &low),
        // A Saturday, a Sunday, holidays in the week, the working days around them.
        ("2026-11-28T02:00:00Z", &low),
        ("2026-11-29T02:00:00Z", &low),
        ("2026-09-24T02:00:00Z", &high),
        ("2026-09-25T02:00:00Z", &low),
        ("2026-09-30T02:00:00Z", &high),
        ("2026-10-01T02:00:00Z", &low),
        ("2026-10-07T02:00:00Z", &low),
        ("2026-10-08T02:00:00Z", &high),
        ("2026-12-31T09:59:59Z", &high),
    ] {
        let (id, found) = flash(time);
        assert_eq!((&found, id.ends_with("+peak")), (cost, *cost == high), "{time}: {id}");
    }
    // The holidays of 2027 are not known: the rest of the week still has its price.
    assert_eq!(deepseek("deepseek-flash", "2027-01-04T02:00:00Z"), None);
    assert_eq!(flash("2027-01-04T05:00:00Z").1, low);
}

#[test]
fn deepseek_changed_its_prices_when_it_did() {
    let cost = |model, time| deepseek(model, time).map(|(_, cost)| cost);
    for (time, flash, pro) in [
        // 0.14 + 0.0028 + 0.28, 0.435 + 0.003625 + 0.87
        ("2026-08-16T08:00:00Z", "0.422800000000", "1.308625000000"),
        // 0.22 + 0.007 + 0.66, 0.66 + 0.022 + 1.98
        ("2026-08-16T16:00:00Z", "0.887000000000", "2.662000000000"),
        // Twice that, also on the one Saturday before weekends became cheap.
        ("2026-08-22T08:00:00Z", "1.774000000000", "5.324000000000"),
        ("2026-08-23T08:00:00Z", "0.887000000000", "2.662000000000"),
        ("2026-09-10T03:59:59Z", "1.774000000000", "5.324000000000"),
        // 0.3 + 0.006 + 1.2; the other model stays.
        ("2026-09-10T06:00:00Z", "1.506000000000", "5.324000000000"),
        ("2026-09-15T06:00:00Z", "1.506000000000", "5.324000000000"),
    ] {
        assert_eq!(cost("deepseek-v4-flash", time).as_deref(), Some(flash), "{time}");
        assert_eq!(cost("deepseek-v4-pro", time).as_deref(), Some(pro), "{time}");
    }
    assert_eq!(cost("deepseek-flash", "2026-09-10T03:59:59Z"), None, "not launched");
}

#[test]
fn an_entry_with_hours_goes_before_its_twin_and_the_newest_before_both() {
    let hours = |text: &str, utc: &str| text.replace("source", &format!("hours = {{ utc = [{utc}] }}\nsource"));
    let whose = ("p", false);
    let old = entry("all", whose, "models = ['m']", "2026-01-01");
    let peak = hours(&entry("peak", whose, "models = ['m']", "2026-01-01"), "'01:00-04:00'");
    let new = entry("new", whose, "models = ['m']", "2026-06-01");
    let book = Book::parse(&[old.as_str(), &peak, &new].concat()).unwrap();
    let id = |time| book.find("p", &["m"], at(time)).map(|price| price.id.as_str());
    assert_eq!((id("2026-03-01T00:00:00Z"), id("2026-03-01T02:00:00Z")), (Some("all"), Some("peak")));
    assert_eq!(id("2026-06-01T02:00:00Z"), Some("new"), "a later entry ends the hours of an earlier one");
    assert_eq!(book.standing("p", &["x", "m"], at("2026-03-01T00:00:00Z")).len(), 2);

    let alone = Book::parse(&peak).unwrap();
    assert!(alone.find("p", &["m", "m"], at("2026-03-01T00:00:00Z")).is_none(), "nobody knows the rest of the week");
    let other = hours(&entry("other", whose, "models = ['m']", "2026-01-01"), "'04:00-05:00'");
    assert!(Book::parse(&[peak.as_str(), &other].concat()).is_ok());
    let rival = hours(&entry("rival", whose, "models = ['m']", "2026-01-01"), "'03:59-05:00'");
    let mistakes = Book::parse(&[peak.as_str(), &rival].concat()).unwrap_err().to_string();
    assert!(mistakes.contains("peak and rival both price m"), "{mistakes}");
    assert!(Book::parse(&hours(&old, "'22:00-02:00'")).unwrap_err().to_string().contains("midnight"));
}

#[test]
fn after_its_last_day_an_entry_prices_nothing_and_nor_does_what_it_replaced() {
    let whose = ("p", false);
    let old = entry("old", whose, "models = ['m']", "2026-01-01");
    let promised = entry("promised", whose, "models = ['m']", "2026-02-01")
        .replace("source", "valid_until = '2026-03-01T00:00:00Z'\nsource");
    let book = Book::parse(&[old.as_str(), &promised].concat()).unwrap();
    let id = |time| book.find("p", &["m"], at(time)).map(|price| price.id.as_str());
    assert_eq!(id("2026-01-31T23:59:59Z"), Some("old"));
    assert_eq!(id("2026-02-28T23:59:59.999999Z"), Some("promised"));
    assert_eq!(id("2026-03-01T00:00:00Z"), None);
    assert!(Book::parse(&promised.replace("2026-03-01", "2026-02-01")).is_err(), "it would never hold");
}

#[test]
fn what_a_provider_reports_is_the_cost_and_else_its_tokens_are() {
    let whose = ("p", false);
    let listed = entry("listed", whose, "models = ['m']", "2026-01-01").replace("source", "reported = true\nsource");
    let any = "[[prices]]\nid = 'any'\nprovider = 'p'\nmodels = ['*']\nvalid_from = '2026-01-01T00:00:00Z'\n\
               reported = true\nsource = 'https://example.com'\n";
    let silent = entry("silent", whose, "models = ['n']", "2026-01-01");
    let book = Book::parse(&[listed.as_str(), any, &silent].concat()).unwrap();
    let used = usage(1_000_000, 0, 0, 1_000_000);
    let bill = |model, raw, multiplier: &str| {
        let (provider, received_at) = ("p", at("2026-06-01T00:00:00Z"));
        let (charge, multiplier) = (Charge::In(raw), multiplier.parse().unwrap());
        let (model_upstream, model_reported) = (model, "");
        book.bill(&Billed {
            provider,
            model_upstream,
            model_reported,
            model,
            received_at,
            usage: &used,
            charge,
            multiplier,
        })
    };
    let cost = |model, raw, multiplier| bill(model, raw, multiplier).cost.map(|cost| cost.to_string());
    let told = r#"{"cost":0.25}"#;
    assert_eq!(cost("m", told, "1.0").as_deref(), Some("0.250000000000"));
    assert_eq!(cost("m", told, "1.055").as_deref(), Some("0.263750000000"), "the fee for what was paid in");
    assert_eq!(bill("m", told, "1.0").cache_saved, None, "the charge says nothing of what it would have been");
    // 1 + 2
    assert_eq!(cost("m", "{}", "1.0").as_deref(), Some("3.000000000000"));
    assert_eq!(cost("anything", told, "1.0").as_deref(), Some("0.250000000000"));
    let unknown = bill("anything", "{}", "1.0");
    assert_eq!((unknown.cost, unknown.price_id.as_str(), unknown.unpriced), (None, "any", true));
    assert_eq!(cost("n", told, "1.0").as_deref(), Some("3.000000000000"), "an entry that does not go by it");
    let most = |model: &str| book.find("p", &[model], at("2026-06-01T00:00:00Z")).unwrap().most(1, 1, Factor::ONE);
    assert_eq!((most("m"), most("anything")), (Some(Pico(3_000_000)), None));
    assert!(Book::parse(&any.replace("reported = true\n", "")).is_err(), "an entry without any price");
    assert!(Book::parse(&any.replace("reported", "input = '1'\nreported")).is_err(), "half a price");
    assert!(Book::parse(&any.replace("reported", "reportet")).is_err(), "a slip of the pen");
}
