//! One request from statement to answer, on a thread of its own that may block.

use std::io::BufRead;
use std::sync::Arc;

use super::body::Body;
use super::engine::{Connection, Engine, Statement};
use super::exception::Exception;
use super::reply::{ClientGone, Reply};
use super::request::Call;
use super::rows;
use super::sql::{self, Parsed};

/// Longest text of a statement without data. The engine's own limit is `max_query_size`, and lower unless it is raised.
const STATEMENT_MAX_BYTES: usize = 256 << 20;

/// How a statement ended, when not by an exception.
enum Ended {
    Complete,
    ClientGone,
}

/// Runs a request and writes its answer, exception or not.
pub(super) fn run(engine: &Engine, call: &Call, body: Body, mut reply: Reply) {
    reply.encode(call.wanted, call.waits_for_end);
    match answer(engine, call, body, &mut reply) {
        Ok(Ended::Complete) => reply.finish(),
        Ok(Ended::ClientGone) => tracing::debug!(query_id = call.query_id, "client has gone, statement cancelled"),
        Err(exception) => {
            tracing::debug!(query_id = call.query_id, code = exception.code(), "statement failed");
            reply.fail(&exception);
        }
    }
}

fn answer(engine: &Engine, call: &Call, body: Body, reply: &mut Reply) -> Result<Ended, Exception> {
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
            statement(engine, call, &text, reply)
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

fn statement(engine: &Engine, call: &Call, text: &[u8], reply: &mut Reply) -> Result<Ended, Exception> {
    let description = sql::describe(text)?;
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
    settings.extend(marker(call).map(|marker| ("log_comment".to_owned(), marker)));
    settings.extend(call.settings.iter().cloned());
    let mut connection = engine.connect(&settings).ok_or_else(|| explain(engine, &call.settings))?;
    if let Some(database) = &call.database {
        let sql = format!("USE {}", quoted(database, '`'));
        connection.query(Statement { sql: sql.as_bytes(), format: "Null", params: &[] })?;
    }
    Ok(connection)
}

/// What the running statement can be found by, so that it can be cancelled. None when the client uses the comment itself.
fn marker(call: &Call) -> Option<String> {
    let is_taken = call.settings.iter().any(|(name, _)| name == "log_comment");
    (!is_taken).then(|| format!("weir {}", call.query_id))
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

/// Cancels a statement whose client has gone, when it is dropped before `settle`.
pub(super) struct Cancel {
    statement: Option<(Arc<Engine>, String)>,
}

impl Cancel {
    pub(super) fn new(engine: Arc<Engine>, call: &Call) -> Self {
        Self { statement: marker(call).map(|marker| (engine, marker)) }
    }

    /// The statement has ended.
    pub(super) fn settle(&mut self) {
        self.statement = None;
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some((engine, marker)) = self.statement.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || kill(&engine, &marker));
        }
    }
}

fn kill(engine: &Engine, marker: &str) {
    let Some(mut connection) = engine.connect(&[]) else { return };
    let sql = format!("KILL QUERY WHERE Settings['log_comment'] = {} ASYNC", quoted(marker, '\''));
    if let Err(exception) = connection.query(Statement { sql: sql.as_bytes(), format: "Null", params: &[] }) {
        tracing::debug!(%exception, "could not cancel a statement");
    }
}
