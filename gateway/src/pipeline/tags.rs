//! `x-weir-tags`: what a client adds to the tags that the configuration gives it, within bounds.
//!
//! `x-weir-tags: feature=search, experiment=b`. What is not of this shape, or too much of it, is left out: a tag is for
//! reports, and no reason to refuse a request.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName};

use super::accept::printable;

/// The header; it may come several times.
const TAGS_HEADER: HeaderName = HeaderName::from_static("x-weir-tags");
/// Most tags that a request can add.
const TAGS_MAX: usize = 16;
/// Longest name; a value can have as many characters as any text that clients choose.
const NAME_CHARS_MAX: usize = 64;

/// Adds the request's tags. A tag of the configuration stands: a client cannot put its costs on another's account.
pub(super) fn add(headers: &HeaderMap, tags: &mut BTreeMap<String, String>) {
    let texts = headers.get_all(TAGS_HEADER).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(',')).filter_map(|pair| pair.split_once('='));
    let named = pairs.map(|(name, value)| (name.trim(), value.trim())).filter(|(name, _)| is_name(name));
    let mut added = 0;
    for (name, value) in named {
        if added < TAGS_MAX && !value.is_empty() && !tags.contains_key(name) {
            tags.insert(name.to_owned(), printable(value));
            added += 1;
        }
    }
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn tagged(texts: &[&str]) -> BTreeMap<String, String> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(TAGS_HEADER, HeaderValue::from_str(text).unwrap());
        }
        let mut tags = BTreeMap::from([("project".to_owned(), "alpha".to_owned())]);
        add(&headers, &mut tags);
        tags
    }

    #[test]
    fn tags_are_added_and_those_of_the_configuration_stand() {
        let tags = tagged(&["feature=search , project=beta", "a=b=c,a=d"]);
        let expected = [("a", "b=c"), ("feature", "search"), ("project", "alpha")];
        assert_eq!(tags.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_has_another_shape_is_left_out_and_there_is_never_too_much() {
        assert_eq!(tagged(&["", "=", "=x", "x=", "no pair", "a b=c", ",,,"]).len(), 1);
        let many: Vec<String> = (0..1_000).map(|n| format!("tag-{n}={}", "x".repeat(500))).collect();
        let tags = tagged(&[&many.join(",")]);
        assert_eq!((tags.len(), tags["tag-0"].len()), (1 + TAGS_MAX, 200));
        assert_eq!(tagged(&[&format!("{}=x", "n".repeat(65))]).len(), 1);
    }
}
