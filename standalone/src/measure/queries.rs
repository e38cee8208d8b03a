//! The dashboard's questions, asked of the rollups and of the rows, one after the other.
//!
//! Two readers run on one database, one of them with `rollups = false`. Both must give the same answer to the last digit:
//! a fast answer that is another one is no measurement but an error. Rollups that are still being filled in or put right
//! cannot be compared, and days that are still being recorded change between two questions: of the first it is told what to
//! wait for, and the second are left out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use recorder::seal::{self, Pending};
use schemas::config::Config;
use schemas::time::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::terminal::{Align, Step, table};

/// A question: what it is for, its path and what it asks, with the times in places.
struct Question {
    what: &'static str,
    path: &'static str,
    days: u32,
    more: &'static str,
}

const fn ask(what: &'static str, path: &'static str, days: u32, more: &'static str) -> Question {
    Question { what, path, days, more }
}

/// What a dashboard asks for when it is opened, and when its range is changed.
const QUESTIONS: [Question; 14] = [
    ask("spend by day and model", "costs", 30, "&interval=day&group_by=model"),
    ask("spend by client", "costs", 30, "&group_by=client"),
    ask("spend by provider, one client", "costs", 30, "&group_by=provider&client=web-chat"),
    ask("requests and tokens by day", "usage", 30, "&interval=day"),
    ask("requests by hour and outcome", "usage", 7, "&interval=hour&group_by=outcome"),
    ask("requests by minute", "usage", 1, "&interval=minute"),
    ask("cache effect by model", "usage", 30, "&group_by=model"),
    ask("latency by hour", "latency", 7, "&interval=hour"),
    ask("latency by model", "latency", 30, "&group_by=model"),
    ask("failures by cause", "failures", 30, ""),
    ask("provider health by hour", "providers", 7, "&interval=hour"),
    ask("provider health", "providers", 30, "&group_by=provider,endpoint"),
    ask("the newest requests", "requests", 30, "&limit=50"),
    ask("the newest failed requests of a client", "requests", 30, "&limit=50&client=marketing&outcome=failed"),
];

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A reader cannot be asked.
    #[error("analytics cannot be asked: {0}")]
    Http(#[from] reqwest::Error),
    /// A socket.
    #[error("cannot listen: {0}")]
    Io(#[from] std::io::Error),
    /// The configuration for the readers.
    #[error(transparent)]
    Configuration(#[from] schemas::config::Mistakes),
    /// An answer with a status of its own.
    #[error("{question} was answered with {text}")]
    Refused {
        /// What was asked.
        question: String,
        /// Status and body.
        text: String,
    },
    /// The rollups say something else than the rows.
    #[error("rollups and rows differ: {0}")]
    Differ(String),
    /// The rollups are not what they are going to be.
    #[error("nothing can be measured yet: {0}")]
    Pending(#[from] Pending),
    /// Whether they are cannot be had.
    #[error("whether the rollups are complete cannot be told: {0}")]
    Unknown(#[from] seal::Error),
    /// Nothing but today.
    #[error(
        "all requests are of days that are still being recorded: wait until five minutes after the next midnight (UTC), or fill \
         another database with weir simulate-history"
    )]
    Open,
    /// There is nothing to ask about.
    #[error("the database holds no requests: fill it with weir simulate-history")]
    Empty,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// ClickHouse's HTTP interface.
    pub clickhouse: String,
    /// The database.
    pub database: String,
    /// How often the rollups are asked each question.
    pub repeats: usize,
    /// How often the rows are.
    pub repeats_of_rows: usize,
}

/// Measures; returns the report.
pub async fn run(options: &Options) -> Result<String, Error> {
    let config = options.config("")?;
    if let Some(pending) = seal::pending(&config).await? {
        return Err(pending.into());
    }
    match compare(options).await {
        // A day may have come to be doubted, or be replaced, while it was asked about.
        Err(Error::Differ(what)) => Err(seal::pending(&config).await?.map_or(Error::Differ(what), Error::Pending)),
        report => report,
    }
}

async fn compare(options: &Options) -> Result<String, Error> {
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(600)).build()?;
    let rollups = Reader { client: client.clone(), url: start(options, true, &stop).await? };
    let rows = Reader { client, url: start(options, false, &stop).await? };
    let (until, requests) = rollups.holdings(Timestamp::now()).await?;
    let mut step = Step::begin(format!("asking {} questions about {requests} requests", QUESTIONS.len()));
    let mut lines = Vec::new();
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    for (at, question) in QUESTIONS.iter().enumerate() {
        step.progress(format_args!("{} of {}: {}", at + 1, QUESTIONS.len(), question.what));
        let path = question.path(&until);
        // The first answer is not timed: what it needs is read from the disk then, and it shows that both agree.
        let answer = rollups.get(&path).await?;
        let of_rows = match question.path {
            // A list of rows comes from the rows, whoever is asked.
            "requests" => Vec::new(),
            _ => rows.times(&path, options.repeats_of_rows, &answer).await?,
        };
        let of_rollups = rollups.times(&path, options.repeats, &answer).await?;
        lines.push(line(question, &of_rollups, &of_rows));
        fast.extend(of_rollups);
        slow.extend(of_rows);
    }
    lines.push(line(&ask("all", "", 0, ""), &fast, &slow));
    step.done("all answers of rollups and rows are the same");
    let columns = [
        ("question", Align::Left),
        ("days", Align::Right),
        ("rollups p50 ms", Align::Right),
        ("rollups p95 ms", Align::Right),
        ("rows p50 ms", Align::Right),
        ("rows p95 ms", Align::Right),
        ("times faster (p50)", Align::Right),
    ];
    Ok(format!(
        "{requests} requests, times from the question to the whole answer over HTTP\n\n{}",
        table(&columns, &lines)
    ))
}

impl Options {
    /// The configuration of who reads this database, with some lines more.
    fn config(&self, more: &str) -> Result<Config, Error> {
        let quoted = |text: &str| toml::Value::String(text.to_owned());
        let text = format!(
            "[clickhouse]\nurl = {}\ndatabase = {}\ntimeout = \"300s\"\n{more}",
            quoted(&self.clickhouse),
            quoted(&self.database)
        );
        let environment: BTreeMap<String, String> =
            std::env::vars().filter(|(name, _)| name.starts_with("WEIR_CLICKHOUSE__")).collect();
        Ok(Config::parse(&text, &environment)?)
    }
}

impl Question {
    /// Its URL. The range begins within an hour at a full minute and ends within a minute, as a range before now does.
    fn path(&self, until: &Day) -> String {
        let (from, to) = (until.seconds - 86_400 * i64::from(self.days) + 37 * 60, until.seconds - 23);
        let time = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        format!("/v1/{}?from={}&to={}{}", self.path, time(from), time(to), self.more)
    }
}

/// The day after the last that has requests and is closed.
struct Day {
    seconds: i64,
}

/// An analytics service of this process.
async fn start(options: &Options, rollups: bool, stop: &CancellationToken) -> Result<String, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let config = options.config(&format!("[analytics]\nlisten = \"{address}\"\nrollups = {rollups}\n"))?;
    let stop = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = analytics::run(config, listener, stop).await {
            tracing::error!(%error, "a reader ended");
        }
    });
    Ok(format!("http://{address}"))
}

struct Reader {
    client: reqwest::Client,
    url: String,
}

impl Reader {
    async fn get(&self, path: &str) -> Result<Value, Error> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        let refused = |text: String| Error::Refused { question: path.to_owned(), text };
        if !status.is_success() {
            return Err(refused(format!("{status}: {text}")));
        }
        serde_json::from_str(&text).map_err(|error| refused(error.to_string()))
    }

    /// How long answers took, in milliseconds, in order of length. All of them must be the one expected.
    async fn times(&self, path: &str, repeats: usize, expected: &Value) -> Result<Vec<f64>, Error> {
        let mut times = Vec::new();
        for _ in 0..repeats.max(1) {
            let began = Instant::now();
            let answer = self.get(path).await?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            if answer != *expected {
                return Err(Error::Differ(path.to_owned()));
            }
        }
        times.sort_by(f64::total_cmp);
        Ok(times)
    }

    /// The day after the last that has requests and is closed, and how many requests there are until then.
    async fn holdings(&self, now: Timestamp) -> Result<(Day, u64), Error> {
        let answer = self.get("/v1/usage?interval=day&from=-3000d").await?;
        let rows = answer.get("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let days: Vec<(i64, u64)> = rows.iter().filter_map(day).collect();
        let closed = |end: i64| end + seal::CLOSED_AFTER_SECONDS <= now.as_micros().div_euclid(1_000_000);
        let requests = days.iter().filter(|(end, _)| closed(*end)).map(|(_, requests)| requests).sum();
        match days.iter().rfind(|(end, _)| closed(*end)) {
            Some((end, _)) => Ok((Day { seconds: *end }, requests)),
            None if days.is_empty() => Err(Error::Empty),
            None => Err(Error::Open),
        }
    }
}

/// The end of a row's day, in seconds since 1970, and its requests.
fn day(row: &Value) -> Option<(i64, u64)> {
    let start: Timestamp = row.get("bucket")?.as_str()?.parse().ok()?;
    Some((start.as_micros().div_euclid(1_000_000) + 86_400, row.get("requests")?.as_u64()?))
}

fn line(question: &Question, fast: &[f64], slow: &[f64]) -> Vec<String> {
    let (fast, slow) = (sorted(fast), sorted(slow));
    let figure = |figure: f64| format!("{figure:.1}");
    let mut cells = vec![question.what.to_owned(), question.days.to_string()];
    cells.extend([percentile(&fast, 50), percentile(&fast, 95)].map(figure));
    match slow.is_empty() {
        true => cells.extend(["-", "-", "-"].map(str::to_owned)),
        false => {
            cells.extend([percentile(&slow, 50), percentile(&slow, 95)].map(figure));
            cells.push(format!("{:.0}", percentile(&slow, 50) / percentile(&fast, 50).max(0.001)));
        }
    }
    cells
}

fn sorted(times: &[f64]) -> Vec<f64> {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times
}

/// By nearest rank, of times in order; 0 of none.
pub(super) fn percentile(times: &[f64], percent: usize) -> f64 {
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times.get(rank - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let times: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((percentile(&times, 50), percentile(&times, 95), percentile(&times, 99)), (10.0, 19.0, 20.0));
        assert_eq!((percentile(&[7.0], 95), percentile(&[], 95)), (7.0, 0.0));
    }

    #[test]
    fn a_question_ends_before_the_day_does() {
        let until = Day { seconds: 1_795_219_200 };
        let path = QUESTIONS[5].path(&until);
        assert_eq!(path, "/v1/usage?from=2026-11-20T00:37:00.000000Z&to=2026-11-20T23:59:37.000000Z&interval=minute");
    }
}
