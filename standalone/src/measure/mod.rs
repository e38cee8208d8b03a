//! How fast answers are, and how fresh: figures for operators who want to know before they have the load.

pub mod freshness;
pub mod queries;
