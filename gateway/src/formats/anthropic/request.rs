//! What is read of a Messages request.

use crate::formats::conversation::{Conversation, Prompt, asks_for_an_hour, conversation, session_of};
use crate::formats::request::{Body, InvalidBody, Peeked};

pub(crate) fn peek(bytes: &[u8]) -> Result<Peeked, InvalidBody> {
    let body = Body::parse(bytes)?;
    let members = &body.members;
    let user = members.object("metadata").and_then(|metadata| metadata.text("user_id"));
    let session = user.as_deref().and_then(session_of);
    let prompt =
        Prompt { system: members.get("system"), tools: members.get("tools"), messages: members.get("messages") };
    let hour = asks_for_an_hour(bytes);
    Ok(Peeked {
        user: user.map(Into::into),
        max_output_tokens: members.count("max_tokens"),
        conversation: Conversation {
            lasts_an_hour: hour,
            needs_cache_1h: hour,
            ..conversation(session.as_deref(), prompt)
        },
        ..body.peek()?
    })
}
