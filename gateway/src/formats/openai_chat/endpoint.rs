//! Path and authentication.

use http::HeaderMap;
use schemas::config::Secret;
use url::Url;

use crate::formats::endpoint::{has_version, join};
use crate::formats::headers::{UnusableSecret, add_bearer};

pub(crate) fn upstream_url(base_url: &Url) -> Url {
    join(base_url, (!has_version(base_url)).then_some("v1"), &["chat", "completions"])
}

pub(crate) fn add_headers(headers: &mut HeaderMap, secret: Option<&Secret>) -> Result<(), UnusableSecret> {
    add_bearer(headers, secret)
}
