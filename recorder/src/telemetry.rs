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

/// An error with everything that led to it: clients tell the cause only when asked.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = deeper.source();
    }
    text
}
