//! Google Gemini, <https://ai.google.dev/api/generate-content>, also as Vertex AI serves it.

pub(super) mod endpoint;
pub(super) mod request;
pub(super) mod response;
pub(super) mod stream;
pub(super) mod usage;
pub(super) mod error;

#[cfg(test)]
mod tests;
