//! How far a gateway's ledger reaches: what a gateway tells in NATS KV, and the audit compares the rows with.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How often a running gateway tells its [`LedgerHead`], at the least.
pub const TOLD_EVERY: Duration = Duration::from_secs(10);

/// The last numbers that a ledger has given, one entry per ledger under its epoch. It outlives the gateway: what is in
/// a ledger that never comes back is known by it to be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// The gateway's name.
    pub gateway: String,
    /// When this was told.
    pub told_at: Timestamp,
    /// When the gateway first told these numbers: the last of them was given just before.
    pub changed_at: Timestamp,
    /// Whether the gateway has ended in order since: then there are no later numbers.
    pub stopped: bool,
    /// The last number per partition.
    pub last: BTreeMap<u16, u64>,
}
