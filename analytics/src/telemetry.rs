//! The log: to standard error, filtered by `RUST_LOG`, as JSON where `WEIR_LOG_FORMAT=json` asks for it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging for this process. Does nothing where a subscriber is installed already.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let json = std::env::var("WEIR_LOG_FORMAT").is_ok_and(|format| format == "json");
    // Fails only where somebody else has started logging, which is then the log to use.
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}
