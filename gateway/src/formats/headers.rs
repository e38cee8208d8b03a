//! Which headers pass, in either direction (R3, W30), and what is put in their place.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use schemas::config::Secret;

/// A configured key that cannot be a header's value. The key itself is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the endpoint's key has characters that a header cannot carry; check its env or file for line breaks")]
pub struct UnusableSecret;

/// Whether a header of the client goes upstream: all but its credentials, its own account and network, what belongs
/// to the connection, and what is ours.
pub fn forward_request_header(name: &HeaderName) -> bool {
    const KEPT_BACK: &[&str] = &[
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "api-key",
        "openai-organization",
        "openai-project",
        "x-goog-user-project",
        "cookie",
        "host",
        "content-length",
        "content-encoding",
        "accept-encoding",
        "expect",
        "forwarded",
        "via",
        "x-real-ip",
        "true-client-ip",
        "origin",
        "referer",
        "x-request-id",
        // Whom of ours the client wants to be asked (R21).
        "x-require-capability",
    ];
    const KEPT_BACK_PREFIXES: &[&str] = &["x-forwarded-", "x-weir-", "cf-", "sec-", "proxy-"];
    let name = name.as_str();
    !is_hop_by_hop(name)
        && !KEPT_BACK.contains(&name)
        && !KEPT_BACK_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a header of the provider goes to the client: all but what belongs to the connection or the provider's
/// site, what names our account there, and what is ours. `content-encoding` passes: we ask for none, and where one
/// comes all the same its bytes are relayed as they are.
pub fn forward_response_header(name: &HeaderName) -> bool {
    const KEPT_BACK: &[&str] = &[
        "content-length",
        "set-cookie",
        "alt-svc",
        "date",
        "server",
        "via",
        "strict-transport-security",
        "nel",
        "report-to",
        "reporting-endpoints",
        "openai-organization",
        "openai-project",
        "anthropic-organization-id",
    ];
    const KEPT_BACK_PREFIXES: &[&str] = &["x-weir-", "proxy-", "access-control-"];
    let name = name.as_str();
    !is_hop_by_hop(name)
        && !KEPT_BACK.contains(&name)
        && !KEPT_BACK_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The provider's headers that go to the client.
pub fn downstream_headers(upstream: &HeaderMap) -> HeaderMap {
    filtered(upstream, forward_response_header)
}

/// Whether an answer says that it is a stream of events.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    essence(headers).eq_ignore_ascii_case("text/event-stream")
}

/// Whether an answer says that it is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    essence(headers).eq_ignore_ascii_case("application/json")
}

/// The content type without its parameters.
fn essence(headers: &HeaderMap) -> &str {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim()
}

/// The client's headers that go upstream, with a body type, and without compression: the gateway must read the answer.
pub(super) fn from_client(client: &HeaderMap) -> HeaderMap {
    let mut headers = filtered(client, forward_request_header);
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// A header value that holds a secret: kept out of debug output and of HPACK's tables.
pub(super) fn secret_value(text: &str) -> Result<HeaderValue, UnusableSecret> {
    let mut value = HeaderValue::from_str(text).map_err(|_| UnusableSecret)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Adds `authorization: Bearer`.
pub(super) fn add_bearer(headers: &mut HeaderMap, secret: Option<&Secret>) -> Result<(), UnusableSecret> {
    if let Some(secret) = secret {
        headers.insert(header::AUTHORIZATION, secret_value(&format!("Bearer {}", secret.expose()))?);
    }
    Ok(())
}

fn filtered(headers: &HeaderMap, passes: fn(&HeaderName) -> bool) -> HeaderMap {
    let connection: Vec<&str> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let named_by_connection = |name: &HeaderName| connection.iter().any(|one| one.eq_ignore_ascii_case(name.as_str()));
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if passes(name) && !named_by_connection(name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_clients_secrets_and_network_stay_here() {
        let client = map(&[
            ("authorization", "Bearer client"),
            ("x-api-key", "client"),
            ("cookie", "a=b"),
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-weir-tag", "a"),
            ("x-require-capability", "cache_1h"),
            ("te", "trailers"),
            ("accept-encoding", "gzip"),
            ("openai-organization", "org-client"),
            ("anthropic-beta", "context-1m"),
            ("user-agent", "sdk/1"),
        ]);
        let upstream = from_client(&client);
        assert_eq!(names(&upstream), ["accept-encoding", "anthropic-beta", "content-type", "user-agent"]);
        assert_eq!(upstream["accept-encoding"], "identity");
    }

    #[test]
    fn the_providers_site_and_our_account_stay_there() {
        let upstream = map(&[
            ("content-type", "text/event-stream; charset=utf-8"),
            ("set-cookie", "__cf=1"),
            ("openai-organization", "ours"),
            ("anthropic-organization-id", "ours"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("request-id", "req_1"),
            ("retry-after", "2"),
        ]);
        assert!(is_event_stream(&upstream));
        assert_eq!(names(&downstream_headers(&upstream)), ["content-type", "request-id", "retry-after"]);
    }

    #[test]
    fn a_secret_is_never_shown() {
        let mut headers = HeaderMap::new();
        add_bearer(&mut headers, Some(&Secret::new("s3cret"))).unwrap();
        assert!(!format!("{headers:?}").contains("s3cret"));
        let broken = add_bearer(&mut headers, Some(&Secret::new("s3cret\n"))).unwrap_err();
        assert!(!broken.to_string().contains("s3cret"));
    }
}
