//! Fetching nats-server and ClickHouse's engine into a cache, once, with pinned checksums.
