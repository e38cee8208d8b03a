//! A believable past in ClickHouse, made there: the server computes the rows itself, and inserts them through the same
//! tables and views that recorded rows go through. What is made depends on the options alone.

mod cast;
mod days;

use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use schemas::config::ClickHouse;
use schemas::migrations::{self, Placeholders};
use schemas::price::Book;
use schemas::rollups::Family;
use schemas::time::Timestamp;
use url::Url;
use uuid::Uuid;

use self::cast::Cast;
use self::days::Chunk;

/// Longest wait for one statement.
const TIMEOUT: Duration = Duration::from_secs(1800);
/// Inserts under way at once.
const CONCURRENT: usize = 2;

const EVENTS: &str = include_str!("events.sql");
const REQUESTS: &str = include_str!("requests.sql");
const CANDIDATES: &str = include_str!("candidates.sql");

/// Why there is no past, or not the whole of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client could not be built, or there is no answer.
    #[error("ClickHouse cannot be reached: {0}")]
    Http(#[from] reqwest::Error),
    /// Its address is none.
    #[error("clickhouse.url: {0}")]
    Url(#[from] url::ParseError),
    /// The password cannot be read.
    #[error("clickhouse.password: {0}")]
    Password(String),
    /// ClickHouse refused a statement.
    #[error("ClickHouse: {0}")]
    Refused(String),
    /// What is there would be mixed with what is made up.
    #[error("the database {0} holds requests: name an empty or a new one with --database")]
    NotEmpty(String),
}

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Requests.
    pub rows: u64,
    /// Whole days before `until`.
    pub days: u32,
    /// The day of this time is the first that has no requests.
    pub until: Timestamp,
    /// Changes every request.
    pub seed: u64,
}

/// Makes it. `progress` hears how many requests are stored.
pub async fn fill(
    config: &ClickHouse,
    book: &Book,
    options: Options,
    mut progress: impl FnMut(u64),
) -> Result<(), Error> {
    let server = Server::new(config)?;
    server.make_tables(config).await?;
    if server.ask("SELECT count() FROM (SELECT 1 FROM requests LIMIT 1)").await?.trim() != "0" {
        return Err(Error::NotEmpty(config.database.clone()));
    }
    let chunks = days::chunks(options.rows, options.days, options.until);
    let mut stored = 0;
    let mut inserts = stream::iter(chunks)
        .map(|chunk| insert(&server, chunk, statements(book, chunk, options.seed)))
        .buffer_unordered(CONCURRENT);
    while let Some(rows) = inserts.try_next().await? {
        stored += rows;
        progress(stored);
    }
    // The database was empty, so the views have seen every row.
    for family in Family::ALL {
        let family = family.as_str();
        let note = format!("INSERT INTO backfills SELECT '{family}', now64(6), 'weir simulate-history'");
        server.ask(&note).await?;
    }
    Ok(())
}

/// The two statements of a chunk, each with its token.
fn statements(book: &Book, chunk: Chunk, seed: u64) -> [(String, String); 2] {
    let cast = Cast::on(book, chunk.day_start());
    let epoch = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(chunk.day));
    [("requests", REQUESTS), ("candidates", CANDIDATES)].map(|(table, template)| {
        let sql = template
            .replace("{events}", EVENTS)
            .replace("{seed}", &seed.to_string())
            .replace("{first}", &chunk.first.to_string())
            .replace("{count}", &chunk.count.to_string())
            .replace("{first_of_day}", &chunk.first_of_day.to_string())
            .replace("{rows_of_day}", &chunk.rows_of_day.to_string())
            .replace("{day}", &chunk.day.to_string())
            .replace("{day_seconds}", &(u64::from(chunk.day) * 86_400).to_string())
            .replace("{epoch}", &epoch.to_string());
        (format!("simulate-history:{seed}:{}:{}:{table}", chunk.first, chunk.count), cast.fill(&sql))
    })
}

async fn insert(server: &Server, chunk: Chunk, statements: [(String, String); 2]) -> Result<u64, Error> {
    for (token, sql) in statements {
        server.insert(&token, sql, chunk.count).await?;
    }
    Ok(chunk.count)
}

/// ClickHouse over HTTP.
struct Server {
    http: reqwest::Client,
    url: Url,
    database: String,
    user: String,
    password: String,
}

impl Server {
    fn new(config: &ClickHouse) -> Result<Self, Error> {
        let password = match &config.password {
            Some(secret) => secret.resolve().map_err(Error::Password)?.expose().to_owned(),
            None => String::new(),
        };
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?,
            url: config.url.parse()?,
            database: config.database.clone(),
            user: config.user.clone(),
            password,
        })
    }

    /// The tables and views, as the recorder makes them. It may do so again: every statement is safe to repeat.
    async fn make_tables(&self, config: &ClickHouse) -> Result<(), Error> {
        let placeholders = Placeholders { database: &config.database, cluster: &config.cluster };
        let database = migrations::render("CREATE DATABASE IF NOT EXISTS {database} {on_cluster}", &placeholders);
        self.send("system", &[], database).await?;
        for migration in migrations::ALL {
            self.send("system", &[], migrations::render(migration.sql, &placeholders)).await?;
        }
        Ok(())
    }

    async fn ask(&self, sql: &str) -> Result<String, Error> {
        self.send(&self.database, &[], sql.to_owned()).await
    }

    /// One block in one partition, so that the token names all of it.
    async fn insert(&self, token: &str, sql: String, rows: u64) -> Result<(), Error> {
        // A request has up to three candidates.
        let rows = (rows * 4).to_string();
        let settings = [
            ("async_insert", "0"),
            ("insert_deduplicate", "1"),
            ("deduplicate_blocks_in_dependent_materialized_views", "1"),
            ("materialized_views_ignore_errors", "0"),
            ("max_threads", "1"),
            ("max_insert_threads", "1"),
            ("max_block_size", rows.as_str()),
            ("max_insert_block_size", rows.as_str()),
            ("min_insert_block_size_rows", rows.as_str()),
            ("min_insert_block_size_bytes", "0"),
            ("insert_deduplication_token", token),
        ];
        self.send(&self.database, &settings, sql).await.map(drop)
    }

    async fn send(&self, database: &str, settings: &[(&str, &str)], sql: String) -> Result<String, Error> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("database", database).extend_pairs(settings);
        let request = self.http.post(url);
        let request = request.header("x-clickhouse-user", &self.user).header("x-clickhouse-key", &self.password);
        let answer = request.body(sql).send().await?;
        let succeeded = answer.status().is_success();
        let text = answer.text().await?;
        if succeeded { Ok(text) } else { Err(Error::Refused(text.trim().to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_of_a_statement_is_filled_in() {
        let book = Book::builtin().unwrap();
        let until = "2026-11-21T10:00:00Z".parse().unwrap();
        let chunk = days::chunks(1000, 3, until)[1];
        for (token, sql) in statements(&book, chunk, 7) {
            assert!(!sql.contains('{'), "{sql}");
            assert!(token.starts_with("simulate-history:7:"));
        }
    }
}
