//! One connection to the engine and what a statement on it returns, each freed when dropped.
//!
//! A connection runs one statement at a time, so statements borrow it mutably; a request takes a connection of its own.
#![expect(unsafe_code, reason = "a C library can be called in no other way; nothing outside this folder is unsafe")]

use std::ffi::{CStr, CString, c_char};
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::library::{ConnectionHandle, Functions, InsertHandle, ResultHandle, Session};
use crate::clickhouse::exception::Exception;

/// Rows and bytes that a statement has read, written and returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::clickhouse) struct Counts {
    pub(in crate::clickhouse) read_rows: u64,
    pub(in crate::clickhouse) read_bytes: u64,
    pub(in crate::clickhouse) written_rows: u64,
    pub(in crate::clickhouse) written_bytes: u64,
    pub(in crate::clickhouse) result_rows: u64,
    pub(in crate::clickhouse) result_bytes: u64,
}

impl Counts {
    /// Adds what a further chunk reports: chunks carry what is new, not totals.
    pub(in crate::clickhouse) fn add(&mut self, more: Self) {
        self.read_rows += more.read_rows;
        self.read_bytes += more.read_bytes;
        self.written_rows += more.written_rows;
        self.written_bytes += more.written_bytes;
        self.result_rows += more.result_rows;
        self.result_bytes += more.result_bytes;
    }
}

/// A statement: its text, the format of its rows and its server-side parameters.
#[derive(Clone, Copy, Debug)]
pub(in crate::clickhouse) struct Statement<'a> {
    pub(in crate::clickhouse) sql: &'a [u8],
    pub(in crate::clickhouse) format: &'a str,
    pub(in crate::clickhouse) params: &'a [(String, String)],
}

/// An open connection.
pub(in crate::clickhouse) struct Connection {
    functions: &'static Functions,
    handle: NonNull<*mut std::ffi::c_void>,
}

// SAFETY: the engine allows a connection to be used from any thread, as long as only one uses it at a time;
// every method that talks to the engine takes `&mut self`.
unsafe impl Send for Connection {}

impl Connection {
    /// Opens a connection; `None` when the engine refuses the arguments, for which it gives no reason.
    pub(super) fn open(functions: &'static Functions, arguments: &[CString]) -> Option<Self> {
        let mut argv: Vec<*mut c_char> = arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        let argc = i32::try_from(argv.len()).ok()?;
        // SAFETY: `argv` holds `argc` pointers to NUL-terminated strings that outlive the call; the engine copies them.
        let handle: ConnectionHandle = unsafe { (functions.connect)(argc, argv.as_mut_ptr()) };
        NonNull::new(handle).map(|handle| Self { functions, handle })
    }

    /// Runs a statement and holds its whole result.
    pub(in crate::clickhouse) fn query(&mut self, statement: Statement<'_>) -> Result<Answer, Exception> {
        let params = Params::new(statement.params);
        let session = self.session();
        // SAFETY: pointers and lengths describe live slices; the engine has copied them when it returns.
        let handle = unsafe { params.call(self.functions.query, session, statement) };
        Answer::new(self.functions, handle)
    }

    /// Starts a SELECT whose rows are fetched chunk by chunk.
    pub(in crate::clickhouse) fn stream(&mut self, statement: Statement<'_>) -> Result<Rows<'_>, Exception> {
        let params = Params::new(statement.params);
        let session = self.session();
        // SAFETY: as in `query`.
        let handle = unsafe { params.call(self.functions.stream_query, session, statement) };
        let answer = Answer::new(self.functions, handle)?;
        Ok(Rows { session, answer, ended: false, connection: PhantomData })
    }

    /// Starts an INSERT whose data are appended piece by piece. The statement ends before its FORMAT clause.
    pub(in crate::clickhouse) fn insert(&mut self, statement: Statement<'_>) -> Result<Insert<'_>, Exception> {
        let params = Params::new(statement.params);
        let session = self.session();
        // SAFETY: as in `query`.
        let handle = unsafe { params.call(self.functions.insert, session, statement) };
        if handle.is_null() {
            return Err(Exception::internal("the engine returned no insert stream"));
        }
        let insert = Insert { functions: self.functions, handle, settled: false, connection: PhantomData };
        match insert.error() {
            Some(exception) => Err(exception),
            None => Ok(insert),
        }
    }

    fn session(&self) -> Session {
        // SAFETY: the handle came from `chdb_connect` and is closed only when dropped.
        unsafe { *self.handle.as_ptr() }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the handle is open and is used by nothing else: whatever borrows the connection is gone.
        unsafe { (self.functions.close)(self.handle.as_ptr()) }
    }
}

/// A result, or one chunk of it.
pub(in crate::clickhouse) struct Answer {
    functions: &'static Functions,
    handle: ResultHandle,
}

impl Answer {
    fn new(functions: &'static Functions, handle: ResultHandle) -> Result<Self, Exception> {
        if handle.is_null() {
            return Err(Exception::internal("the engine returned no result"));
        }
        let answer = Self { functions, handle };
        // SAFETY: the handle is live; the text belongs to it and is copied here.
        match unsafe { text((functions.result_error)(handle)) } {
            Some(message) => Err(Exception::from_engine(&message)),
            None => Ok(answer),
        }
    }

    /// The formatted rows.
    pub(in crate::clickhouse) fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer has the length that the engine gives and lives as long as the handle, that is, `self`.
        unsafe {
            let length = (self.functions.result_length)(self.handle);
            let start = (self.functions.result_buffer)(self.handle);
            if length == 0 || start.is_null() { &[] } else { std::slice::from_raw_parts(start.cast(), length) }
        }
    }

    /// What the engine counted.
    pub(in crate::clickhouse) fn counts(&self) -> Counts {
        // SAFETY: the handle is live; these only read numbers from it.
        unsafe {
            Counts {
                read_rows: (self.functions.rows_read)(self.handle),
                read_bytes: (self.functions.bytes_read)(self.handle),
                written_rows: (self.functions.rows_written)(self.handle),
                written_bytes: (self.functions.bytes_written)(self.handle),
                result_rows: (self.functions.result_rows)(self.handle),
                result_bytes: (self.functions.result_bytes)(self.handle),
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the handle is live and dropped once.
        unsafe { (self.functions.destroy_result)(self.handle) }
    }
}

/// The rows of a running SELECT; dropped before its end, the query is cancelled.
pub(in crate::clickhouse) struct Rows<'c> {
    session: Session,
    answer: Answer,
    ended: bool,
    connection: PhantomData<&'c mut Connection>,
}

impl Rows<'_> {
    /// The next chunk, `None` after the last one.
    pub(in crate::clickhouse) fn next(&mut self) -> Result<Option<Answer>, Exception> {
        if self.ended {
            return Ok(None);
        }
        let functions = self.answer.functions;
        // SAFETY: both handles are live, and `&mut self` keeps fetches one after another.
        let handle = unsafe { (functions.fetch)(self.session, self.answer.handle) };
        let chunk = Answer::new(functions, handle).inspect_err(|_| self.ended = true)?;
        // An empty result still has a chunk when its format has a header, so rows alone do not tell the end.
        self.ended = chunk.bytes().is_empty() && chunk.counts().result_rows == 0;
        Ok((!self.ended).then_some(chunk))
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // SAFETY: both handles are live; no fetch is under way, since it would borrow `self`.
            unsafe { (self.answer.functions.cancel_query)(self.session, self.answer.handle) }
        }
    }
}

/// A running INSERT; dropped before `finish`, nothing of it is written.
pub(in crate::clickhouse) struct Insert<'c> {
    functions: &'static Functions,
    handle: InsertHandle,
    settled: bool,
    connection: PhantomData<&'c mut Connection>,
}

impl Insert<'_> {
    /// Hands a piece of the data to the engine; waits while the engine is behind.
    pub(in crate::clickhouse) fn append(&mut self, data: &[u8]) -> Result<(), Exception> {
        // SAFETY: the pointer and length describe a live slice, which the engine copies.
        let state = unsafe { (self.functions.append)(self.handle, data.as_ptr().cast(), data.len()) };
        if state == 0 {
            return Ok(());
        }
        Err(self.error().unwrap_or_else(|| Exception::internal("the engine refused a piece of the insert")))
    }

    /// Ends the data and waits until the engine has written all of it.
    pub(in crate::clickhouse) fn finish(mut self) -> Result<Counts, Exception> {
        self.settled = true;
        // SAFETY: the handle is live and has not been finished or cancelled.
        let handle = unsafe { (self.functions.finish_insert)(self.handle) };
        Ok(Answer::new(self.functions, handle)?.counts())
    }

    fn error(&self) -> Option<Exception> {
        // SAFETY: the handle is live; the text belongs to it and is copied.
        let message = unsafe { text((self.functions.insert_error)(self.handle)) };
        message.map(|message| Exception::from_engine(&message))
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and dropped once; cancelling what was finished is avoided by `settled`.
        unsafe {
            if !self.settled {
                (self.functions.cancel_insert)(self.handle);
            }
            (self.functions.destroy_insert)(self.handle);
        }
    }
}

/// Parameters as the four arrays that the engine takes.
struct Params {
    names: Vec<*const c_char>,
    name_lengths: Vec<usize>,
    values: Vec<*const c_char>,
    value_lengths: Vec<usize>,
}

impl Params {
    fn new(params: &[(String, String)]) -> Self {
        Self {
            names: params.iter().map(|(name, _)| name.as_ptr().cast()).collect(),
            name_lengths: params.iter().map(|(name, _)| name.len()).collect(),
            values: params.iter().map(|(_, value)| value.as_ptr().cast()).collect(),
            value_lengths: params.iter().map(|(_, value)| value.len()).collect(),
        }
    }

    /// # Safety
    /// `session` must be open, and the parameters from which `self` was made still be alive.
    unsafe fn call<R>(&self, function: super::library::WithParams<R>, session: Session, statement: Statement<'_>) -> R {
        // SAFETY: promised by the caller; pointers and lengths belong together.
        unsafe {
            function(
                session,
                statement.sql.as_ptr().cast(),
                statement.sql.len(),
                statement.format.as_ptr().cast(),
                statement.format.len(),
                self.names.as_ptr(),
                self.name_lengths.as_ptr(),
                self.values.as_ptr(),
                self.value_lengths.as_ptr(),
                self.names.len(),
            )
        }
    }
}

/// # Safety
/// `start` must be null or point to a NUL-terminated string.
unsafe fn text(start: *const c_char) -> Option<String> {
    if start.is_null() {
        return None;
    }
    // SAFETY: promised by the caller.
    let text = unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned();
    (!text.is_empty()).then_some(text)
}
