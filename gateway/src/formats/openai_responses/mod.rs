//! OpenAI Responses, <https://platform.openai.com/docs/api-reference/responses>.

pub(super) mod endpoint;
pub(super) mod request;
pub(super) mod response;
pub(super) mod stream;
pub(super) mod usage;
pub(super) mod error;

#[cfg(test)]
mod tests;
