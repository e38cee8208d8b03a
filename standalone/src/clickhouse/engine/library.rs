//! The binding to libchdb: its functions, found by name at run time.
//!
//! Loaded rather than linked, so that everything builds and is tested without the 566 MB library.
#![expect(unsafe_code, reason = "a C library can be called in no other way; nothing outside this folder is unsafe")]

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;

use libloading::Library;

use super::Error;

/// `chdb_connection *`: what `chdb_connect` returns and `chdb_close_conn` takes.
pub(super) type ConnectionHandle = *mut *mut c_void;
/// `chdb_connection`: what every statement takes.
pub(super) type Session = *mut c_void;
/// `chdb_result *`.
pub(super) type ResultHandle = *mut c_void;
/// `chdb_insert_stream`.
pub(super) type InsertHandle = *mut c_void;

pub(super) type WithParams<R> = unsafe extern "C" fn(
    Session,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> R;

type OfResult<R> = unsafe extern "C" fn(ResultHandle) -> R;

/// Declares the table of functions and how each is looked up.
macro_rules! functions {
    ($($field:ident = $symbol:literal : $signature:ty;)+) => {
        /// The functions of libchdb that are used here.
        ///
        /// The library itself is never unloaded: its threads live until the process ends.
        pub(super) struct Functions {
            $(pub(super) $field: $signature,)+
        }

        impl Functions {
            /// Loads the library at `path` and finds every function.
            pub(super) fn load(path: &Path) -> Result<Self, Error> {
                let unusable = |source| Error::Library { path: path.to_owned(), source };
                // SAFETY: loading runs the library's initialisers; the file is ClickHouse's own engine, fetched by
                // its checksum or named by the operator, and its initialisers expect nothing of the process.
                let library = unsafe { Library::new(path) }.map_err(unusable)?;
                let functions = Self {
                    // SAFETY: each signature is the one that chdb.h of this version declares for the name.
                    $($field: *unsafe { library.get::<$signature>($symbol) }.map_err(unusable)?,)+
                };
                std::mem::forget(library);
                Ok(functions)
            }
        }
    };
}

functions! {
    connect = c"chdb_connect": unsafe extern "C" fn(c_int, *mut *mut c_char) -> ConnectionHandle;
    close = c"chdb_close_conn": unsafe extern "C" fn(ConnectionHandle);
    query = c"chdb_query_with_params_n": WithParams<ResultHandle>;
    stream_query = c"chdb_stream_query_with_params_n": WithParams<ResultHandle>;
    fetch = c"chdb_stream_fetch_result": unsafe extern "C" fn(Session, ResultHandle) -> ResultHandle;
    cancel_query = c"chdb_stream_cancel_query": unsafe extern "C" fn(Session, ResultHandle);
    destroy_result = c"chdb_destroy_query_result": OfResult<()>;
    insert = c"chdb_stream_insert_with_params_n": WithParams<InsertHandle>;
    append = c"chdb_stream_append": unsafe extern "C" fn(InsertHandle, *const c_void, usize) -> c_int;
    finish_insert = c"chdb_stream_done": unsafe extern "C" fn(InsertHandle) -> ResultHandle;
    cancel_insert = c"chdb_stream_cancel_insert": unsafe extern "C" fn(InsertHandle);
    insert_error = c"chdb_stream_insert_error": unsafe extern "C" fn(InsertHandle) -> *const c_char;
    destroy_insert = c"chdb_destroy_insert_stream": unsafe extern "C" fn(InsertHandle);
    result_buffer = c"chdb_result_buffer": OfResult<*const c_char>;
    result_length = c"chdb_result_length": OfResult<usize>;
    result_rows = c"chdb_result_rows_read": OfResult<u64>;
    result_bytes = c"chdb_result_bytes_read": OfResult<u64>;
    rows_read = c"chdb_result_storage_rows_read": OfResult<u64>;
    bytes_read = c"chdb_result_storage_bytes_read": OfResult<u64>;
    rows_written = c"chdb_result_rows_written": OfResult<u64>;
    bytes_written = c"chdb_result_bytes_written": OfResult<u64>;
    result_error = c"chdb_result_error": OfResult<*const c_char>;
    set_signal_handlers_enabled = c"chdb_set_signal_handlers_enabled": unsafe extern "C" fn(c_int);
    shutdown = c"chdb_shutdown": unsafe extern "C" fn() -> c_int;
}

impl Functions {
    /// Keeps the engine from installing its own signal handlers: SIGTERM is ours.
    pub(super) fn leave_signals_alone(&self) {
        // SAFETY: takes a flag, and is called before the first connection as the library asks.
        unsafe { (self.set_signal_handlers_enabled)(0) }
    }

    /// Stops the engine's threads; false when some are still running.
    pub(super) fn stop(&self) -> bool {
        // SAFETY: may be called at any time; with a connection still open it does nothing.
        unsafe { (self.shutdown)() == 0 }
    }
}
