//! Path and authentication.

use http::HeaderMap;
use schemas::config::Secret;
use url::Url;

use crate::formats::endpoint::join;
use crate::formats::headers::{UnusableSecret, add_bearer};

pub(crate) fn upstream_url(base_url: &Url) -> Url {
    join(base_url, "v1", &["chat", "completions"])
}

pub(crate) fn add_headers(headers: &mut HeaderMap, secret: Option<&Secret>) -> Result<(), UnusableSecret> {
    add_bearer(headers, secret)
}
