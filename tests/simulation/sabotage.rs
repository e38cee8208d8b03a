//! Faults planted into the protocol, each of which the simulation must find: what it would say nothing about, it would
//! not protect.

/// One planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The protocol as it is.
    None,
    /// A range is committed before its rows are written.
    CommitBeforeWrite,
    /// Tokens name the range alone: after a loss they name other rows.
    TokenOfRangeAlone,
    /// Every try has a token of its own.
    FreshTokens,
    /// A range found as intended is read again to wherever the stream ends now.
    RangeRebuilt,
    /// The gateway trims what NATS has acknowledged and ClickHouse does not hold.
    TrimByAcknowledged,
    /// The gateway never looks for what NATS has lost.
    NothingHealed,
    /// A recorder works on a partition whose lease it has lost, and takes any fence for its own.
    NoFence,
    /// The fence is there, but a lease that has run out is used nevertheless, and nobody waits for inserts to end.
    LeaseOutlived,
    /// ClickHouse is not asked what it holds.
    NothingLearnt,
    /// Events are not recognised by their numbers.
    NumbersForgotten,
    /// The views' target has no deduplication window (T2).
    ViewWithoutWindow,
    /// A ledger that was retired comes back as a new one.
    RetiredForgotten,
    /// The first state after a loss is made while others may still be writing.
    NoSettling,
}

/// All of them, with the seed from which on they are looked for: rare ones from one that is known to find them.
pub const ALL: [(Sabotage, u64); 13] = [
    (Sabotage::CommitBeforeWrite, 0),
    (Sabotage::TokenOfRangeAlone, 0),
    (Sabotage::FreshTokens, 0),
    (Sabotage::RangeRebuilt, 0),
    (Sabotage::TrimByAcknowledged, 0),
    (Sabotage::NothingHealed, 0),
    (Sabotage::NoFence, 0),
    (Sabotage::LeaseOutlived, 987),
    (Sabotage::NothingLearnt, 0),
    (Sabotage::NumbersForgotten, 0),
    (Sabotage::ViewWithoutWindow, 0),
    (Sabotage::RetiredForgotten, 276),
    (Sabotage::NoSettling, 1122),
];
