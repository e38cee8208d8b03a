//! The ClickHouse migrations, in order. SQL lives in `schemas/clickhouse`, one table or view per file.

/// One numbered SQL file.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// File name without its extension; what the migrations table keeps.
    pub name: &'static str,
    /// The statement, with its placeholders.
    pub sql: &'static str,
}

/// All migrations; append only.
pub const ALL: &[Migration] = &[];
