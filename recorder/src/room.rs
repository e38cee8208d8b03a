//! Room on ClickHouse's disk for the definition of a table.
//!
//! ClickHouse (26.7) does not notice when there is none: `CREATE TABLE` succeeds, the file that should hold the definition is
//! empty, and from its next start on the server refuses to run until somebody removes that file. So nothing is created on a
//! disk that is nearly full.

use clickhouse::Client;
use clickhouse::error::Error;

/// What must be free, bytes. A definition takes some KiB; inserts and merges go on while it is written.
const NEEDED: u64 = 64 << 20;

/// Nothing is created now.
#[derive(Debug, thiserror::Error)]
#[error(
    "ClickHouse's disk has {free} bytes free, and tables are created only while {NEEDED} are: make room on the disk of ClickHouse, \
     and it goes on"
)]
pub struct Full {
    /// Bytes.
    free: u64,
}

/// Whether there is room on the disk that definitions are on. A server without a disk of that name (definitions elsewhere than
/// on a local disk) has room.
///
/// # Errors
/// When ClickHouse cannot be asked.
pub(crate) async fn check(client: &Client) -> Result<Result<(), Full>, Error> {
    let free: Option<u64> =
        client.query_raw("SELECT free_space FROM system.disks WHERE name = 'default'").fetch_optional().await?;
    Ok(match free {
        Some(free) if free < NEEDED => Err(Full { free }),
        _ => Ok(()),
    })
}
