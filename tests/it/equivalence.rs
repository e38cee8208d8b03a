//! Whatever is asked, rollups and rows give one answer.

use recorder::reprice::{Period, Run};
use schemas::price::Book;
use schemas::time::Timestamp;
use serde_json::Value;
use tests::caller::Caller;
use tests::configuration::Settings;
use tests::services::Analytics;
use tests::warehouse::{Database, Engine};
use weir::history::{self, Options};

const ROWS: u64 = 6_000;
const DAYS: u32 = 4;
const QUESTIONS: u32 = 90;
const DAY_SECONDS: i64 = 86_400;

/// Prices that contradict those of the book, also in what they do not name.
const OTHER_PRICES: &str = r#"
[[prices]]
id = "anthropic/claude-sonnet-4-5@other"
provider = "anthropic"
models = ["claude-sonnet-4-5"]
valid_from = "2020-01-01T00:00:00Z"
source = "https://example.com"
input = "1.234567"
output = "7.654321"
cache_read = "0.000001"
cache_write_5m = "2"

[[prices]]
id = "in-house/house-7b@other"
provider = "in-house"
models = ["house-7b"]
valid_from = "2020-01-01T00:00:00Z"
source = "https://example.com"
input = "0.01"
output = "0.02"
"#;

/// Numbers by chance, the same at each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn one_of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }

    fn some_of<'a>(&mut self, items: &[&'a str], most: usize) -> Vec<&'a str> {
        let mut chosen: Vec<&str> = (0..self.below(most + 1)).map(|_| self.one_of(items)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// A time of the history, now and then at the start of a bucket.
    fn time(&mut self, end: i64) -> Timestamp {
        let step = [1, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000][self.below(5)];
        let within = (i64::from(DAYS) + 1) * DAY_SECONDS * 1_000_000;
        let micros = end * 1_000_000 - (self.below(usize::MAX) as i64).rem_euclid(within);
        Timestamp::from_micros(micros.div_euclid(step) * step)
    }

    fn question(&mut self, end: i64) -> String {
        let path = self.one_of(&["usage", "costs", "latency", "failures", "providers"]);
        let (from, to) = loop {
            let (one, other) = (self.time(end), self.time(end));
            if one != other {
                break (one.min(other), one.max(other));
            }
        };
        let names: &[&str] = match path {
            "providers" => &["provider", "endpoint", "key", "client"],
            _ => &["client", "model", "provider", "endpoint", "key", "format", "operation", "outcome"],
        };
        let mut question = format!("/v1/{path}?from={from}&to={to}");
        match self.one_of(&["", "", "minute", "hour", "day", "month"]) {
            "" => {}
            interval => question += &format!("&interval={interval}"),
        }
        let groups = self.some_of(names, 3);
        if !groups.is_empty() {
            question += &format!("&group_by={}", groups.join(","));
        }
        for name in self.some_of(&names[..names.len().min(4)], 2) {
            let values: &[&str] = match name {
                "client" => &["web-chat", "support-bot", "nobody"],
                "model" => &["claude-sonnet-4-5", "house-7b", "gemini-2.5-pro"],
                "provider" => &["anthropic", "openai", ""],
                "endpoint" => &["anthropic-api", "gpu-rack"],
                _ => &["main", "second"],
            };
            question += &format!("&{name}={}", self.one_of(values));
        }
        question
    }
}

struct History {
    database: Database,
    rollups: Analytics,
    rows: Analytics,
    settings: Settings,
    /// Seconds since 1970.
    end: i64,
}

async fn history() -> History {
    let engine = Engine::shared().await;
    let database = Database::on(engine);
    let settings = Settings::of_database(engine.url(), &database.name);
    let until = Timestamp::now();
    let options = Options { rows: ROWS, days: DAYS, until, seed: 11 };
    let (config, book) = (settings.config(), Book::builtin().unwrap());
    history::fill(&config.clickhouse, &book, options, |_| {}).await.unwrap();
    let end = until.as_micros().div_euclid(DAY_SECONDS * 1_000_000) * DAY_SECONDS;
    let of_rows = Settings { analytics: "rollups = false".to_owned(), ..settings.clone() };
    let (rollups, rows) = (Analytics::start(&settings).await, Analytics::start(&of_rows).await);
    History { database, rollups, rows, settings, end }
}

async fn compare(history: &History, seed: u64) {
    let (rollups, rows) = (Caller::new(&history.rollups.url, ""), Caller::new(&history.rows.url, ""));
    let mut chance = Chance(seed);
    let mut with_rows = 0;
    for _ in 0..QUESTIONS {
        let question = chance.question(history.end);
        // Minutes of days are more buckets than an answer may have, for either.
        let (one, other) = tokio::join!(
            tests::caller::read(rollups.request(http::Method::GET, &question)),
            tests::caller::read(rows.request(http::Method::GET, &question))
        );
        assert!(one.status == 200 && other.status == 200, "{question}: {} {}", one.text(), other.text());
        let (one, other) = (one.json(), other.json());
        assert_eq!(one, other, "{question}");
        with_rows += u32::from(one["rows"].as_array().is_some_and(|rows| !rows.is_empty()));
        let file = format!("{question}&format=csv");
        if chance.below(8) == 0 {
            let (one, other) = tokio::join!(
                tests::caller::read(rollups.request(http::Method::GET, &file)),
                tests::caller::read(rows.request(http::Method::GET, &file))
            );
            assert_eq!(one.text(), other.text(), "{file}");
        }
    }
    assert!(with_rows > QUESTIONS / 3, "only {with_rows} of {QUESTIONS} questions found anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn rollups_and_rows_answer_alike_before_and_after_a_repricing() {
    let history = history().await;
    compare(&history, 1).await;

    let [from, to] = [history.end - i64::from(DAYS) * DAY_SECONDS, history.end];
    let period = Period { from: Timestamp::from_micros(from * 1_000_000), to: Timestamp::from_micros(to * 1_000_000) };
    let config = history.settings.config();
    let by_the_book = Run::new(&config, Book::builtin().unwrap()).unwrap().look(period).await.unwrap().total();
    assert_eq!((by_the_book.requests, by_the_book.changed), (ROWS, 0), "made-up costs are those of the book");
    let other_prices = Book::parse(OTHER_PRICES).unwrap();
    let repriced = Run::new(&config, other_prices).unwrap().apply(period).await.unwrap().total();
    assert!(repriced.newly_priced > 0 && repriced.no_longer_priced > 0, "{repriced:?}");
    compare(&history, 2).await;

    // What it all costs now, by the summary of the run, the answers, and the rows themselves.
    let span = format!("from={}&to={}", period.from, period.to);
    for reader in [&history.rollups, &history.rows] {
        let answer: Value = Caller::new(&reader.url, "").get_json(&format!("/v1/costs?{span}")).await;
        assert_eq!(answer["rows"][0]["cost_usd"], repriced.after.to_string(), "{answer}");
    }
    let now = "SELECT toString(sum(ifNull(cost, 0))) AS cost FROM (\
               SELECT if(adjusted.revision > 0, adjusted.cost, requests.cost_usd) AS cost FROM {db}.requests FINAL \
               LEFT JOIN (SELECT request_id, max(adjustments.revision) AS revision, \
                          argMax(tuple(adjustments.cost_usd), adjustments.revision).1 AS cost \
                          FROM {db}.adjustments FINAL GROUP BY request_id) AS adjusted USING (request_id))";
    let rows: Vec<Value> = history.database.rows(now).await;
    let exactly = |text: &str| text.parse::<schemas::money::Pico>().unwrap();
    assert_eq!(rows[0]["cost"].as_str().map(exactly), Some(repriced.after), "{rows:?}");
}
