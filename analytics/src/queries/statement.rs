//! A template and closed parameters -> a statement and its bound values. The only file that joins SQL text, and all of
//! the text comes from here or from the templates: what callers wrote is in [`Statement::values`], but for times that an
//! aggregate is bounded by, which are numbers by then.

use super::source;
use crate::params::{Aggregate, Cursor, Dimension, Filter, Range};

/// SQL text, and the values that ClickHouse puts in place of `{name:Type}` after parsing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The text.
    pub sql: String,
    /// Values by name.
    pub values: Vec<(String, Value)>,
}

/// A value to bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// For integer types.
    Integer(i64),
    /// For `String` and `UUID`.
    Text(String),
    /// For `Array(String)`.
    List(Vec<String>),
    /// For `Array(UInt64)`.
    Numbers(Vec<u64>),
}

/// How many rows a statement asks for: one more than allowed shows that there are more.
pub fn one_more(max_rows: usize) -> i64 {
    i64::try_from(max_rows).unwrap_or(i64::MAX).saturating_add(1)
}

impl Statement {
    /// A template with its row limit bound; what else it leaves open is for the methods below.
    pub fn new(template: &str, row_limit: i64) -> Self {
        let values = vec![("row_limit".to_owned(), Value::Integer(row_limit))];
        Self { sql: template.trim_end().to_owned(), values }
    }

    /// Binds a value.
    pub fn bind(mut self, name: impl Into<String>, value: Value) -> Self {
        self.values.push((name.into(), value));
        self
    }

    /// Puts SQL of ours in the place of `{{name}}`.
    pub fn fill(mut self, name: &str, sql: &str) -> Self {
        self.sql = self.sql.replace(&format!("{{{{{name}}}}}"), sql);
        self
    }

    /// Binds a value that several parts of the text name, if it is not bound yet.
    pub(super) fn bind_once(&mut self, name: String, value: Value) {
        if !self.values.iter().any(|(bound, _)| *bound == name) {
            self.values.push((name, value));
        }
    }

    /// Fills in what an aggregate is grouped by.
    pub fn groups(self, asked: &Aggregate) -> Self {
        let columns: Vec<String> = source::group_names(asked).map(|group| format!("toString({group})")).collect();
        let keys: Vec<String> = std::iter::once("bucket".to_owned()).chain(source::group_names(asked)).collect();
        self.fill("groups", &format!("[{}]::Array(String)", columns.join(", "))).fill("group_by", &keys.join(", "))
    }

    /// Fills in which rows count.
    pub fn scope(mut self, range: Range, filters: &[Filter], before: Option<&Cursor>) -> Self {
        let mut conditions = vec![
            "received_at >= fromUnixTimestamp64Micro({from_micros:Int64}, 'UTC')".to_owned(),
            "received_at < fromUnixTimestamp64Micro({to_micros:Int64}, 'UTC')".to_owned(),
        ];
        self = self
            .bind("from_micros", Value::Integer(range.from.as_micros()))
            .bind("to_micros", Value::Integer(range.to.as_micros()));
        for (index, filter) in filters.iter().enumerate() {
            let dimension = self.dimension(&filter.dimension, &format!("filter_tag_{index}"));
            conditions.push(format!("{dimension} IN {{filter_{index}:Array(String)}}"));
            self = self.bind(format!("filter_{index}"), Value::List(filter.values.clone()));
        }
        if let Some(cursor) = before {
            // The first condition says nothing new, but it is the one that prunes parts.
            conditions.push("received_at <= fromUnixTimestamp64Micro({cursor_micros:Int64}, 'UTC')".to_owned());
            conditions.push(
                "(received_at, request_id) < (fromUnixTimestamp64Micro({cursor_micros:Int64}, 'UTC'), {cursor_id:UUID})"
                    .to_owned(),
            );
            self = self
                .bind("cursor_micros", Value::Integer(cursor.received_at.as_micros()))
                .bind("cursor_id", Value::Text(cursor.request_id.to_string()));
        }
        self.fill("scope", &conditions.join("\n  AND "))
    }

    /// The statement with one column per dimension, for formats that have no nested rows. A tag's column is named for
    /// its place in `group_by`, because its own name is the caller's text.
    pub fn flattened(mut self, asked: &Aggregate) -> Self {
        let mut columns = Vec::new();
        if asked.interval.is_some() {
            columns.push("toDateTime(bucket, 'UTC') AS bucket".to_owned());
        }
        for (place, dimension) in (1..).zip(&asked.group_by) {
            let name = dimension.column().map_or_else(|| format!("tag_{place}"), str::to_owned);
            columns.push(format!("nullIf(groups[{place}], '') AS `{name}`"));
        }
        columns.push("* EXCEPT (bucket, groups)".to_owned());
        self.sql = format!("SELECT {}\nFROM (\n{}\n)", columns.join(", "), self.sql);
        self
    }

    /// The SQL of a dimension; a tag's name is bound under `tag_parameter`.
    fn dimension(&mut self, dimension: &Dimension, tag_parameter: &str) -> String {
        match dimension {
            Dimension::Tag(name) => {
                self.values.push((tag_parameter.to_owned(), Value::Text(name.as_str().to_owned())));
                format!("tags[{{{tag_parameter}:String}}]")
            }
            column => format!("`{}`", column.column().unwrap_or_default()),
        }
    }
}
