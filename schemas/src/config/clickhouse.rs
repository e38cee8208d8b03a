//! `[clickhouse]`

use super::read::Section;
use super::{SecretRef, Span};

/// Where rows are kept.
#[derive(Clone, Debug)]
pub struct ClickHouse {
    /// HTTP interface of the server.
    pub url: String,
    /// Database of the tables. Never `default`.
    pub database: String,
    /// User name.
    pub user: String,
    /// Password; none sends none.
    pub password: Option<SecretRef>,
    /// Name of a cluster: replicated engines and `ON CLUSTER` migrations. Empty for a single server.
    pub cluster: String,
    /// Longest time a statement may take before its outcome counts as unknown.
    pub timeout: Span,
}

impl ClickHouse {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let clickhouse = Self {
            url: section.or("url", "http://127.0.0.1:8123".to_owned()),
            database: section.or("database", "weir".to_owned()),
            user: section.or("user", "default".to_owned()),
            password: section.optional("password"),
            cluster: section.or("cluster", String::new()),
            timeout: section.or("timeout", Span::secs(30)),
        };
        let http = url::Url::parse(&clickhouse.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        section.ensure(http, "url", "must be an http or https URL, like http://127.0.0.1:8123");
        for (key, name, may_be_empty) in
            [("database", &clickhouse.database, false), ("cluster", &clickhouse.cluster, true)]
        {
            let identifier = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            section.ensure(identifier && (may_be_empty || !name.is_empty()), key, "may hold only a-z, 0-9 and _");
        }
        let reserved = "`default` is not usable: name a database of its own, like weir";
        section.ensure(clickhouse.database != "default", "database", reserved);
        section.finish();
        clickhouse
    }
}
