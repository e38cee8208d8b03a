//! ClickHouse over chDB: the engine as a library, served over ClickHouse's HTTP protocol.
