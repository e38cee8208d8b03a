//! One file per endpoint: parameters -> statement -> reply. No arithmetic that SQL should do.

mod aggregate;
mod download;

pub mod usage;
pub mod costs;
pub mod latency;
pub mod failures;
pub mod providers;
pub mod requests;
pub mod request;
pub mod audit;
pub mod live;
pub mod openapi;
