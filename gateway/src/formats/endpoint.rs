//! Joins a format's path to an endpoint's base URL.

use url::Url;

/// `base_url` with `/<version>/<path>`; a base that ends in a version of its own (`/v1`, `/api/paas/v4`, `/v1beta`)
/// keeps that one (R4).
pub(super) fn join(base_url: &Url, version: &str, path: &[&str]) -> Url {
    let mut url = base_url.clone();
    let has_version =
        base_url.path_segments().and_then(|segments| segments.rev().find(|s| !s.is_empty())).is_some_and(is_version);
    // Only URLs that cannot be a base (`mailto:`) have no segments; the configuration admits http and https alone.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
        if !has_version {
            segments.push(version);
        }
        segments.extend(path);
    }
    url
}

/// `v` and digits, perhaps followed by `alpha` or `beta` and digits.
fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix('v') else { return false };
    let stage = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if stage.len() == rest.len() {
        return false;
    }
    let number = stage.strip_prefix("alpha").or_else(|| stage.strip_prefix("beta"));
    stage.is_empty() || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_never_doubled() {
        for (base, expected) in [
            ("https://a.test", "https://a.test/v1/messages"),
            ("https://a.test/", "https://a.test/v1/messages"),
            ("https://a.test/v1", "https://a.test/v1/messages"),
            ("https://a.test/v1/", "https://a.test/v1/messages"),
            ("https://a.test/api/paas/v4", "https://a.test/api/paas/v4/messages"),
            ("https://a.test/v1beta", "https://a.test/v1beta/messages"),
            ("https://a.test/v1beta2", "https://a.test/v1beta2/messages"),
            ("https://a.test/vertex", "https://a.test/vertex/v1/messages"),
            ("https://a.test/v", "https://a.test/v/v1/messages"),
            ("http://127.0.0.1:9/x/v1x", "http://127.0.0.1:9/x/v1x/v1/messages"),
        ] {
            assert_eq!(join(&Url::parse(base).unwrap(), "v1", &["messages"]).as_str(), expected);
        }
    }
}
