//! The ClickHouse migrations, in order. SQL lives in `schemas/clickhouse`, one table or view per file.
//!
//! A file holds one statement, which must be safe to repeat (`IF NOT EXISTS`, or a view's whole new text): two recorders
//! may start at once. A file that has been released is never edited; a change is a new file.
//!
//! | placeholder | single server | cluster `c` |
//! |---|---|---|
//! | `{database}` | the database | the database |
//! | `{on_cluster}` | nothing | `ON CLUSTER c` |
//! | `{engine:ReplacingMergeTree(x)}` | `ReplacingMergeTree(x)` | `ReplicatedReplacingMergeTree(x)` |

use std::borrow::Cow;

/// One numbered SQL file.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// File name without its extension; what the migrations table keeps.
    pub name: &'static str,
    /// The statement, with its placeholders.
    pub sql: &'static str,
}

/// What the placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub struct Placeholders<'a> {
    /// Name of the database; an identifier that needs no quotes.
    pub database: &'a str,
    /// Name of the cluster; empty for a single server.
    pub cluster: &'a str,
}

macro_rules! migrations {
    ($($name:literal),+ $(,)?) => {
        &[$(Migration { name: $name, sql: include_str!(concat!("../clickhouse/", $name, ".sql")) }),+]
    };
}

/// All migrations; append only.
pub const ALL: &[Migration] = migrations![
    "0001_requests",
    "0002_candidates",
    "0003_opened",
    "0004_dead_letters",
    "0005_prices",
    "0006_open_requests",
    "0007_unaccounted",
    "0008_bodies",
    "0030_adjustments",
    "0040_requests_cache_saved",
    "0041_adjustments_groups",
    "0042_usage_1m",
    "0043_usage_1h",
    "0044_usage_1d",
    "0045_candidates_1m",
    "0046_candidates_1h",
    "0047_candidates_1d",
    "0048_usage_1m_of_requests",
    "0049_usage_1h_of_requests",
    "0050_usage_1d_of_requests",
    "0051_usage_1m_of_adjustments",
    "0052_usage_1h_of_adjustments",
    "0053_usage_1d_of_adjustments",
    "0054_candidates_1m_of_candidates",
    "0055_candidates_1h_of_candidates",
    "0056_candidates_1d_of_candidates",
    "0057_seals",
    "0058_backfills",
    "0060_latency_1m",
    "0061_latency_1h",
    "0062_latency_1d",
    "0063_health_1m",
    "0064_health_1h",
    "0065_health_1d",
    "0066_latency_1m_of_requests",
    "0067_latency_1h_of_latency_1m",
    "0068_latency_1d_of_latency_1m",
    "0069_health_1m_of_candidates",
    "0070_health_1h_of_health_1m",
    "0071_health_1d_of_health_1m",
    "0080_candidate_costs",
    "0081_wasted_costs",
    "0090_dead_letter_replays",
    "0100_usage_1m_cache_saved_requests",
    "0101_usage_1h_cache_saved_requests",
    "0102_usage_1d_cache_saved_requests",
    "0103_adjustments_cache_saved_requests",
    "0104_usage_1m_of_requests",
    "0105_usage_1h_of_requests",
    "0106_usage_1d_of_requests",
    "0107_usage_1m_of_adjustments",
    "0108_usage_1h_of_adjustments",
    "0109_usage_1d_of_adjustments",
    "0110_seals_doubted",
    "0111_requests_merges",
    "0112_candidates_merges",
    "0113_opened_merges",
];

/// The columns of a table, in order: those that it was made with, and those that later files add.
pub fn columns(table: &str) -> Vec<&'static str> {
    typed_columns(table).into_iter().map(|(name, _)| name).collect()
}

/// The same, each with its type.
pub fn typed_columns(table: &str) -> Vec<(&'static str, &'static str)> {
    let made = format!("CREATE TABLE IF NOT EXISTS {{database}}.{table} ");
    let altered = format!("ALTER TABLE {{database}}.{table} ");
    let files = ALL.iter().filter(|migration| migration.sql.contains(&made) || migration.sql.contains(&altered));
    files.flat_map(|migration| columns_in(migration.sql)).collect()
}

/// The names and types of the columns that a statement defines, in order.
pub fn columns_in(sql: &'static str) -> Vec<(&'static str, &'static str)> {
    let defines = |line: &'static str| {
        line.strip_prefix("    `").or_else(|| line.strip_prefix("    ADD COLUMN IF NOT EXISTS `"))?.split_once("` ")
    };
    sql.lines().filter_map(defines).map(|(name, rest)| (name, type_in(rest))).collect()
}

/// The type at the beginning of what defines a column: up to the first space that is not inside of its parentheses.
fn type_in(definition: &'static str) -> &'static str {
    let mut depth = 0;
    let end = definition.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0 && (c == ' ' || c == ',')
    });
    definition.get(..end.unwrap_or(definition.len())).unwrap_or_default()
}

/// The statement with its placeholders filled in.
pub fn render(sql: &str, placeholders: &Placeholders<'_>) -> String {
    let on_cluster = match placeholders.cluster {
        "" => Cow::Borrowed(""),
        cluster => Cow::Owned(format!("ON CLUSTER {cluster}")),
    };
    let engine = if placeholders.cluster.is_empty() { "" } else { "Replicated" };
    let mut rendered = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("{engine:") {
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        rendered.push_str(before);
        rendered.push_str(engine);
        rendered.push_str(name);
        rest = behind;
    }
    rendered.push_str(rest);
    rendered.replace("{on_cluster}", &on_cluster).replace("{database}", placeholders.database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_numbered_in_order_and_safe_to_repeat() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/clickhouse");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".sql", ""))
            .collect();
        files.sort();
        assert_eq!(files, ALL.iter().map(|migration| migration.name).collect::<Vec<_>>());
        let number = |migration: &Migration| migration.name.split_once('_').unwrap().0.parse::<u16>().unwrap();
        assert!(ALL.windows(2).all(|pair| number(&pair[0]) < number(&pair[1])), "two files have one number");
        for migration in ALL {
            // A new text of a view or a setting is the same the second time, and what is doubted may be doubted twice.
            let repeatable =
                ["IF NOT EXISTS", "IF EXISTS", "MODIFY QUERY", "MODIFY SETTING", "INSERT INTO {database}.seals "];
            assert!(repeatable.iter().any(|words| migration.sql.contains(words)), "{}", migration.name);
            assert!(!migration.sql.contains(";\n"), "{}: one statement per file, without a semicolon", migration.name);
        }
    }

    #[test]
    fn placeholders_are_filled_for_a_server_and_for_a_cluster() {
        let sql = "CREATE TABLE {database}.t {on_cluster} (x Int8) ENGINE = {engine:MergeTree} ORDER BY x";
        let render_for = |cluster| render(sql, &Placeholders { database: "weir", cluster });
        assert_eq!(render_for(""), "CREATE TABLE weir.t  (x Int8) ENGINE = MergeTree ORDER BY x");
        let cluster = "CREATE TABLE weir.t ON CLUSTER prod (x Int8) ENGINE = ReplicatedMergeTree ORDER BY x";
        assert_eq!(render_for("prod"), cluster);
        for migration in ALL {
            let rendered = render(migration.sql, &Placeholders { database: "weir", cluster: "prod" });
            assert!(!rendered.contains('{'), "{}: a placeholder is left", migration.name);
        }
    }

    #[test]
    fn columns_have_their_types_those_that_were_added_later_too() {
        let columns = typed_columns("requests");
        let type_of = |name| columns.iter().find(|(column, _)| *column == name).map(|(_, kind)| *kind);
        assert_eq!(type_of("tags"), Some("Map(LowCardinality(String), String)"));
        assert_eq!(type_of("received_at"), Some("DateTime64(6, 'UTC')"));
        assert_eq!(type_of("cache_saved_usd"), Some("Nullable(Decimal(38, 12))"));
    }

    #[test]
    fn every_column_of_a_table_is_explained_and_every_table_forgets_no_token() {
        for migration in ALL.iter().filter(|migration| migration.sql.contains("CREATE TABLE")) {
            assert!(migration.sql.contains("non_replicated_deduplication_window"), "{}", migration.name);
            for column in migration.sql.lines().filter(|line| line.starts_with("    `")) {
                assert!(column.contains(" COMMENT '"), "{}: {column}", migration.name);
            }
        }
    }
}
