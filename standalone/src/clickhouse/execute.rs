//! One request from statement to answer, on a thread of its own that may block.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::body::Body;
use super::engine::{Connection, Engine, Statement};
use super::exception::Exception;
use super::reply::{ClientGone, Reply};
use super::request::Call;
use super::rows;
use super::sql::{self, Description, Parsed};

/// Longest text of a statement without data. The engine's own limit is `max_query_size`, and lower unless it is raised.
const STATEMENT_MAX_BYTES: usize = 256 << 20;

/// Pauses between attempts to cancel a statement.
const FIRST_KILL_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_KILL_PAUSE: Duration = Duration::from_secs(2);

/// How a statement ended, when not by an exception.
enum Ended {
    Complete,
    ClientGone,
}

/// Runs a request and writes its answer, exception or not.
pub(super) fn run(engine: &Engine, call: &Call, body: Body, mut reply: Reply, running: &Running) {
    reply.encode(call.wanted, call.waits_for_end);
    match answer(engine, call, body, &mut reply, running) {
        Ok(Ended::Complete) => reply.finish(),
        Ok(Ended::ClientGone) => tracing::debug!(query_id = call.query_id, "client has gone, statement cancelled"),
        Err(exception) => {
            tracing::debug!(query_id = call.query_id, code = exception.code(), "statement failed");
            reply.fail(&exception);
        }
    }
    running.has_ended.store(true, Ordering::SeqCst);
}

fn answer(engine: &Engine, call: &Call, body: Body, reply: &mut Reply, running: &Running) -> Result<Ended, Exception> {
    let mut input = call.encoding.decode(body);
    let mut text = call.query.clone().into_bytes();
    if !text.is_empty() {
        // Statement in the URL and rest in the body: they are joined by a line break.
        text.push(b'\n');
    }
    match read_statement(&mut text, &mut *input)? {
        Parsed::Insert { head, format, data_at } => {
            let data = text.get(data_at..).unwrap_or_default();
            let format = format.or_else(|| call.default_format.clone()).unwrap_or_else(|| "Values".to_owned());
            let mut connection = connect(engine, call)?;
            let statement = Statement { sql: &head, format: &format, params: &call.params };
            insert(&mut connection, statement, data, &mut *input, reply)
        }
        Parsed::Statement | Parsed::Incomplete => {
            drop(input);
            let description = sql::describe(&text)?;
            if description.is_read {
                running.is_read.store(true, Ordering::SeqCst);
                // A client that left before that was known has cancelled nothing.
                if reply.is_abandoned() {
                    return Ok(Ended::ClientGone);
                }
            }
            statement(engine, call, &text, &description, reply)
        }
    }
}

/// Reads as much of the body as belongs to the statement: its beginning for an INSERT with data, else everything.
fn read_statement(text: &mut Vec<u8>, input: &mut dyn BufRead) -> Result<Parsed, Exception> {
    let mut parsed = sql::parse(text, false)?;
    let mut parse_again_at = 0;
    while !matches!(parsed, Parsed::Insert { .. }) {
        let more = input.fill_buf().map_err(Exception::from_io)?;
        let more_bytes = more.len();
        text.extend_from_slice(more);
        input.consume(more_bytes);
        if more_bytes == 0 {
            return sql::parse(text, true);
        }
        if text.len() > STATEMENT_MAX_BYTES {
            return Err(Exception::query_is_too_large(format_args!(
                "The statement is longer than {STATEMENT_MAX_BYTES} bytes"
            )));
        }
        // Parsed anew only when it has doubled, so that a slow sender costs no more than a fast one.
        if parsed == Parsed::Incomplete && text.len() >= parse_again_at {
            parsed = sql::parse(text, false)?;
            parse_again_at = 2 * text.len();
        }
    }
    Ok(parsed)
}

fn statement(
    engine: &Engine,
    call: &Call,
    text: &[u8],
    description: &Description,
    reply: &mut Reply,
) -> Result<Ended, Exception> {
    if call.in_session && description.needs_session {
        let reason = "There are no sessions here: SET, USE and temporary tables would be forgotten; give settings and database with the request";
        return Err(Exception::not_implemented(reason));
    }
    let name = description.format.as_deref().or(call.default_format.as_deref()).unwrap_or("TabSeparated");
    let Some((format, content_type)) = engine.facts.formats.get(&name.to_lowercase()) else {
        return Err(Exception::unknown_format(format_args!("Unknown format {name}")));
    };
    reply.describe(format, content_type);
    let mut connection = connect(engine, call)?;
    let statement = Statement { sql: text, format, params: &call.params };
    let asks_whole = call.settings.iter().any(|(name, value)| sql::makes_one_document(name) && value != "0");
    if description.is_streamable && !asks_whole && rows::is_streamable(format) {
        match stream(&mut connection, statement, reply) {
            Err(exception) if exception.is_not_streamable() => {}
            ended => return ended,
        }
    }
    let answer = connection.query(statement)?;
    reply.count(answer.counts());
    Ok(written(reply.write(answer.bytes())))
}

fn stream(connection: &mut Connection, statement: Statement<'_>, reply: &mut Reply) -> Result<Ended, Exception> {
    let mut rows = connection.stream(statement)?;
    let mut joiner = rows::Joiner::new(statement.format);
    while let Some(chunk) = rows.next()? {
        reply.count(chunk.counts());
        if reply.write(joiner.join(chunk.bytes())) == Err(ClientGone) {
            return Ok(Ended::ClientGone);
        }
    }
    Ok(Ended::Complete)
}

fn insert(
    connection: &mut Connection,
    statement: Statement<'_>,
    data: &[u8],
    input: &mut dyn BufRead,
    reply: &mut Reply,
) -> Result<Ended, Exception> {
    let mut insert = connection.insert(statement)?;
    if !data.is_empty() {
        insert.append(data)?;
    }
    loop {
        // An error here (the client gone, a damaged block) drops the insert, and nothing of it is written.
        let more = input.fill_buf().map_err(Exception::from_io)?;
        let more_bytes = more.len();
        if more_bytes == 0 {
            break;
        }
        insert.append(more)?;
        input.consume(more_bytes);
    }
    reply.count(insert.finish()?);
    Ok(Ended::Complete)
}

fn written(written: Result<(), ClientGone>) -> Ended {
    match written {
        Ok(()) => Ended::Complete,
        Err(ClientGone) => Ended::ClientGone,
    }
}

/// A connection with the request's settings and database.
fn connect(engine: &Engine, call: &Call) -> Result<Connection, Exception> {
    // The library's own defaults differ from a server's in these.
    let mut settings: Vec<(String, String)> = [("implicit_select", "0"), ("allow_introspection_functions", "0")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    settings.retain(|(name, _)| call.settings.iter().all(|(set, _)| set != name));
    if let Some(marker) = &call.marker {
        settings.push(("log_comment".to_owned(), marker.clone()));
    }
    settings.extend(call.settings.iter().cloned());
    let mut connection = engine.connect(&settings).ok_or_else(|| explain(engine, &call.settings))?;
    if let Some(database) = &call.database {
        let sql = format!("USE {}", quoted(database, '`'));
        connection.query(Statement { sql: sql.as_bytes(), format: "Null", params: &[] })?;
    }
    Ok(connection)
}

/// Finds the words for refused settings, by setting one after the other.
fn explain(engine: &Engine, settings: &[(String, String)]) -> Exception {
    let Some(mut connection) = engine.connect(&[]) else {
        return Exception::internal("the engine opens no further connection");
    };
    for (name, value) in settings.iter().filter(|(name, _)| name != "readonly") {
        let sql = format!("SET {} = {}", quoted(name, '`'), quoted(value, '\''));
        if let Err(exception) = connection.query(Statement { sql: sql.as_bytes(), format: "Null", params: &[] }) {
            return exception;
        }
    }
    Exception::bad_arguments("A setting of this request has a value that it cannot have")
}

fn quoted(text: &str, quote: char) -> String {
    let escaped: String =
        text.chars().flat_map(|c| (c == quote || c == '\\').then_some('\\').into_iter().chain([c])).collect();
    format!("{quote}{escaped}{quote}")
}

/// What the thread of a statement tells those who may have to cancel it.
#[derive(Clone, Default)]
pub(super) struct Running {
    /// Set once a statement is known to change nothing, so that it may be cancelled when nobody waits for it. What writes
    /// is finished all the same, as on a server: its client may have left only because it became impatient.
    is_read: Arc<AtomicBool>,
    has_ended: Arc<AtomicBool>,
}

/// Cancels a reading statement whose client has gone, when it is dropped before `settle`.
pub(super) struct Cancel {
    statement: Option<(Arc<Engine>, String)>,
    running: Running,
}

impl Cancel {
    pub(super) fn new(engine: &Arc<Engine>, call: &Call, running: Running) -> Self {
        Self { statement: call.marker.clone().map(|marker| (Arc::clone(engine), marker)), running }
    }

    /// The statement has ended.
    pub(super) fn settle(&mut self) {
        self.statement = None;
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some((engine, marker)) = self.statement.take()
            && self.running.is_read.load(Ordering::SeqCst)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let running = self.running.clone();
            runtime.spawn_blocking(move || kill(&engine, &marker, &running));
        }
    }
}

/// Kills the statement until it has ended: it may be about to begin, and then there is nothing to kill yet.
fn kill(engine: &Engine, marker: &str, running: &Running) {
    let sql = format!("KILL QUERY WHERE Settings['log_comment'] = {} ASYNC", quoted(marker, '\''));
    let mut pause = FIRST_KILL_PAUSE;
    while !running.has_ended.load(Ordering::SeqCst) {
        let Some(mut connection) = engine.connect(&[]) else { return };
        if let Err(exception) = connection.query(Statement { sql: sql.as_bytes(), format: "Null", params: &[] }) {
            tracing::debug!(%exception, "could not cancel a statement");
        }
        drop(connection);
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_KILL_PAUSE);
    }
}
