//! ClickHouse over chDB: the engine as a library, served over ClickHouse's HTTP protocol.
//!
//! For machines without Docker and without a ClickHouse server: development, tests, the demo. One process, one user,
//! loopback only. The statements, formats, settings and errors are the real engine's; the HTTP layer around it is ours.
//!
//! A request takes one thread and one connection: `server` lets it in and brings its body, `request` reads what it asks
//! for, `execute` finds out with `sql` what kind of statement it is and runs it on the `engine`, `reply` writes back.

mod exception;
mod engine;

mod native;
mod body;
mod request;
mod sql;
mod rows;
mod encoder;
mod reply;
mod execute;
mod server;

mod command;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::command::{Arguments, command};
use self::engine::Engine;
use self::request::Credentials;
use crate::fetch;

/// Memory of the engine unless something else is said: enough for the demo and the tests, and not all of a laptop.
pub const MEMORY_LIMIT_BYTES: u64 = 3 << 30;

/// What a server is made of.
#[derive(Debug)]
pub struct Options {
    /// libchdb.so.
    pub library: PathBuf,
    /// Where the data are.
    pub data_dir: PathBuf,
    /// Already bound, on loopback: SQL may read any file that this process may read.
    pub listener: TcpListener,
    /// The one user.
    pub user: String,
    /// The user's password; empty for none.
    pub password: String,
    /// What the engine may use of the memory.
    pub memory_limit_bytes: u64,
}

/// Why the server did not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine's library could not be had.
    #[error(transparent)]
    Fetch(#[from] fetch::FetchError),
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}; choose another one with --listen")]
    Listen {
        /// The address that was tried.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Listening on other addresses than loopback is refused.
    #[error("refusing to serve ClickHouse on {0}: its SQL can read every file of this user; use 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
    /// The process could not be started anew with its time zone.
    #[error("cannot start again with TZ=UTC: {0}; set TZ=UTC in the environment")]
    Restart(std::io::Error),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    /// The server failed.
    #[error("the HTTP server failed: {0}")]
    Serve(std::io::Error),
}

/// Serves ClickHouse until `shutdown`; statements under way are finished.
///
/// The engine can be started only once in a process, on one folder.
pub async fn serve(options: Options, shutdown: CancellationToken) -> Result<(), Error> {
    let address = options.listener.local_addr().map_err(Error::Serve)?;
    if !address.ip().is_loopback() {
        return Err(Error::NotLoopback(address));
    }
    let Options { library, data_dir, listener, user, password, memory_limit_bytes } = options;
    let config = engine_config(memory_limit_bytes);
    let started = tokio::task::spawn_blocking(move || Engine::start(&library, &data_dir, &config)).await;
    let engine = Arc::new(started.map_err(|error| Error::Serve(error.into()))??);
    let version = &engine.facts.version;
    tracing::info!(%address, version, "ClickHouse (chDB) is listening on http://{address}");
    let served = server::serve(Arc::clone(&engine), Credentials { user, password }, listener, shutdown).await;
    let stopped = tokio::task::spawn_blocking(move || engine.stop()).await;
    stopped.map_err(|error| Error::Serve(error.into()))?;
    served.map_err(Error::Serve)
}

/// The engine's options: a small machine's caches in place of a big server's.
fn engine_config(memory_limit_bytes: u64) -> String {
    format!(
        "<clickhouse>
    <max_server_memory_usage>{memory_limit_bytes}</max_server_memory_usage>
    <mark_cache_size>67108864</mark_cache_size>
    <index_mark_cache_size>16777216</index_mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
</clickhouse>
"
    )
}
