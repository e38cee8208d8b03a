//! The contract between Weir's services.
//!
//! | event | written by | read by |
//! |---|---|---|
//! | [`events::Opened`], [`events::Receipt`], [`events::Candidate`], [`events::Bodies`] | gateway, into its ledger | recorder, from NATS |
//! | [`progress::Progress`] | recorder, into NATS KV | gateway (trims its ledger), analytics (audit) |
//! | [`heads::LedgerHead`] | gateway, into NATS KV | analytics (audit) |
//!
//! Nothing here does I/O beyond reading a configuration file, and nothing here knows a client library.

mod text;
pub mod time;
pub mod money;
pub mod decimal;
pub mod usage;
pub mod outcome;

pub mod events;
pub mod pack;
pub mod subjects;
pub mod streams;
mod ranges;
pub mod progress;
pub mod heads;

pub mod price;
pub mod migrations;
pub mod rollups;
pub mod config;
