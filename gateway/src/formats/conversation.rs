//! What makes requests one conversation, to a provider's prompt cache: the name that the client gives it, else how its
//! prompt begins.
//!
//! Little of a prompt is looked at, and nothing is decoded: its first texts, up to the first message of the user, and of
//! a long text its two ends. That never changes while a conversation grows. Two conversations that are taken for one
//! share a place in a queue, and no more.

use std::hash::{DefaultHasher, Hasher};
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::json::{Object, Raw};
use super::scan::{self, Key, Members, object_length};

/// Which conversation a request belongs to, and for how long its provider remembers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// A number for it, among those of one client. It means nothing to another process.
    pub id: u64,
    /// Whether the request asks for a cache that lasts an hour or longer, rather than the usual minutes.
    pub lasts_an_hour: bool,
    /// Whether it asks for Anthropic's cache of an hour, which not every account has.
    pub needs_cache_1h: bool,
}

/// The parts of a prompt that stay the same from turn to turn, in the order in which caches hold them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prompt<'a> {
    pub(super) system: Option<Raw<'a>>,
    pub(super) tools: Option<Raw<'a>>,
    pub(super) messages: Option<Raw<'a>>,
}

/// What is looked at of a text, at its beginning and at its end.
const END_BYTES: usize = 1024;
/// What is looked at of the tools.
const TOOLS_BYTES: usize = 512;
/// Texts that are looked at in one message.
const TEXTS_MAX: usize = 16;
/// Messages of the operator's that may come before the user's first.
const MESSAGES_MAX: usize = 4;

static TTL: Key = LazyLock::new(|| Finder::new("\"ttl\""));

/// The conversation of this name, or of a prompt that begins like this.
pub(super) fn conversation(name: Option<&str>, prompt: Prompt<'_>) -> Conversation {
    let id = match name.filter(|name| !name.is_empty()) {
        Some(name) => named(name),
        None => begun(prompt),
    };
    Conversation { id, ..Conversation::default() }
}

/// The number of a conversation that its client has named.
pub fn named(name: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    hash.write_u8(b'n');
    hash.write(name.as_bytes());
    hash.finish()
}

fn begun(prompt: Prompt<'_>) -> u64 {
    let mut hash = DefaultHasher::new();
    hash.write_u8(b'b');
    if let Some(system) = prompt.system {
        texts(&mut hash, system.get().as_bytes());
    }
    if let Some(tools) = prompt.tools {
        let tools = tools.get().as_bytes();
        hash.write(tools.get(..TOOLS_BYTES).unwrap_or(tools));
    }
    if let Some(messages) = prompt.messages {
        first_messages(&mut hash, messages.get().as_bytes());
    }
    hash.finish()
}

/// The messages up to the first that is not the operator's.
fn first_messages(hash: &mut DefaultHasher, json: &[u8]) {
    let Some(mut rest) = json.strip_prefix(b"[") else { return texts(hash, json) };
    for _ in 0..MESSAGES_MAX {
        rest = rest.trim_ascii_start();
        let Some(length) = object_length(rest) else { return };
        let (message, after) = rest.split_at(length);
        if !is_operators(texts_and_role(hash, message)) {
            return;
        }
        rest = after.trim_ascii_start().strip_prefix(b",").unwrap_or_default();
    }
}

fn is_operators(role: Option<&[u8]>) -> bool {
    matches!(role, Some(b"system" | b"developer"))
}

/// A text, or the texts inside. Markers for the cache stand between them and move from turn to turn: they are no part of it.
fn texts(hash: &mut DefaultHasher, json: &[u8]) {
    match json.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        Some(text) => ends(hash, text),
        None => {
            texts_and_role(hash, json);
        }
    }
}

fn texts_and_role<'a>(hash: &mut DefaultHasher, json: &'a [u8]) -> Option<&'a [u8]> {
    let (mut role, mut count) = (None, 0);
    for member in Members::of(json) {
        match member.key {
            b"role" if member.depth == 1 => role = member.string(),
            b"text" | b"content" | b"data" | b"url" | b"image_url" => {
                let Some(text) = member.string() else { continue };
                ends(hash, text);
                count += 1;
            }
            _ => {}
        }
        if count == TEXTS_MAX {
            break;
        }
    }
    role
}

/// Both ends of a text, and its length.
fn ends(hash: &mut DefaultHasher, text: &[u8]) {
    hash.write_usize(text.len());
    match (text.first_chunk::<END_BYTES>(), text.last_chunk::<END_BYTES>()) {
        (Some(first), Some(last)) => {
            hash.write(first);
            hash.write(last);
        }
        _ => hash.write(text),
    }
}

/// The session in `metadata.user_id` as Claude Code writes it: `user_..._session_<id>`, or an object in a string with a
/// `session_id` (<https://github.com/coder/aibridge/pull/241>). A plain user is no conversation.
pub(super) fn session_of(user_id: &str) -> Option<String> {
    if user_id.starts_with('{') {
        return Object::parse(user_id).ok()?.text("session_id").map(Into::into);
    }
    user_id.rsplit_once("_session_").map(|(_, session)| session.to_owned())
}

/// Whether any part of the prompt asks to be kept for an hour. The pair stands nowhere inside a text, whose quotes are
/// escaped.
pub(super) fn asks_for_an_hour(body: &[u8]) -> bool {
    scan::values(&TTL, body).any(|value| value.starts_with(b"\"1h\""))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use schemas::outcome::Format;

    use super::*;
    use crate::formats::peek_at;

    fn of(format: Format, body: &str) -> Conversation {
        let path = "/v1beta/models/m:generateContent";
        peek_at(format, path, &Bytes::copy_from_slice(body.as_bytes())).unwrap().conversation
    }

    fn same(format: Format, one: &str, other: &str) -> bool {
        of(format, one).id == of(format, other).id
    }

    #[test]
    fn a_conversation_grows_and_stays_the_same_and_another_is_another() {
        let long = "long ".repeat(2000);
        let chat = |tail: &str| {
            format!(
                r#"{{"model":"m","messages":[{{"role":"system","content":"{long}"}},{{"role":"user","content":"hi"}}{tail}]}}"#
            )
        };
        let answered = r#",{"role":"assistant","content":"a"},{"role":"user","content":"more"}"#;
        assert!(same(Format::OpenaiChat, &chat(""), &chat(answered)));
        assert!(!same(Format::OpenaiChat, &chat(""), &chat("").replace("\"hi\"", "\"ho\"")));
        assert!(!same(Format::OpenaiChat, &chat(""), &chat("").replacen("long ", "song ", 1)));

        let claude = |mark: &str, tail: &str| {
            format!(
                r#"{{"model":"m","system":[{{"type":"text","text":"s"{mark}}}],"tools":[{{"name":"t"}}],
                "messages":[{{"content":[{{"type":"text","text":"hi"{mark}}}],"role":"user"}}{tail}]}}"#
            )
        };
        let marked = r#","cache_control":{"type":"ephemeral"}"#;
        assert!(same(Format::Anthropic, &claude(marked, ""), &claude("", answered)), "markers move");
        assert!(!same(Format::Anthropic, &claude("", ""), &claude("", "").replace("\"s\"", "\"z\"")));

        let responses = |input: &str| format!(r#"{{"model":"m","instructions":"i","input":{input}}}"#);
        assert!(!same(Format::OpenaiResponses, &responses("\"a\""), &responses("\"b\"")));
        let gemini = |tail: &str| format!(r#"{{"contents":[{{"parts":[{{"text":"hi"}}]}}{tail}]}}"#);
        assert!(same(Format::Gemini, &gemini(""), &gemini(r#",{"role":"model","parts":[{"text":"x"}]}"#)));
    }

    #[test]
    fn a_name_counts_more_than_what_is_said() {
        for (format, name) in [
            (Format::OpenaiChat, r#""prompt_cache_key":"k""#),
            (Format::OpenaiResponses, r#""prompt_cache_key":"k""#),
            (Format::OpenaiResponses, r#""conversation":"k""#),
            (Format::OpenaiResponses, r#""conversation":{"id":"k"}"#),
            (Format::Anthropic, r#""metadata":{"user_id":"user_1_account_2_session_k"}"#),
            (Format::Anthropic, r#""metadata":{"user_id":"{\"device_id\":\"d\",\"session_id\":\"k\"}"}"#),
            (Format::Gemini, r#""cachedContent":"k""#),
        ] {
            let body = format!(r#"{{"model":"m",{name},"messages":[{{"role":"user","content":"x"}}]}}"#);
            assert_eq!(of(format, &body).id, named("k"), "{body}");
        }
        let plain = r#"{"model":"m","metadata":{"user_id":"u"},"messages":[]}"#;
        assert!(same(Format::Anthropic, plain, &plain.replace("\"u\"", "\"w\"")), "a user has many conversations");
    }

    #[test]
    fn an_hour_is_asked_for_and_not_talked_about() {
        let body = |ttl: &str| {
            let content = r#""content":"\"ttl\":\"1h\"""#;
            format!(
                r#"{{"model":"m","system":[{{"text":"s","cache_control":{{"ttl" : {ttl}}}}}],"messages":[{{{content}}}]}}"#
            )
        };
        let hour = of(Format::Anthropic, &body("\"1h\""));
        assert!(hour.lasts_an_hour && hour.needs_cache_1h);
        assert!(!of(Format::Anthropic, &body("\"5m\"")).lasts_an_hour);
        let retained = of(Format::OpenaiChat, r#"{"model":"m","prompt_cache_retention":"24h"}"#);
        assert!(retained.lasts_an_hour && !retained.needs_cache_1h);
    }

    #[test]
    fn whatever_a_prompt_holds_is_survived() {
        for messages in
            ["null", "7", "[", "[{}]", "[7,{}]", "[[]]", "{}", "\"\"", "[{\"role\":7}]", "[{\"content\":{}}"]
        {
            let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
            let peeked = peek_at(Format::Anthropic, "", &Bytes::from(body.clone().into_bytes()));
            assert!(peeked.is_ok() || serde_json::from_str::<serde_json::Value>(&body).is_err(), "{body}");
        }
    }
}
