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

/// Rollups of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Requests and their repricings.
    Usage,
    /// Candidates.
    Candidates,
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
    sums: &["priced_requests", "estimated_cost_requests", "unpriced_requests", "cost_usd", "cache_saved_usd"],
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

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Usage, Self::Candidates];

    /// What its tables' names begin with, and what `seals.family` says.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Candidates => "candidates",
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
        }
    }

    /// The columns that hold states of quantiles.
    pub const fn quantiles(self) -> &'static [&'static str] {
        match self {
            Self::Usage => &["ttft_ms", "duration_ms", "output_tokens_per_second"],
            Self::Candidates => &["headers_ms", "first_content_ms"],
        }
    }

    /// The column that counts what the family is made of.
    pub const fn counted(self) -> &'static str {
        match self {
            Self::Usage => "requests",
            Self::Candidates => "candidates",
        }
    }
}

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
    /// The whole text.
    pub fn select(&self, select: Select<'_>) -> String {
        let (final_, where_) = match select.of {
            None => ("", String::new()),
            Some(rows) => (" FINAL", format!("WHERE {}\n", rows.condition)),
        };
        self.sql
            .replace("{{keys}}", select.keys)
            .replace(&format!("{{{{{}}}}}", self.table), select.table)
            .replace("{{final}}", final_)
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
        keys.extend(family.dimensions().iter().map(|name| format!("{} AS {name}", dimension(name))));
        let group_by = format!("bucket, {}", family.dimensions().join(", "));
        self.select(Select { keys: &keys.join(",\n    "), table, of, group_by: &group_by })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations;

    fn file(name: &str) -> &'static str {
        migrations::ALL.iter().find(|migration| migration.name.ends_with(name)).unwrap().sql
    }

    #[test]
    fn views_are_made_of_the_one_text() {
        for family in Family::ALL {
            for grain in Grain::ALL {
                for source in family.sources() {
                    let name = format!("_{}_of_{}", family.table(grain), source.table);
                    let (_, text) = file(&name).split_once(" AS\n").unwrap();
                    let table = format!("{{database}}.{}", source.table);
                    assert_eq!(text, source.rollup(family, grain, &table, None), "{name}");
                }
            }
        }
    }

    #[test]
    fn the_tables_of_a_family_have_the_same_columns_beginning_with_its_dimensions() {
        for family in Family::ALL {
            let [minutes, hours, days] = Grain::ALL.map(|grain| migrations::columns(&family.table(grain)));
            assert_eq!((&minutes, &minutes), (&hours, &days));
            let (keys, sums) = minutes.split_at(family.dimensions().len() + 1);
            assert_eq!(keys, [&["bucket"], family.dimensions()].concat());
            for column in family.quantiles().iter().chain([&family.counted()]) {
                assert!(sums.contains(column), "{column}");
            }
        }
    }

    #[test]
    fn every_sum_of_a_source_has_its_column() {
        for family in Family::ALL {
            let columns = migrations::columns(&family.table(Grain::Hour));
            for source in family.sources() {
                let sums = source.sql.split("{{keys}},").nth(1).unwrap().split("\nFROM").next().unwrap();
                let named: Vec<&str> = sums
                    .lines()
                    .filter_map(|line| line.trim_end_matches(',').rsplit_once(" AS "))
                    .map(|(_, name)| name)
                    .collect();
                assert_eq!(named, source.sums, "{}", source.table);
                for name in named {
                    assert!(columns.contains(&name), "{name} of {} is not in the rollups", source.table);
                }
            }
        }
    }
}
