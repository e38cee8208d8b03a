//! Body of a request -> what is asked for, or the provider's refusal of it.

use schemas::outcome::Format;
use serde_json::Value;

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
    /// `stream_options.include_usage`
    pub include_usage: bool,
    /// The client's limit on output tokens.
    pub max_output_tokens: Option<u64>,
    /// Size of the prompt.
    pub input_tokens: u64,
    /// Lifetime of the prompt cache that the request asks for.
    pub caching: Option<Caching>,
    /// Whether the model is to think first.
    pub thinks: bool,
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
    /// Reads a body as strictly as the provider does.
    pub fn read(format: Format, body: &[u8]) -> Result<Self, Refusal> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::invalid(format!("We could not parse the JSON body of your request: {error}")))?;
        let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
        if model.is_empty() {
            return Err(Refusal::invalid("model: Field required"));
        }
        if body.get("messages").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            return Err(Refusal::invalid("messages: at least one message is required"));
        }
        let limit = max_output_tokens(format, &body)?;
        let decisive = ["system", "messages", "tools", "tool_choice", "thinking", "reasoning_effort"];
        let texts = decisive.map(|key| body.get(key).map(Value::to_string).unwrap_or_default());
        let prompt_chars: usize = texts.iter().take(3).map(|text| text.chars().count()).sum();
        Ok(Self {
            format,
            model: model.to_owned(),
            stream: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
            include_usage: body.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or(false),
            max_output_tokens: limit,
            // About four characters to a token, and a few tokens of frame.
            input_tokens: prompt_chars as u64 / 4 + 7,
            caching: caching(format, &texts),
            thinks: thinks(format, model, &body),
            tools: tools(&body),
            must_call: must_call(&body),
            digest: digest(&texts.each_ref().map(String::as_bytes)),
        })
    }
}

fn max_output_tokens(format: Format, body: &Value) -> Result<Option<u64>, Refusal> {
    let limit = ["max_completion_tokens", "max_tokens"].into_iter().find_map(|key| body.get(key));
    match limit {
        None | Some(Value::Null) if format == Format::Anthropic => Err(Refusal::invalid("max_tokens: Field required")),
        None | Some(Value::Null) => Ok(None),
        Some(limit) => match limit.as_u64().filter(|limit| *limit > 0) {
            Some(limit) => Ok(Some(limit)),
            None => Err(Refusal::invalid("max_tokens: Input should be a whole number greater than 0")),
        },
    }
}

/// Anthropic caches where it is told to; OpenAI by itself, which [`super::Plan`] decides by the prompt's size.
fn caching(format: Format, texts: &[String]) -> Option<Caching> {
    let asked = format == Format::Anthropic && texts.iter().any(|text| text.contains("\"cache_control\":{"));
    let long = || texts.iter().any(|text| text.contains("\"ttl\":\"1h\""));
    asked.then(|| if long() { Caching::Long } else { Caching::Short })
}

fn thinks(format: Format, model: &str, body: &Value) -> bool {
    match format {
        Format::Anthropic => {
            matches!(body.pointer("/thinking/type").and_then(Value::as_str), Some("enabled" | "adaptive"))
        }
        _ => ["o1", "o3", "o4", "gpt-5", "gpt-6"].iter().any(|family| model.starts_with(family)),
    }
}

fn tools(body: &Value) -> Vec<String> {
    let tools = body.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name = |tool: &Value| tool.get("name").or_else(|| tool.pointer("/function/name"))?.as_str().map(str::to_owned);
    tools.iter().filter_map(name).collect()
}

fn must_call(body: &Value) -> bool {
    match body.get("tool_choice") {
        Some(Value::String(choice)) => choice == "required",
        Some(choice) => matches!(choice.get("type").and_then(Value::as_str), Some("any" | "tool" | "function")),
        None => false,
    }
}
