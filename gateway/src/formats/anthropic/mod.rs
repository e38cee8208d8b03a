//! Anthropic Messages, API version 2023-06-01, <https://docs.anthropic.com/en/api/messages>.

pub(super) mod endpoint;
pub(super) mod request;
pub(super) mod response;
pub(super) mod stream;
pub(super) mod usage;
pub(super) mod error;

#[cfg(test)]
mod tests;
