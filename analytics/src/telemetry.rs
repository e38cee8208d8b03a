//! The log: one line an event on standard error, with fields. Bodies and secrets never get here.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging for this process: `WEIR_LOG` takes a filter like `info` or `analytics=debug`, and
/// `WEIR_LOG_FORMAT=json` writes JSON lines. Does nothing where a subscriber is installed already.
pub fn start() {
    let filter = std::env::var("WEIR_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    let json = std::env::var("WEIR_LOG_FORMAT").is_ok_and(|format| format == "json");
    // Fails only where somebody else has started logging, which is then the log to use.
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}
