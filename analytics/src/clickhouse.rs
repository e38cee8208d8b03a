//! Runs a statement with a time limit, a row limit and a bound on how many run at once. No query text.

use std::sync::Arc;
use std::time::Duration;

use ::clickhouse::query::{BytesCursor, Query};
use ::clickhouse::{Client, RowOwned, RowRead};
use bytes::Bytes;
use schemas::config;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::queries::{self, Statement, Value};

/// Most characters of ClickHouse's words in a line of the log.
const BRIEF: usize = 300;
/// What ClickHouse's words lead to the statement with, which is kilobytes long, or what that begins with.
const STATEMENT: [&str; 6] = [" in scope ", " In scope ", "SELECT ", "SELECT\n", "WITH ", "WITH\n"];

/// Statements running at once: enough to keep a server busy, too few to take it away from the recorder.
const CONCURRENT: usize = 8;

/// Why a statement gave no answer. The messages are for callers; [`Error::detail`] is for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or no answer within the time limit.
    #[error("ClickHouse cannot be reached at present; nothing is lost, try again shortly")]
    Unreachable(String),
    /// The database, a table or a column does not exist yet.
    #[error(
        "ClickHouse does not have all of Weir's tables and columns yet: the recorder makes them when it starts, try again shortly"
    )]
    NotMigrated(String),
    /// Wrong user or password, or missing rights.
    #[error("ClickHouse refuses this service: check [clickhouse] user and password, and that user's rights")]
    Refused(String),
    /// Too many statements are waiting.
    #[error("too many questions at once, try again shortly")]
    Busy,
    /// The statement ran into its time limit.
    #[error("the question took longer than it may: ask for a shorter time range or fewer groups")]
    TooSlow(String),
    /// The statement ran into a row or memory limit.
    #[error("the answer is too large: ask for a shorter time range, a coarser interval or fewer groups")]
    TooLarge(String),
    /// Anything else: a fault of this service.
    #[error("ClickHouse could not answer the question; the log of this service says why")]
    Failed(String),
}

impl Error {
    /// What ClickHouse or the network said.
    pub fn detail(&self) -> &str {
        match self {
            Self::Busy => "no permit became free in time",
            Self::Unreachable(text)
            | Self::NotMigrated(text)
            | Self::Refused(text)
            | Self::TooSlow(text)
            | Self::TooLarge(text)
            | Self::Failed(text) => text,
        }
    }

    /// The same for a line of the log: without the statement that ClickHouse quotes, and of bounded length.
    pub fn brief(&self) -> String {
        let detail = self.detail();
        let end = STATEMENT.iter().filter_map(|mark| detail.find(mark)).min();
        let words = detail.get(..end.unwrap_or(detail.len())).unwrap_or(detail);
        let cut: String = words.chars().take(BRIEF).collect();
        if cut.len() < detail.len() { format!("{} ...", cut.trim_end()) } else { cut }
    }

    /// Logs what failed, with the brief words, and all of them for who looks closer.
    pub fn warn(&self, what: &str) {
        tracing::warn!(detail = self.brief(), "{what}: {self}");
        tracing::debug!(detail = self.detail(), "{what}, in ClickHouse's words");
    }

    /// Whether ClickHouse answered at all.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

impl From<::clickhouse::error::Error> for Error {
    fn from(error: ::clickhouse::error::Error) -> Self {
        use ::clickhouse::error::Error as Crate;
        let detail = with_causes(&error);
        match error {
            Crate::Network(_) | Crate::TimedOut => Self::Unreachable(detail),
            Crate::BadResponse(text) => match exception_code(&text) {
                // UNKNOWN_TABLE, UNKNOWN_DATABASE
                Some(60 | 81) => Self::NotMigrated(detail),
                // UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, ACCESS_DENIED, AUTHENTICATION_FAILED
                Some(192 | 193 | 194 | 497 | 516) => Self::Refused(detail),
                // TIMEOUT_EXCEEDED
                Some(159) => Self::TooSlow(detail),
                // TOO_MANY_ROWS, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES
                Some(158 | 241 | 307 | 396) => Self::TooLarge(detail),
                // TOO_MANY_SIMULTANEOUS_QUERIES
                Some(202) => Self::Busy,
                Some(_) => Self::Failed(detail),
                // A proxy's page, or a server that is going away: whoever answered was not ClickHouse.
                None => Self::Unreachable(detail),
            },
            _ => Self::Failed(detail),
        }
    }
}

/// The number in `Code: 60. DB::Exception: ...`.
fn exception_code(text: &str) -> Option<u32> {
    let digits = text.split_once("Code: ")?.1;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// An error's own words and those of its causes that add something.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}

/// The connection, shared by everything in this service.
#[derive(Clone)]
pub struct ClickHouse {
    client: Client,
    permits: Arc<Semaphore>,
    timeout: Duration,
    database: String,
}

impl ClickHouse {
    /// Prepares a client; nothing is sent. Fails only if the password cannot be had, saying why.
    pub fn new(config: &config::ClickHouse) -> Result<Self, String> {
        let timeout = config.timeout.0;
        let mut client = Client::default()
            .with_url(&config.url)
            .with_database(&config.database)
            .with_user(&config.user)
            // 2, not 1: reading only, but the limits below may still be set.
            .with_setting("readonly", "2")
            .with_setting("cancel_http_readonly_queries_on_client_close", "1")
            .with_setting("max_execution_time", timeout.as_secs().max(1).to_string())
            .with_setting("timeout_overflow_mode", "throw")
            .with_setting("result_overflow_mode", "throw")
            // Results are named like the columns that they sum up; inside a statement the name is the column's.
            .with_setting("prefer_column_name_to_alias", "1")
            .with_setting("do_not_merge_across_partitions_select_final", "1")
            // Statistics of columns are read of every part before a statement runs, unless the table has read them in its
            // last five minutes; there is no join whose order they could tell.
            .with_setting("use_statistics", "0")
            // Of an hour's rows only those of the last minutes are read whole. Columns of the sorting key alone are moved,
            // which both rows of a repeated request share.
            .with_setting("optimize_move_to_prewhere_if_final", "1");
        if let Some(password) = &config.password {
            client = client.with_password(password.resolve()?.expose());
        }
        let database = config.database.clone();
        Ok(Self { client, permits: Arc::new(Semaphore::new(CONCURRENT)), timeout, database })
    }

    /// Name of the database that statements run in.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// All rows of a statement; more than `max_rows` of them are an error.
    pub async fn rows<T: RowOwned + RowRead>(&self, statement: &Statement, max_rows: usize) -> Result<Vec<T>, Error> {
        let _permit = self.permit().await?;
        let rows = self.prepare(statement, max_rows).fetch_all::<T>();
        match tokio::time::timeout(self.longest_wait(), rows).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(self.explained(error.into()).await),
            Err(_) => Err(Error::Unreachable(format!("no answer within {} s", self.longest_wait().as_secs()))),
        }
    }

    /// The bytes of a statement's result in one of ClickHouse's formats, as they arrive. The first of them is here when
    /// this returns, so that whatever fails at once can still be told with a status.
    pub async fn bytes(&self, statement: &Statement, format: &str, max_rows: usize) -> Result<Download, Error> {
        let permit = self.permit().await?;
        let query = self
            .prepare(statement, max_rows)
            .with_setting("date_time_output_format", "iso")
            .with_setting("output_format_decimal_trailing_zeros", "1")
            .with_setting("format_csv_null_representation", "");
        let cursor = query.fetch_bytes(format)?;
        let mut download = Download { cursor, wait: self.longest_wait(), first: None, _permit: permit };
        match download.pull().await {
            Ok(first) => download.first = first,
            Err(error) => return Err(self.explained(error).await),
        }
        Ok(download)
    }

    /// A statement that names a column which is not there is at fault, unless the recorder is still making the columns.
    async fn explained(&self, error: Error) -> Error {
        let Error::Failed(detail) = &error else { return error };
        // THERE_IS_NO_COLUMN, NOT_FOUND_COLUMN_IN_BLOCK, NO_SUCH_COLUMN_IN_TABLE, UNKNOWN_IDENTIFIER
        if !matches!(exception_code(detail), Some(8 | 10 | 16 | 47)) {
            return error;
        }
        let unapplied = self.prepare(&queries::unapplied_migrations(), 1).fetch_one::<u64>();
        match tokio::time::timeout(self.longest_wait(), unapplied).await {
            Ok(Ok(count)) if count > 0 => Error::NotMigrated(format!("{count} migrations are to come: {detail}")),
            _ => error,
        }
    }

    fn prepare(&self, statement: &Statement, max_rows: usize) -> Query {
        let query = self.client.query(&statement.sql).with_setting("max_result_rows", max_rows.to_string());
        statement.values.iter().fold(query, |query, (name, value)| match value {
            Value::Integer(number) => query.param(name, number),
            Value::Text(text) => query.param(name, text),
            Value::List(texts) => query.param(name, texts),
            Value::Numbers(numbers) => query.param(name, numbers),
        })
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = tokio::time::timeout(self.timeout, self.permits.clone().acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or(Error::Busy)
    }

    /// The server ends a statement at `max_execution_time` by itself; this is for a server that says nothing.
    fn longest_wait(&self) -> Duration {
        self.timeout + Duration::from_secs(5)
    }
}

/// A result on its way.
pub struct Download {
    cursor: BytesCursor,
    wait: Duration,
    first: Option<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl Download {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self.first.take() {
            Some(bytes) => Ok(Some(bytes)),
            None => self.pull().await,
        }
    }

    async fn pull(&mut self) -> Result<Option<Bytes>, Error> {
        match tokio::time::timeout(self.wait, self.cursor.next()).await {
            Ok(piece) => Ok(piece?),
            Err(_) => Err(Error::Unreachable("the result stopped coming".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Error {
        ::clickhouse::error::Error::BadResponse(text.to_owned()).into()
    }

    #[test]
    fn exceptions_are_told_apart_by_their_number() {
        assert!(matches!(of("Code: 60. DB::Exception: Unknown table expression"), Error::NotMigrated(_)));
        assert!(matches!(of("Code: 81. DB::Exception: Database weir does not exist"), Error::NotMigrated(_)));
        assert!(matches!(of("Code: 516. DB::Exception: Authentication failed"), Error::Refused(_)));
        assert!(matches!(of("Code: 159. DB::Exception: Timeout exceeded"), Error::TooSlow(_)));
        assert!(matches!(of("Code: 396. DB::Exception: Limit for result exceeded"), Error::TooLarge(_)));
        assert!(matches!(of("Code: 62. DB::Exception: Syntax error"), Error::Failed(_)));
        assert!(matches!(of("502 Bad Gateway"), Error::Unreachable(_)));
    }

    #[test]
    fn a_line_of_the_log_is_short_and_does_not_quote_the_statement() {
        let statement = "WITH r.attempts > 0 AS charged SELECT bucket, sum(s.requests) FROM usage_1h AS s".repeat(40);
        let said = "bad response: Code: 60. DB::Exception: Unknown table expression identifier 'usage_1h'";
        for scope in [" in scope ", " In scope ", ": While processing "] {
            let error = of(&format!("{said}{scope}{statement}. (UNKNOWN_TABLE) (version 26.7.3.1)"));
            let brief = error.brief();
            assert!(brief.contains("Code: 60.") && brief.contains("'usage_1h'") && brief.len() < 130, "{brief}");
            assert!(!brief.contains("SELECT") && !brief.contains("WITH"), "{brief}");
            assert!(error.detail().contains(&statement), "all of it is there for who asks");
        }
        assert_eq!(of("Code: 159. DB::Exception: Timeout").brief(), of("Code: 159. DB::Exception: Timeout").detail());
        let long = of(&format!("Code: 62. DB::Exception: {}", "\u{e4}".repeat(5_000)));
        assert_eq!(long.brief().chars().count(), BRIEF + " ...".len());
    }

    #[test]
    fn callers_do_not_read_what_is_for_the_operator() {
        let error = of("Code: 516. DB::Exception: secret-host: Authentication failed");
        assert!(!error.to_string().contains("secret-host"));
        assert!(error.detail().contains("secret-host"));
    }
}
