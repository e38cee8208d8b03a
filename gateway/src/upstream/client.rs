//! The HTTP client for all providers: one, so that connections, TLS sessions and HTTP/2 streams are shared.

use reqwest::redirect;
use schemas::config::Timeouts;

/// Builds the client. Call once per process.
///
/// No total timeout: the pipeline times every phase itself. No redirects: they would carry our key elsewhere (W30). No
/// decompression: bytes go through as they are.
pub fn build(timeouts: &Timeouts) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(timeouts.connect.0)
        .redirect(redirect::Policy::none())
        .tcp_nodelay(true)
        .tcp_keepalive(std::time::Duration::from_secs(30))
        .pool_max_idle_per_host(256)
        .pool_idle_timeout(std::time::Duration::from_secs(60))
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(std::time::Duration::from_secs(30))
        .http2_keep_alive_timeout(std::time::Duration::from_secs(10))
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
        .build()
}
