//! A request -> what is asked for, or the provider's refusal of it.

use schemas::outcome::Format;
use serde_json::Value;

use super::endpoint::{Address, Framing};
use super::fields::{self, Fields};
use super::random::digest;

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The dialect of the endpoint that was called.
    pub format: Format,
    /// The model.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// How a streamed answer is framed.
    pub framing: Framing,
    /// Whether a streamed answer is to tell its usage: always, but for `stream_options.include_usage`.
    pub include_usage: bool,
    /// The client's limit on output tokens.
    pub max_output_tokens: Option<u64>,
    /// Size of the prompt.
    pub input_tokens: u64,
    /// Lifetime of the prompt cache that the request asks for.
    pub caching: Option<Caching>,
    /// Whether the model is to think first.
    pub thinks: bool,
    /// Whether its thoughts are to be shown.
    pub shows_thought: bool,
    /// Names of the tools on offer.
    pub tools: Vec<String>,
    /// Whether a tool has to be called.
    pub must_call: bool,
    /// Digest of everything that decides the answer: neither the model nor how the answer is sent.
    pub digest: u64,
}

/// `cache_control.ttl`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Five minutes, or left to the provider.
    Short,
    /// One hour.
    Long,
}

/// The provider does not take the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {message}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// What the provider says.
    pub message: String,
}

impl Refusal {
    fn invalid(message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into() }
    }
}

impl Ask {
    /// Reads a request as strictly as the provider does.
    pub fn read(address: &Address, body: &[u8]) -> Result<Self, Refusal> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::invalid(format!("We could not parse the JSON body of your request: {error}")))?;
        // Gemini's way to have a whole request counted.
        let body = body.get("generateContentRequest").filter(|_| address.counts).unwrap_or(&body);
        let format = address.format;
        let model = address.model.as_deref().or_else(|| body.get("model")?.as_str()).unwrap_or_default();
        if model.is_empty() {
            return Err(Refusal::invalid("model: Field required"));
        }
        let known = fields::of(format);
        if !known.has_prompt(body) {
            return Err(Refusal::invalid(format!("{}: at least one message is required", known.messages)));
        }
        let texts = known.deciding().map(|pointer| fields::at(body, pointer).map(Value::to_string).unwrap_or_default());
        let texts: Vec<String> = texts.collect();
        let prompt_chars: usize = texts.iter().take(fields::PROMPT_FIELDS).map(|text| text.chars().count()).sum();
        Ok(Self {
            format,
            model: model.to_owned(),
            stream: address.stream.unwrap_or_else(|| body.get("stream").and_then(Value::as_bool).unwrap_or(false)),
            framing: address.framing,
            include_usage: format != Format::OpenaiChat
                || body.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or(false),
            max_output_tokens: max_output_tokens(known, body, address)?,
            // About four characters to a token, and a few tokens of frame.
            input_tokens: prompt_chars as u64 / 4 + 7,
            caching: caching(format, &texts),
            thinks: fields::thinks(format, model, body),
            shows_thought: fields::shows_thought(format, body),
            tools: fields::tools(body),
            must_call: fields::must_call(body),
            digest: digest(&texts.iter().map(String::as_bytes).collect::<Vec<_>>()),
        })
    }
}

fn max_output_tokens(known: &Fields, body: &Value, address: &Address) -> Result<Option<u64>, Refusal> {
    let limit = known.limits.iter().find_map(|pointer| fields::at(body, pointer));
    match limit {
        None | Some(Value::Null) if address.format == Format::Anthropic && !address.counts => {
            Err(Refusal::invalid("max_tokens: Field required"))
        }
        None | Some(Value::Null) => Ok(None),
        Some(limit) => match limit.as_u64().filter(|limit| *limit > 0) {
            Some(limit) => Ok(Some(limit)),
            None => {
                let name = known.limits.last().and_then(|pointer| pointer.rsplit('/').next()).unwrap_or_default();
                Err(Refusal::invalid(format!("{name}: Input should be a whole number greater than 0")))
            }
        },
    }
}

/// Anthropic caches where it is told to; the others by themselves, which [`super::Plan`] decides by the prompt's size.
fn caching(format: Format, texts: &[String]) -> Option<Caching> {
    let asked = format == Format::Anthropic && texts.iter().any(|text| text.contains("\"cache_control\":{"));
    let long = || texts.iter().any(|text| text.contains("\"ttl\":\"1h\""));
    asked.then(|| if long() { Caching::Long } else { Caching::Short })
}
