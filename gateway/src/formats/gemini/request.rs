//! What is read of a generateContent request. Nothing in its body has to change: the model stands in the path.

use super::endpoint;
use crate::formats::request::{Body, InvalidBody, Peeked};

pub(crate) fn peek(path: &str, body: &[u8]) -> Result<Peeked, InvalidBody> {
    let body = Body::parse(body)?;
    let Some(target) = endpoint::target(path) else {
        let message = "the path must end in /models/{model}:generateContent or :streamGenerateContent".to_owned();
        return Err(InvalidBody { message, param: Some("model") });
    };
    let config = body.members.object("generationConfig").or_else(|| body.members.object("generation_config"));
    let config = config.unwrap_or_default();
    let max_output_tokens = config.count("maxOutputTokens").or_else(|| config.count("max_output_tokens"));
    Ok(Peeked { model: target.model, stream: target.stream, max_output_tokens, ..Peeked::default() })
}
