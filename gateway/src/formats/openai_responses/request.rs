//! What is read of a Responses request. Usage comes in the terminal event without being asked for.

use crate::formats::conversation::{self, Conversation, Prompt};
use crate::formats::json::Object;
use crate::formats::request::{Body, InvalidBody, Peeked};

pub(crate) fn peek(body: &[u8]) -> Result<Peeked, InvalidBody> {
    let body = Body::parse(body)?;
    let members = &body.members;
    let user = members.text("safety_identifier").or_else(|| members.text("user"));
    Ok(Peeked {
        user: user.map(Into::into),
        max_output_tokens: members.count("max_output_tokens"),
        conversation: conversation(members),
        previous_response: members.text("previous_response_id").filter(|id| !id.is_empty()).map(Into::into),
        // Kept unless that is declined (<https://platform.openai.com/docs/guides/conversation-state>).
        keeps_response: members.boolean("store").unwrap_or(true),
        ..body.peek()?
    })
}

/// As in chat; a conversation that the provider keeps has a name as well
/// (<https://platform.openai.com/docs/guides/conversation-state>).
fn conversation(members: &Object<'_>) -> Conversation {
    let kept = members.object("conversation");
    let name = members.text("conversation").or_else(|| kept.as_ref()?.text("id"));
    let name = name.or_else(|| members.text("prompt_cache_key"));
    let prompt =
        Prompt { system: members.get("instructions"), tools: members.get("tools"), messages: members.get("input") };
    let lasts_an_hour = members.text("prompt_cache_retention").is_some_and(|time| time == "24h");
    Conversation { lasts_an_hour, ..conversation::conversation(name.as_deref(), prompt) }
}
