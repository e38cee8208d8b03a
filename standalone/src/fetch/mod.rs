//! Fetching nats-server and ClickHouse's engine into a cache, once, with pinned checksums.

use std::path::PathBuf;

/// Where progress goes.
#[derive(Clone, Debug)]
pub struct Progress;

impl Progress {
    /// Lines on standard error.
    pub fn stderr() -> Self {
        Self
    }
}

/// Why something could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not there.
    #[error("{0} is missing")]
    Missing(PathBuf),
}

/// ClickHouse's engine.
pub async fn libchdb(_progress: &Progress) -> Result<PathBuf, FetchError> {
    let path = std::env::var_os("CHDB_LIB").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/weir/chdb/26.7.3-stable.1/libchdb.so")
    });
    if path.exists() { Ok(path) } else { Err(FetchError::Missing(path)) }
}
