//! What a request asks for: the parts of ClickHouse's HTTP interface found in URL, headers and form.

use base64::Engine as _;
use http::{HeaderMap, Method, header};
use uuid::Uuid;

use super::body::{Content, Encoding};
use super::encoder::Wanted;
use super::engine::Facts;
use super::exception::Exception;

/// Names in the URL that are no settings. What stands in the second list has no meaning on one machine without sessions.
const RESERVED: [&str; 10] = [
    "query",
    "database",
    "default_format",
    "compress",
    "decompress",
    "user",
    "password",
    "query_id",
    "wait_end_of_query",
    "role",
];
const IGNORED: [&str; 8] = [
    "session_id",
    "session_timeout",
    "session_check",
    "close_session",
    "buffer_size",
    "stacktrace",
    "quota_key",
    "client_protocol_version",
];

/// One request, understood but not yet run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// The statement, or its beginning: the body goes on.
    pub(super) query: String,
    pub(super) query_id: String,
    /// What the running statement can be found by, so that it can be cancelled: the engine's query ids are its own.
    /// None when the client uses the comment that carries it.
    pub(super) marker: Option<String>,
    pub(super) database: Option<String>,
    pub(super) default_format: Option<String>,
    pub(super) settings: Vec<(String, String)>,
    /// Values for `{name:Type}` in the statement.
    pub(super) params: Vec<(String, String)>,
    pub(super) encoding: Encoding,
    pub(super) wanted: Option<Wanted>,
    /// The answer begins only when the statement has ended.
    pub(super) waits_for_end: bool,
    /// The client believes in sessions, which do not exist here.
    pub(super) in_session: bool,
}

/// The one user that is let in.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// Refuses what a web page in the user's browser has sent. The engine reads every file of this user, so no page may talk
/// to it: neither one that names another origin, nor one whose own name has been made to point here.
pub(super) fn refuse_web_pages(headers: &HeaderMap) -> Result<(), Exception> {
    let host = text(headers, header::HOST.as_str()).map(without_port);
    if !host.is_none_or(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]")) {
        return Err(Exception::access_denied("This server answers to 127.0.0.1, [::1] and localhost only"));
    }
    let origin = text(headers, header::ORIGIN.as_str());
    let is_same = |origin: &str| {
        text(headers, header::HOST.as_str()).is_some_and(|host| origin.strip_prefix("http://") == Some(host))
    };
    if origin.is_some_and(|origin| !is_same(origin)) {
        return Err(Exception::access_denied("This server does not answer to pages of other origins"));
    }
    Ok(())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Pairs of the URL's query string.
pub(super) fn url_pairs(query: Option<&str>) -> Vec<(String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}

fn last<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn is_set(pairs: &[(String, String)], name: &str) -> bool {
    last(pairs, name).is_some_and(|value| matches!(value, "1" | "true"))
}

impl Call {
    /// Reads a request whose URL and form have been taken apart into `pairs`.
    pub(super) fn read(
        method: &Method,
        headers: &HeaderMap,
        pairs: &[(String, String)],
        facts: &Facts,
    ) -> Result<Self, Exception> {
        if let Some(role) = last(pairs, "role") {
            return Err(Exception::unknown_role(format_args!(
                "There is no role `{role}`: this server has one user and no roles"
            )));
        }
        let mut settings = settings(pairs, facts)?;
        let is_readonly = settings.iter().any(|(name, value)| name == "readonly" && value != "0");
        if (*method == Method::GET || *method == Method::HEAD) && !is_readonly {
            // As a server does: a link must not be able to change anything.
            settings.retain(|(name, _)| name != "readonly");
            settings.push(("readonly".to_owned(), "2".to_owned()));
        }
        let param = |(name, value): &(String, String)| Some((name.strip_prefix("param_")?.to_owned(), value.clone()));
        let may_compress = last(pairs, "enable_http_compression") != Some("0");
        let has_comment = last(pairs, "log_comment").is_some();
        let query_id = last(pairs, "query_id").filter(|id| !id.is_empty());
        Ok(Self {
            query: last(pairs, "query").unwrap_or_default().trim_end().to_owned(),
            query_id: query_id.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned),
            marker: (!has_comment).then(|| format!("weir {}", Uuid::now_v7())),
            database: last(pairs, "database")
                .or_else(|| text(headers, "x-clickhouse-database"))
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            default_format: last(pairs, "default_format")
                .or_else(|| text(headers, "x-clickhouse-format"))
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            params: pairs.iter().filter_map(param).collect(),
            encoding: Encoding { content: content_encoding(headers)?, native_blocks: is_set(pairs, "decompress") },
            wanted: if is_set(pairs, "compress") {
                Some(Wanted::NativeBlocks)
            } else {
                text(headers, header::ACCEPT_ENCODING.as_str())
                    .filter(|_| may_compress)
                    .map(Wanted::from_accept_encoding)
            },
            waits_for_end: is_set(pairs, "wait_end_of_query") || is_set(pairs, "http_wait_end_of_query"),
            in_session: last(pairs, "session_id").is_some_and(|id| !id.is_empty()),
            settings,
        })
    }
}

/// The settings among the pairs; the last value of each counts.
fn settings(pairs: &[(String, String)], facts: &Facts) -> Result<Vec<(String, String)>, Exception> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs {
        if RESERVED.contains(&name.as_str()) || IGNORED.contains(&name.as_str()) || name.starts_with("param_") {
            continue;
        }
        if !facts.settings.contains(name) {
            return Err(Exception::unknown_setting(format_args!(
                "Setting {name} is neither a builtin setting nor started with the prefix 'SQL_' registered for user-defined settings"
            )));
        }
        settings.retain(|(known, _)| known != name);
        settings.push((name.clone(), value.clone()));
    }
    Ok(settings)
}

fn content_encoding(headers: &HeaderMap) -> Result<Content, Exception> {
    match text(headers, header::CONTENT_ENCODING.as_str()).map(str::trim) {
        None | Some("" | "identity") => Ok(Content::Identity),
        Some("gzip" | "x-gzip") => Ok(Content::Gzip),
        Some("deflate") => Ok(Content::Deflate),
        Some("lz4") => Ok(Content::Lz4),
        Some(other) => Err(Exception::not_implemented(format_args!(
            "Unknown compression method: {other}: send lz4, gzip, deflate or none"
        ))),
    }
}

impl Credentials {
    /// Lets a request in, by any of the three ways in which a server takes user and password.
    pub(super) fn check(&self, headers: &HeaderMap, pairs: &[(String, String)]) -> Result<(), Exception> {
        let (user, password) = if headers.contains_key("x-clickhouse-user") || headers.contains_key("x-clickhouse-key")
        {
            let part = |name| text(headers, name).map(str::to_owned);
            (part("x-clickhouse-user"), part("x-clickhouse-key"))
        } else if let Some(authorization) = text(headers, header::AUTHORIZATION.as_str()) {
            basic(authorization)
                .ok_or_else(|| Exception::authentication_failed("Invalid authentication: only Basic is supported"))?
        } else {
            (last(pairs, "user").map(str::to_owned), last(pairs, "password").map(str::to_owned))
        };
        let user = user.filter(|user| !user.is_empty()).unwrap_or_else(|| "default".to_owned());
        let password = password.unwrap_or_default();
        let same = |a: &str, b: &str| bool::from(subtle::ConstantTimeEq::ct_eq(a.as_bytes(), b.as_bytes()));
        if same(&user, &self.user) & same(&password, &self.password) {
            return Ok(());
        }
        Err(Exception::authentication_failed(format_args!(
            "{user}: Authentication failed: password is incorrect, or there is no user with such name."
        )))
    }
}

fn basic(authorization: &str) -> Option<(Option<String>, Option<String>)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, password) = decoded.split_once(':')?;
    Some((Some(user.to_owned()), Some(password.to_owned())))
}

#[cfg(test)]
mod tests;
