//! Joins a format's path to an endpoint's base URL.

use url::Url;

/// `base_url` with `/<version>/<path>`; no version where the base has its own.
pub(super) fn join(base_url: &Url, version: Option<&str>, path: &[&str]) -> Url {
    let mut url = base_url.clone();
    // Only URLs that cannot be a base (`mailto:`) have no segments; the configuration admits http and https alone.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(version).extend(path);
    }
    url
}

/// Whether the base's last segment is a version (`/v1`, `/api/paas/v4`, `/v1beta`), which must not be doubled (R4).
pub(super) fn ends_in_version(base_url: &Url) -> bool {
    let last = base_url.path_segments().and_then(|segments| segments.rev().find(|segment| !segment.is_empty()));
    last.is_some_and(is_version)
}

/// Whether any segment of the base is a version: with OpenAI's and Google's formats the base then names the rest of the
/// way itself (`/v1beta/openai`, `/v1/projects/p/locations/l/publishers/google`).
pub(super) fn has_version(base_url: &Url) -> bool {
    base_url.path_segments().is_some_and(|mut segments| segments.any(is_version))
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
        for (base, ends, has) in [
            ("https://a.test", false, false),
            ("https://a.test/v1", true, true),
            ("https://a.test/v1/", true, true),
            ("https://a.test/api/paas/v4", true, true),
            ("https://a.test/v1beta", true, true),
            ("https://a.test/v1beta2", true, true),
            ("https://a.test/v1beta/openai/", false, true),
            ("https://a.test/v1/vertex", false, true),
            ("https://a.test/v", false, false),
            ("http://127.0.0.1:9/x/v1x/vbeta", false, false),
        ] {
            let url = Url::parse(base).unwrap();
            assert_eq!((ends_in_version(&url), has_version(&url)), (ends, has), "{base}");
        }
    }

    #[test]
    fn paths_are_joined_with_one_slash_and_escaped() {
        let join = |base, version| join(&Url::parse(base).unwrap(), version, &["a b:c/d"]).to_string();
        assert_eq!(join("https://a.test", Some("v1")), "https://a.test/v1/a%20b:c%2Fd");
        assert_eq!(join("https://a.test/x/", None), "https://a.test/x/a%20b:c%2Fd");
    }
}
