//! Path, authentication and the version header that the API insists on.

use http::{HeaderMap, HeaderName, HeaderValue};
use schemas::config::Secret;
use schemas::outcome::Operation;
use url::Url;

use crate::formats::endpoint::{ends_in_version, join};
use crate::formats::headers::{UnusableSecret, secret_value};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

pub(crate) fn upstream_url(base_url: &Url, operation: Operation) -> Url {
    let path: &[&str] = match operation {
        Operation::Generate => &["messages"],
        Operation::CountTokens => &["messages", "count_tokens"],
    };
    join(base_url, (!ends_in_version(base_url)).then_some("v1"), path)
}

pub(crate) fn add_headers(headers: &mut HeaderMap, secret: Option<&Secret>) -> Result<(), UnusableSecret> {
    if let Some(secret) = secret {
        headers.insert(API_KEY, secret_value(secret.expose())?);
    }
    headers.entry(VERSION).or_insert(HeaderValue::from_static("2023-06-01"));
    Ok(())
}
