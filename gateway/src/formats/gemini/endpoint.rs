//! Path and authentication. The model, and whether a stream is asked for, stand in the path.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use schemas::config::Secret;
use schemas::outcome::Operation;
use url::Url;

use crate::formats::Wanted;
use crate::formats::endpoint::{has_version, join};
use crate::formats::headers::{UnusableSecret, secret_value};

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const STREAM: &str = "streamGenerateContent";
const WHOLE: &str = "generateContent";
const COUNT: &str = "countTokens";

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) model: String,
    pub(crate) stream: bool,
}

/// Reads `.../models/{model}:generateContent`, `:streamGenerateContent` and `:countTokens`; others are not served.
pub(crate) fn target(path: &str) -> Option<Target> {
    let (_, last) = path.rsplit_once("/models/")?;
    let (model, action) = last.rsplit_once(':')?;
    let stream = match action {
        STREAM => true,
        WHOLE | COUNT => false,
        _ => return None,
    };
    let model = percent_decoded(model)?;
    (!model.is_empty()).then(|| Target { model: model.into_owned(), stream })
}

pub(crate) fn upstream_url(base_url: &Url, wanted: Wanted<'_>) -> Url {
    let model = wanted.model;
    let action = match (wanted.operation, wanted.stream) {
        (Operation::CountTokens, _) => COUNT,
        (Operation::Generate, true) => STREAM,
        (Operation::Generate, false) => WHOLE,
    };
    let version = (!has_version(base_url)).then_some("v1beta");
    join(base_url, version, &["models", &format!("{model}:{action}")])
}

pub(crate) fn add_headers(headers: &mut HeaderMap, secret: Option<&Secret>) -> Result<(), UnusableSecret> {
    if let Some(secret) = secret {
        headers.insert(API_KEY, secret_value(secret.expose())?);
    }
    Ok(())
}

/// A path segment's text; `None` if it is not UTF-8.
fn percent_decoded(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment));
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}
