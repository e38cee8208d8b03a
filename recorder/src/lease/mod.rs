//! Which recorder records which partition: leases on one board in NATS KV that all recorders read and write.
//!
//! Every recorder raises its beat on the board once in a while, with a compare-and-set. Who has seen another's beat stand
//! still for the lease time, by its own clock and while looking all that time, takes that one's partitions. No two
//! clocks are ever compared.
//!
//! The leases are there so that recorders do not get into each other's way. That nothing is lost or counted twice rests
//! on the fence in [`schemas::progress::Progress`] and on tokens; the leases are needed for it only where a range
//! cannot be repeated any more because NATS has lost it, see [`Times`].

mod keeper;
mod round;
mod tenancy;

pub use keeper::Keeper;
pub(crate) use round::keep;
pub(crate) use tenancy::{Landlord, Tenancy};

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What all recorders know of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// The recorders that are at work, by name.
    pub members: BTreeMap<String, Member>,
    /// The partitions that have ever had a holder.
    pub leases: BTreeMap<u16, Lease>,
}

/// A recorder at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Raised as long as it lives.
    pub beat: u64,
}

/// A partition's lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who has it; none: it is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Raised with every new holder.
    pub fence: u64,
}

/// The times of a lease. A holder stops before others may take over: it counts from before its beat was sent, they
/// count from when they saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Between two beats.
    pub beat: Duration,
    /// A holder whose last beat was begun this long ago does no work any more.
    pub valid: Duration,
    /// A recorder whose beat has stood still for this long is given up by the others.
    pub silence: Duration,
}

impl Times {
    /// The times for the configured lease.
    pub fn of(lease: Duration) -> Self {
        Self { beat: lease / 8, valid: lease * 5 / 8, silence: lease }
    }
}

#[cfg(test)]
mod tests;
