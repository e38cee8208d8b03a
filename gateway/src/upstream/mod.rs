//! The way to providers: the HTTP client, and reading their event streams.

pub mod client;
mod direct;
mod idle;
mod connection;
mod head;
mod framing;
mod error;
pub mod burst;
pub mod body;

pub mod sse;
pub mod json_array;

#[cfg(test)]
mod tests;

pub use error::Error;
