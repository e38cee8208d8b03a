//! What commands that run services set up first.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::Failure;

/// Starts logging to standard error. `WEIR_LOG` takes a filter like `info` or `gateway=debug`.
pub(super) fn start(default: &str) {
    let filter = std::env::var("WEIR_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new(default));
    // The first subscriber stays: the services find this one.
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = subscriber.with_ansi(std::io::stderr().is_terminal()).try_init();
}

/// Chooses the process's TLS implementation.
pub(super) fn install_tls() -> Result<(), Failure> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| Failure::Failed("a TLS implementation is installed already".to_owned()))
}
