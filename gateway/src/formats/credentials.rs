//! The client's key: where it may be given, and what of the query string may go on without it.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use schemas::config::Secret;
use url::form_urlencoded;

/// The client's key: `Authorization: Bearer`, `x-api-key`, `x-goog-api-key`, or `?key=`, in this order.
pub fn client_key(headers: &HeaderMap, query: Option<&str>) -> Option<Secret> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bearer = text(AUTHORIZATION.as_str()).and_then(bearer_token);
    let in_header = bearer.or_else(|| text("x-api-key").filter(|key| !key.is_empty()));
    let in_header = in_header.or_else(|| text("x-goog-api-key").filter(|key| !key.is_empty()));
    if let Some(key) = in_header {
        return Some(Secret::new(key));
    }
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(name, value)| name == "key" && !value.is_empty()).map(|(_, value)| Secret::new(value))
}

/// The part of the query string that goes upstream: all but the client's key, byte for byte.
pub fn forward_query(query: Option<&str>) -> Option<String> {
    let kept = query?.split('&').filter(|pair| !is_key(pair)).collect::<Vec<_>>().join("&");
    (!kept.is_empty()).then_some(kept)
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn is_key(pair: &str) -> bool {
    form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| name == "key")
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn key(headers: &[(&'static str, &'static str)], query: Option<&str>) -> Option<String> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        client_key(&headers.iter().map(pair).collect(), query).map(|key| key.expose().to_owned())
    }

    #[test]
    fn finds_the_key_wherever_the_sdks_put_it() {
        assert_eq!(key(&[("authorization", "bEARER  k1 ")], None).unwrap(), "k1");
        assert_eq!(key(&[("x-api-key", "k2"), ("authorization", "Basic abc")], None).unwrap(), "k2");
        assert_eq!(key(&[("x-goog-api-key", "k3"), ("x-api-key", "")], Some("key=k4")).unwrap(), "k3");
        assert_eq!(key(&[], Some("alt=sse&k%65y=a%2Bb")).unwrap(), "a+b");
        assert_eq!(key(&[("authorization", "Bearer ")], Some("key=&monkey=x")), None);
        assert_eq!(key(&[], None), None);
    }

    #[test]
    fn keeps_the_query_without_the_key() {
        assert_eq!(forward_query(Some("beta=true&key=s3cret&x=%20")).unwrap(), "beta=true&x=%20");
        assert_eq!(forward_query(Some("k%65y=s3cret")), None);
        assert_eq!(forward_query(None), None);
    }
}
