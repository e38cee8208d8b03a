//! Log output: one line an event on stderr, with fields. Events' contents and secrets never get here.

use tracing_subscriber::EnvFilter;

/// Starts logging. `WEIR_LOG` takes a filter like `info` or `recorder=debug`; `WEIR_LOG_FORMAT=json` writes JSON lines.
pub fn start() {
    let filter = std::env::var("WEIR_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info,async_nats=warn"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A subscriber set earlier (by a test, or by `weir up`) stays.
    let _already_set = if std::env::var("WEIR_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}
