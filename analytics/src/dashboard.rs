//! The dashboard at `/`: one page and its parts, embedded. It holds nothing about anybody's use, asks the API like
//! everybody else, and therefore needs no token itself.

use std::io::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Nothing from elsewhere, nothing inline, and no other site shows this one in a frame.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";
/// What the page writes in place of the parts' version.
const VERSION: &str = "{{version}}";
/// Digits of the digest that names a version.
const VERSION_BYTES: usize = 8;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! parts {
    ($($name:literal $media_type:ident),+ $(,)?) => {
        &[$(($name, $media_type, include_str!(concat!("../dashboard/", $name)))),+]
    };
}

const PAGE: &str = include_str!("../dashboard/index.html");

/// Name, media type and text of everything that the page loads.
const PARTS: &[(&str, &str, &str)] = parts![
    "address.js" SCRIPT,
    "api.js" SCRIPT,
    "app.js" SCRIPT,
    "audit.js" SCRIPT,
    "bars.js" SCRIPT,
    "chart.js" SCRIPT,
    "dom.js" SCRIPT,
    "filters.js" SCRIPT,
    "format.js" SCRIPT,
    "icon.svg" SVG,
    "live.js" SCRIPT,
    "overview.js" SCRIPT,
    "panels.js" SCRIPT,
    "price.js" SCRIPT,
    "request.js" SCRIPT,
    "requests.js" SCRIPT,
    "style.css" CSS,
    "table.js" SCRIPT,
    "theme.js" SCRIPT,
    "uplot.css" CSS,
    "uplot.js" SCRIPT,
    "uplot.LICENSE" TEXT,
];

/// One file as it is sent.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    plain: Vec<u8>,
    zipped: Vec<u8>,
    etag: String,
}

struct Site {
    page: Asset,
    version: String,
    parts: Vec<Asset>,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (name, _, text) in PARTS {
        digest.update(name);
        digest.update(text);
    }
    let version = hex(&digest.finalize());
    let page = Asset::new("", HTML, &PAGE.replace(VERSION, &version));
    let parts = PARTS.iter().map(|(name, media_type, text)| Asset::new(name, media_type, text)).collect();
    Site { page, version, parts }
});

fn hex(digest: &[u8]) -> String {
    digest.iter().take(VERSION_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

impl Asset {
    fn new(name: &'static str, media_type: &'static str, text: &str) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory does not fail; an empty result is not sent.
        let zipped = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
        let etag = format!("\"{}\"", hex(&Sha256::digest(text)));
        Self { name, media_type, plain: text.as_bytes().to_vec(), zipped, etag }
    }

    fn answer(&'static self, asked: &HeaderMap, caching: &'static str) -> Response {
        let headers: [(HeaderName, HeaderValue); 7] = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.media_type)),
            (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
            (header::ETAG, HeaderValue::from_str(&self.etag).unwrap_or(HeaderValue::from_static("\"\""))),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        if lists(asked, &header::IF_NONE_MATCH, &self.etag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        if !self.zipped.is_empty() && lists(asked, &header::ACCEPT_ENCODING, "gzip") {
            let encoding = [(header::CONTENT_ENCODING, "gzip")];
            return (headers, encoding, self.zipped.as_slice()).into_response();
        }
        (headers, self.plain.as_slice()).into_response()
    }
}

/// Whether a list in a header has an item, weights and weakness aside.
fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let lists = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let mut items = lists.flat_map(|list| list.split(','));
    items.any(|item| {
        let (value, weight) = item.split_once(';').unwrap_or((item, ""));
        value.trim().trim_start_matches("W/") == wanted && weight.trim() != "q=0"
    })
}

/// The page and its parts, for any state.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(page)).route("/assets/{version}/{name}", get(part))
}

/// Asked for again each time, and sent again only when it has changed.
async fn page(headers: HeaderMap) -> Response {
    SITE.page.answer(&headers, "no-cache")
}

/// A part's address names its version: what is there never changes.
async fn part(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Result<Response, Error> {
    let part = SITE.parts.iter().find(|part| part.name == name && SITE.version == version).ok_or(Error::NotFound)?;
    Ok(part.answer(&headers, "public, max-age=31536000, immutable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_its_parts_and_nothing_elsewhere() {
        let named: Vec<&str> =
            PAGE.split("assets/{{version}}/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(named.len() >= 4, "{named:?}");
        for name in named {
            assert!(PARTS.iter().any(|(part, ..)| *part == name), "{name} is not served");
        }
        assert!(!PAGE.contains("://"), "nothing comes from another host");
        for (name, _, text) in
            PARTS.iter().filter(|(name, media_type, _)| *media_type == SCRIPT && !name.starts_with("uplot"))
        {
            for imported in text.split(" from \"./").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(
                    PARTS.iter().any(|(part, ..)| *part == imported),
                    "{name} imports {imported}, which is not served"
                );
            }
            assert!(!text.contains("innerHTML"), "{name}: text of the API's is never read as HTML");
        }
    }

    #[test]
    fn nothing_inline_that_the_policy_would_refuse() {
        for forbidden in [" style=", "<style", " onclick=", "javascript:"] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
        assert!(PAGE.split("<script").skip(1).all(|script| script.contains("src=") && script.contains("></script>")));
    }

    #[test]
    fn it_is_small() {
        let sent: usize = SITE.parts.iter().map(|part| part.zipped.len()).sum();
        assert!(SITE.page.zipped.len() + sent < 64 * 1024, "{sent} bytes");
        assert!(SITE.parts.iter().all(|part| !part.zipped.is_empty()));
    }

    #[test]
    fn lists_are_read_as_http_writes_them() {
        let gzip = |value: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]);
            lists(&headers, &header::ACCEPT_ENCODING, "gzip")
        };
        assert!(gzip("gzip") && gzip("br;q=1.0, gzip;q=0.8"));
        assert!(!gzip("br") && !gzip("gzip;q=0") && !gzip(""));
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, "\"a\", W/\"b\"".parse().unwrap())]);
        assert!(lists(&headers, &header::IF_NONE_MATCH, "\"b\""));
    }
}
