//! What an aggregate adds up: parts of rollups and of rows in one shape, joined by `UNION ALL`.

use schemas::rollups::{Family, Grain, RECEIVED_AT, Rows, Select, Source, dimension};
use schemas::time::Timestamp;

use super::reach::{Piece, is_known};
use super::statement::{Statement, Value};
use crate::params::{Aggregate, Dimension, Filter, Interval, Range};

/// What an aggregate needs of a family.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Which rollups and rows.
    pub family: Family,
    /// The same by fewer names, read instead where it knows those that are asked for: its rows are fewer.
    pub narrow: Option<Family>,
    /// Names that it looks at whatever it is grouped by.
    pub names: &'static [&'static str],
    /// The columns that it adds up, each with what rows hold that add nothing to it.
    pub sums: &'static [(&'static str, Nothing)],
    /// Only what has another value than this.
    pub except: Option<(&'static str, &'static str)>,
}

/// What a column holds where there is nothing to add.
#[derive(Clone, Copy, Debug)]
pub enum Nothing {
    /// A count.
    Count,
    /// A count that repricings change.
    Change,
    /// Tokens.
    Tokens,
    /// US dollars.
    Money,
    /// The failure to look at.
    Failure,
    /// Nobody asks: every source that is read has the column.
    Never,
}

impl Nothing {
    const fn sql(self) -> &'static str {
        match self {
            Self::Count => "toUInt64(0)",
            Self::Change => "toInt64(0)",
            Self::Tokens => "CAST(NULL, 'Nullable(UInt64)')",
            Self::Money => "CAST(NULL, 'Nullable(Decimal(38, 12))')",
            Self::Failure => "(toDateTime64(0, 6, 'UTC'), toUUID('00000000-0000-0000-0000-000000000000'), '')",
            Self::Never => "NULL",
        }
    }
}

/// Where names are read.
#[derive(Clone, Copy)]
enum At {
    Rollup,
    Rows,
}

impl Needs {
    /// With the smallest family that knows what is asked for.
    pub fn of(self, asked: &Aggregate) -> Self {
        Self { family: self.narrow.filter(|family| is_known(asked, *family)).unwrap_or(self.family), ..self }
    }
}

impl Statement {
    /// Fills in `placeholder` with the rows that an aggregate adds up: `bucket`, `g1`, `g2` ... for what it is grouped
    /// by, the names that it needs, and its sums.
    pub fn source(mut self, placeholder: &str, asked: &Aggregate, needs: Needs, pieces: &[Piece]) -> Self {
        let mut parts = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Rollup(grain, ranges) => parts.push(self.of_rollup(asked, needs, *grain, ranges)),
                Piece::Rows(ranges) => {
                    for source in needs.family.sources() {
                        if needs.sums.iter().any(|(name, _)| source.sums.contains(name)) {
                            parts.push(self.of_rows(asked, needs, source, ranges));
                        }
                    }
                }
            }
        }
        self.fill(placeholder, &parts.join("\nUNION ALL\n"))
    }

    fn of_rollup(&mut self, asked: &Aggregate, needs: Needs, grain: Grain, ranges: &[Range]) -> String {
        let keys = self.keys(asked, needs, At::Rollup);
        let within =
            within("bucket", ranges, |at| format!("toDateTime({}, 'UTC')", at.as_micros().div_euclid(1_000_000)));
        let mut conditions = self.conditions(&asked.filters, needs, At::Rollup, within);
        let names = asked.group_by.iter().chain(asked.filters.iter().map(|filter| &filter.dimension));
        let names: Vec<&str> = names.filter_map(Dimension::column).collect();
        if let Some(cut) = needs.family.cut(&names) {
            conditions += &format!(" AND cut = '{cut}'");
        }
        let sums: Vec<&str> = needs.sums.iter().map(|(name, _)| *name).collect();
        let table = needs.family.table(grain);
        format!("SELECT {keys}, {} FROM {table} WHERE {conditions}", sums.join(", "))
    }

    fn of_rows(&mut self, asked: &Aggregate, needs: Needs, source: &Source, ranges: &[Range]) -> String {
        let keys = self.keys(asked, needs, At::Rows);
        let within =
            within("r.received_at", ranges, |at| format!("fromUnixTimestamp64Micro({}, 'UTC')", at.as_micros()));
        let mut condition = self.conditions(&asked.filters, needs, At::Rows, within);
        if let Some(as_of) = asked.as_of {
            let written_at = if source.table == "adjustments" { "adjusted_at" } else { "recorded_at" };
            condition += &format!(" AND r.{written_at} <= fromUnixTimestamp64Micro({{as_of_micros:Int64}}, 'UTC')");
            self.bind_once("as_of_micros".to_owned(), Value::Integer(as_of.as_micros()));
        }
        let mut names = vec!["bucket".to_owned()];
        names.extend(group_names(asked));
        names.extend(needs.names.iter().map(|name| (*name).to_owned()));
        let names = names.join(", ");
        let of = Some(Rows { condition: &condition });
        let wanted: Vec<&str> = needs.sums.iter().map(|(name, _)| *name).collect();
        let select = Select { keys: &keys, table: source.table, of, group_by: &names, sums: Some(&wanted) };
        let inner = source.select(select);
        let sums = needs.sums.iter().map(|(name, nothing)| match source.sums.contains(name) {
            true => (*name).to_owned(),
            false => format!("{} AS {name}", nothing.sql()),
        });
        format!("SELECT {names}, {} FROM (\n{inner})", sums.collect::<Vec<_>>().join(", "))
    }

    fn keys(&mut self, asked: &Aggregate, needs: Needs, at: At) -> String {
        let time = match at {
            At::Rollup => "bucket",
            At::Rows => RECEIVED_AT,
        };
        let mut keys = vec![format!("{} AS bucket", bucket(asked.interval, time))];
        for (index, name) in asked.group_by.iter().enumerate() {
            let name = self.name(name, at, &format!("group_tag_{index}"));
            keys.push(format!("{name} AS g{}", index + 1));
        }
        keys.extend(needs.names.iter().map(|name| match at {
            At::Rollup => (*name).to_owned(),
            At::Rows => format!("{} AS {name}", dimension(name)),
        }));
        keys.join(", ")
    }

    fn conditions(&mut self, filters: &[Filter], needs: Needs, at: At, within: String) -> String {
        let mut conditions = vec![within];
        for (index, filter) in filters.iter().enumerate() {
            let name = self.name(&filter.dimension, at, &format!("filter_tag_{index}"));
            conditions.push(format!("{name} IN {{filter_{index}:Array(String)}}"));
            self.bind_once(format!("filter_{index}"), Value::List(filter.values.clone()));
        }
        if let Some((name, value)) = needs.except {
            let name = match at {
                At::Rollup => name.to_owned(),
                At::Rows => dimension(name),
            };
            conditions.push(format!("{name} != '{value}'"));
        }
        conditions.join(" AND ")
    }

    fn name(&mut self, dimension: &Dimension, at: At, tag_parameter: &str) -> String {
        match (dimension, at) {
            (Dimension::Tag(name), _) => {
                self.bind_once(tag_parameter.to_owned(), Value::Text(name.as_str().to_owned()));
                format!("r.tags[{{{tag_parameter}:String}}]")
            }
            (column, At::Rows) => format!("r.`{}`", column.column().unwrap_or_default()),
            (column, At::Rollup) => format!("`{}`", column.column().unwrap_or_default()),
        }
    }
}

/// The condition that a time is in one of the ranges. Times are numbers since they were read from the caller's words, and
/// stand in the text: a parameter is a `CAST` that ClickHouse works out anew wherever it stands, and these are many.
fn within(column: &str, ranges: &[Range], time: impl Fn(Timestamp) -> String) -> String {
    let part = |range: &Range| format!("({column} >= {} AND {column} < {})", time(range.from), time(range.to));
    format!("({})", ranges.iter().map(part).collect::<Vec<_>>().join(" OR "))
}

/// The names of what an aggregate is grouped by.
pub(super) fn group_names(asked: &Aggregate) -> impl Iterator<Item = String> {
    (1..=asked.group_by.len()).map(|place| format!("g{place}"))
}

/// The start of a bucket, in seconds since 1970.
fn bucket(interval: Option<Interval>, time: &str) -> String {
    let start = match interval {
        None => return "toUInt32(0)".to_owned(),
        Some(Interval::Minute) => "toStartOfMinute",
        Some(Interval::Hour) => "toStartOfHour",
        Some(Interval::Day) => "toStartOfDay",
        Some(Interval::Month) => "toStartOfMonth",
    };
    format!("toUnixTimestamp(toDateTime({start}({time}), 'UTC'))")
}
