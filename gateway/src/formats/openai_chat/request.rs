//! What is read of a chat request, and how usage is asked for in a stream.

use crate::formats::conversation::{self, Conversation, Prompt};
use crate::formats::json::Object;
use crate::formats::request::{Body, InvalidBody, Peeked, Splice};

const OPTIONS: &str = r#"{"include_usage":true}"#;
const ADDED_OPTIONS: &str = r#","stream_options":{"include_usage":true}"#;
const FIRST_OPTION: &str = r#""include_usage":true,"#;

pub(crate) fn peek(body: &[u8]) -> Result<Peeked, InvalidBody> {
    let body = Body::parse(body)?;
    let members = &body.members;
    let user = members.text("safety_identifier").or_else(|| members.text("user"));
    let mut peeked = Peeked {
        user: user.map(Into::into),
        max_output_tokens: members.count("max_completion_tokens").or_else(|| members.count("max_tokens")),
        conversation: conversation(members),
        answers: members.count("n"),
        ..body.peek()?
    };
    if peeked.stream {
        peeked.usage_request = usage_request(&body);
    }
    Ok(peeked)
}

/// OpenAI's caches go by `prompt_cache_key`, and last for a day where that is asked for
/// (<https://platform.openai.com/docs/guides/prompt-caching>).
fn conversation(members: &Object<'_>) -> Conversation {
    let tools = members.get("tools").or_else(|| members.get("functions"));
    let prompt = Prompt { system: None, tools, messages: members.get("messages") };
    let lasts_an_hour = members.text("prompt_cache_retention").is_some_and(|time| time == "24h");
    let name = members.text("prompt_cache_key");
    Conversation { lasts_an_hour, ..conversation::conversation(name.as_deref(), prompt) }
}

/// What has to change for the provider to report usage; nothing if the client asked for it, or for something invalid.
fn usage_request(body: &Body<'_>) -> Option<Splice> {
    let Some(value) = body.members.last("stream_options") else {
        // The object is not empty: it has a model.
        let end = body.closing_brace()?;
        return Some(Splice { at: end..end, text: ADDED_OPTIONS });
    };
    if value.get() == "null" {
        return Some(Splice { at: body.place(value)?, text: OPTIONS });
    }
    let options = Object::parse(value.get()).ok()?;
    match options.last("include_usage") {
        Some(asked) if asked.get() == "true" => None,
        Some(refused) => Some(Splice { at: body.place(refused)?, text: "true" }),
        None if options.is_empty() => Some(Splice { at: body.place(value)?, text: OPTIONS }),
        None => {
            let first = body.place(value)?.start + 1;
            Some(Splice { at: first..first, text: FIRST_OPTION })
        }
    }
}
