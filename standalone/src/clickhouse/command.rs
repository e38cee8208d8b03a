//! `weir clickhouse`: the engine as a server process of its own, so that it can be killed and started again.

use std::io::{IsTerminal, Read};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Error, Options, serve};
use crate::fetch;

/// Serves ClickHouse's engine over HTTP on this machine.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Folder of the data; made when missing.
    #[arg(long)]
    data: PathBuf,
    /// Address of the HTTP interface.
    #[arg(long, default_value = "127.0.0.1:8123")]
    listen: SocketAddr,
    /// ClickHouse's engine, libchdb.so; without it CHDB_LIB, the cache, or the package registry is asked.
    #[arg(long)]
    lib: Option<PathBuf>,
    /// The one user.
    #[arg(long, default_value = "default")]
    user: String,
    /// The user's password.
    #[arg(long, env = "CLICKHOUSE_PASSWORD", default_value = "", hide_env_values = true)]
    password: String,
    /// What the engine may use of the memory, in bytes.
    #[arg(long, default_value_t = super::MEMORY_LIMIT_BYTES)]
    memory: u64,
    /// Stop when standard input closes, that is, when the process that started this one is gone.
    #[arg(long)]
    exit_with_parent: bool,
}

/// Runs the server until SIGTERM or SIGINT; statements under way are finished.
pub async fn command(arguments: Arguments) -> Result<(), Error> {
    if std::env::var_os("TZ").is_none_or(|zone| zone != "UTC") {
        return Err(restart_in_utc());
    }
    let filter = tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| "info".into());
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter);
    // Whoever has set up another one before keeps it.
    let _ = subscriber.try_init();
    let shutdown = stop_token(arguments.exit_with_parent)?;
    let progress = fetch::Progress::stderr();
    let library = match arguments.lib {
        Some(library) => library,
        None => tokio::select! {
            library = fetch::libchdb(&progress) => library?,
            () = shutdown.cancelled() => return Ok(()),
        },
    };
    let address = arguments.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    let options = Options {
        library,
        data_dir: arguments.data,
        listener,
        user: arguments.user,
        password: arguments.password,
        memory_limit_bytes: arguments.memory,
    };
    serve(options, shutdown).await
}

/// A server's time zone is UTC. The engine takes its own from the environment when it is loaded, and a running process
/// cannot change that safely, so the process is replaced by itself.
fn restart_in_utc() -> Error {
    use std::os::unix::process::CommandExt;
    let restarted = std::env::current_exe().map(|binary| {
        let mut command = std::process::Command::new(binary);
        command.args(std::env::args_os().skip(1)).env("TZ", "UTC").exec()
    });
    Error::Restart(restarted.unwrap_or_else(|error| error))
}

fn stop_token(exit_with_parent: bool) -> Result<CancellationToken, Error> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let token = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    if exit_with_parent {
        let token = shutdown.clone();
        // Nothing is ever written to this pipe: it ends when its last writer, the parent, has ended in any way.
        std::thread::spawn(move || {
            let mut stdin = std::io::stdin().lock();
            while stdin.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
            token.cancel();
        });
    }
    Ok(shutdown)
}
