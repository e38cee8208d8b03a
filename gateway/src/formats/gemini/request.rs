//! What is read of a generateContent request. Nothing in its body has to change: the model stands in the path.

use super::endpoint;
use crate::formats::conversation::{self, Conversation, Prompt};
use crate::formats::json::Object;
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
    let conversation = conversation(&body.members);
    let answers = config.count("candidateCount").or_else(|| config.count("candidate_count"));
    let (model, stream) = (target.model, target.stream);
    Ok(Peeked { model, stream, max_output_tokens, answers, conversation, ..Peeked::default() })
}

/// A cache that was made beforehand lies with one account, for an hour unless told otherwise
/// (<https://ai.google.dev/gemini-api/docs/caching>).
fn conversation(members: &Object<'_>) -> Conversation {
    let cache = members.text("cachedContent").or_else(|| members.text("cached_content"));
    let system = members.get("systemInstruction").or_else(|| members.get("system_instruction"));
    let prompt = Prompt { system, tools: members.get("tools"), messages: members.get("contents") };
    Conversation { lasts_an_hour: cache.is_some(), ..conversation::conversation(cache.as_deref(), prompt) }
}
