//! The way to providers: the HTTP client, and reading their event streams.

pub mod client;
pub mod burst;
pub mod body;
pub mod sse;
pub mod json_array;
