//! The rollups: what rows add up to per minute, hour and day.
//!
//! The text of a source's `SELECT` exists once, here. Views of `schemas/clickhouse` fill the rollups with it as rows
//! arrive, the recorder makes a day anew with it from the rows, and analytics asks it where a rollup does not reach. So
//! the three can only differ by which rows they have seen.
//!
//! | rollups | of | names that they keep apart |
//! |---|---|---|
//! | `usage_1m`, `usage_1h`, `usage_1d` | `requests`, `adjustments` | those of [`Family::dimensions`] |
//! | `candidates_1m`, `candidates_1h`, `candidates_1d` | `candidates` | those of [`Family::dimensions`] |
//! | `latency_1m`, `latency_1h`, `latency_1d` | `requests` | one of [`Family::cuts`] at a time |
//! | `health_1m`, `health_1h`, `health_1d` | `candidates` | one of [`Family::cuts`] at a time, and `verdict`, `reason`, `error_class` |
//!
//! The last two exist because states of quantiles are dear to read: an hour has a thousand rows in `usage_1h`, each with
//! three states of up to kilobytes, and a chart of a week needs 168 states. A cut has as many rows as it has names.

mod text;

use std::borrow::Cow;

/// Rollups of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Requests and their repricings.
    Usage,
    /// Candidates.
    Candidates,
    /// How long requests took, by few sets of names.
    Latency,
    /// How candidates did, by few sets of names.
    Health,
}

/// The length of a rollup's buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Minutes.
    Minute,
    /// Hours.
    Hour,
    /// UTC days.
    Day,
}

/// Rows that a family sums up.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Their table; also the placeholder in the text.
    pub table: &'static str,
    /// The columns that it adds to, in the order of the text; to the others it adds nothing.
    pub sums: &'static [&'static str],
    sql: &'static str,
}

/// What a source's placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub struct Select<'a> {
    /// The columns before the sums, each with its name, joined by commas; rows are called `r`.
    pub keys: &'a str,
    /// The table, with its database where it needs one.
    pub table: &'a str,
    /// Which rows; `None` for all that are there, as in a view.
    pub of: Option<Rows<'a>>,
    /// The names to group by, joined by commas.
    pub group_by: &'a str,
    /// The sums; `None` for all of them.
    pub sums: Option<&'a [&'a str]>,
}

/// Rows to be read from a table, each once.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The condition.
    pub condition: &'a str,
}

const REQUESTS: Source = Source {
    table: "requests",
    sums: &[
        "requests",
        "sent_requests",
        "charged_requests",
        "unknown_usage_requests",
        "estimated_usage_requests",
        "priced_requests",
        "estimated_cost_requests",
        "unpriced_requests",
        "upstream_attempts",
        "input_tokens",
        "fresh_input_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "output_tokens",
        "delivered_output_tokens",
        "reasoning_tokens",
        "cost_usd",
        "cache_saved_usd",
        "cache_saved_requests",
        "request_bytes",
        "response_bytes",
        "ttft_requests",
        "ttft_ms",
        "ttft_ms_max",
        "duration_ms",
        "duration_ms_max",
        "speed_requests",
        "output_tokens_per_second",
        "last_failure",
    ],
    sql: include_str!("usage_of_requests.sql"),
};

const ADJUSTMENTS: Source = Source {
    table: "adjustments",
    sums: &[
        "priced_requests",
        "estimated_cost_requests",
        "unpriced_requests",
        "cost_usd",
        "cache_saved_usd",
        "cache_saved_requests",
    ],
    sql: include_str!("usage_of_adjustments.sql"),
};

const CANDIDATES: Source = Source {
    table: "candidates",
    sums: &[
        "candidates",
        "input_tokens",
        "output_tokens",
        "response_bytes",
        "headers_candidates",
        "headers_ms",
        "first_content_candidates",
        "first_content_ms",
    ],
    sql: include_str!("candidates_of_candidates.sql"),
};

const LATENCIES: Source = Source {
    table: "requests",
    sums: &[
        "sent_requests",
        "ttft_requests",
        "ttft_ms",
        "ttft_ms_max",
        "duration_ms",
        "duration_ms_max",
        "speed_requests",
        "output_tokens_per_second",
    ],
    sql: include_str!("latency_of_requests.sql"),
};

const HEALTH: Source = Source {
    table: "candidates",
    sums: &[
        "candidates",
        "input_tokens",
        "output_tokens",
        "headers_candidates",
        "headers_ms",
        "first_content_candidates",
        "first_content_ms",
    ],
    sql: include_str!("health_of_candidates.sql"),
};

impl Family {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Usage, Self::Candidates, Self::Latency, Self::Health];

    /// What its tables' names begin with, and what `seals.family` says.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Candidates => "candidates",
            Self::Latency => "latency",
            Self::Health => "health",
        }
    }

    /// The rollup's table.
    pub fn table(self, grain: Grain) -> String {
        format!("{}_{}", self.as_str(), grain.suffix())
    }

    /// The rows that it sums up.
    pub const fn sources(self) -> &'static [Source] {
        match self {
            Self::Usage => &[REQUESTS, ADJUSTMENTS],
            Self::Candidates => &[CANDIDATES],
            Self::Latency => &[LATENCIES],
            Self::Health => &[HEALTH],
        }
    }

    /// The names that its rows keep apart, beside the bucket.
    pub const fn dimensions(self) -> &'static [&'static str] {
        match self {
            Self::Usage => &[
                "client",
                "model",
                "provider",
                "endpoint",
                "key",
                "format",
                "operation",
                "outcome",
                "error_class",
                "upstream_status",
            ],
            Self::Candidates => {
                &["client", "provider", "endpoint", "key", "model_upstream", "verdict", "reason", "error_class"]
            }
            Self::Latency => &[CUT, "client", "model", "provider"],
            Self::Health => &[CUT, "client", "provider", "endpoint", "verdict", "reason", "error_class"],
        }
    }

    /// The sets of names by which every row of a source is summed up, each for itself, smallest first; the column `cut`
    /// tells which one a rollup's row belongs to. Empty: all dimensions are kept apart at once, and there is no such column.
    pub const fn cuts(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Usage | Self::Candidates => &[],
            Self::Latency => &[&[], &["client"], &["model", "provider"], &["client", "model", "provider"]],
            Self::Health => &[&[], &["provider", "endpoint"], &["client", "provider", "endpoint"]],
        }
    }

    /// What the column `cut` holds in the smallest cut that keeps these names apart. `None` without cuts, or where no cut
    /// knows one of them.
    pub fn cut(self, names: &[&str]) -> Option<String> {
        let knows = |cut: &&&[&str]| names.iter().all(|name| cut.contains(name));
        self.cuts().iter().find(knows).map(|cut| cut.join(","))
    }

    /// The columns that hold states of quantiles.
    pub const fn quantiles(self) -> &'static [&'static str] {
        match self {
            Self::Usage | Self::Latency => &["ttft_ms", "duration_ms", "output_tokens_per_second"],
            Self::Candidates | Self::Health => &["headers_ms", "first_content_ms"],
        }
    }

    /// Columns that were added when there were rows already: those hold the column's default until their day is made anew.
    pub const fn later(self) -> &'static [&'static str] {
        match self {
            Self::Usage => &["cache_saved_requests"],
            Self::Candidates | Self::Latency | Self::Health => &[],
        }
    }

    /// How many of what the family is made of are in some rows of a rollup, as an expression: each once, whatever the cuts.
    pub const fn counted(self) -> &'static str {
        match self {
            Self::Usage => "sum(requests)",
            Self::Candidates => "sum(candidates)",
            Self::Latency => "sumIf(sent_requests, cut = '')",
            Self::Health => "sumIf(candidates, cut = '')",
        }
    }

    /// A dimension as it is computed for a rollup, over a row of a source: what a cut does not keep apart is empty.
    fn key(self, name: &str) -> String {
        if name == CUT {
            return CUT.to_owned();
        }
        let cuts = self.cuts().iter().filter(|cut| cut.contains(&name));
        let cuts: Vec<String> = cuts.map(|cut| format!("'{}'", cut.join(","))).collect();
        match cuts.is_empty() {
            true => format!("{} AS {name}", dimension(name)),
            false => format!("if({CUT} IN ({}), {}, '') AS {name}", cuts.join(", "), dimension(name)),
        }
    }

    /// What the minutes add up to per hour or day; `database` ends with a point, or is empty.
    pub fn of_minutes(self, grain: Grain, database: &str) -> String {
        let (bucket, minutes) = (grain.bucket("bucket"), self.table(Grain::Minute));
        format!("SELECT * REPLACE ({bucket} AS bucket) FROM {database}{minutes}")
    }

    /// Makes of each row of a source one for each cut.
    fn multiplied(self) -> String {
        let cuts: Vec<String> = self.cuts().iter().map(|cut| format!("'{}'", cut.join(","))).collect();
        if cuts.is_empty() { String::new() } else { format!("\nARRAY JOIN [{}] AS {CUT}", cuts.join(", ")) }
    }
}

/// The column that tells which names a row of a rollup keeps apart, where there are [`Family::cuts`].
const CUT: &str = "cut";

impl Grain {
    /// All, shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// How the names of its tables end.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }

    /// The bucket of a time, in SQL. `time` must be of type `DateTime('UTC')`.
    pub fn bucket(self, time: &str) -> String {
        match self {
            Self::Minute => format!("toStartOfMinute({time})"),
            Self::Hour => format!("toStartOfHour({time})"),
            Self::Day => format!("toStartOfDay({time})"),
        }
    }

    /// Its length.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }
}

/// When a row of a source was received, to the second.
pub const RECEIVED_AT: &str = "toDateTime(r.received_at, 'UTC')";

/// A dimension of a family as an expression over a row of one of its sources.
pub fn dimension(name: &str) -> String {
    match name {
        // A key of a table is not NULL. No provider sends the status 0.
        "upstream_status" => "ifNull(r.upstream_status, 0)".to_owned(),
        name => format!("r.{name}"),
    }
}

impl Source {
    /// The text over rows as they are, with the sums that are asked for.
    pub fn select(&self, select: Select<'_>) -> String {
        self.text(select, "")
    }

    fn text(&self, select: Select<'_>, cuts: &str) -> String {
        let (final_, where_) = match select.of {
            None => ("", String::new()),
            Some(rows) => (" FINAL", format!("WHERE {}\n", rows.condition)),
        };
        let sql =
            select.sums.map_or_else(|| Cow::Borrowed(self.sql), |wanted| Cow::Owned(text::only(self.sql, wanted)));
        sql.replace("{{keys}}", select.keys)
            .replace(&format!("{{{{{}}}}}", self.table), select.table)
            .replace("{{final}}", final_)
            .replace("{{cuts}}", cuts)
            .replace("{{where}}", &where_)
            .replace("{{group_by}}", select.group_by)
    }

    /// The columns of [`Source::rollup`], in order, joined by commas.
    pub fn columns(&self, family: Family) -> String {
        [&["bucket"], family.dimensions(), self.sums].concat().join(", ")
    }

    /// The text with all dimensions of its family, as the rollups have them.
    pub fn rollup(&self, family: Family, grain: Grain, table: &str, of: Option<Rows<'_>>) -> String {
        let mut keys = vec![format!("{} AS bucket", grain.bucket(RECEIVED_AT))];
        keys.extend(family.dimensions().iter().map(|name| family.key(name)));
        let group_by = format!("bucket, {}", family.dimensions().join(", "));
        let select = Select { keys: &keys.join(",\n    "), table, of, group_by: &group_by, sums: None };
        self.text(select, &family.multiplied())
    }
}

#[cfg(test)]
mod tests;
