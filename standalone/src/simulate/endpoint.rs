//! What a path asks for, in all dialects.

use http::Method;
use schemas::outcome::Format;

/// How a stream's events are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Events,
    /// One JSON array: Gemini without `alt=sse`.
    Array,
}

/// A completion endpoint, and what its address says of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The dialect.
    pub format: Format,
    /// The model, where it stands in the path.
    pub model: Option<String>,
    /// Whether the answer is to be streamed, where the path says so.
    pub stream: Option<bool>,
    /// How a streamed answer is framed.
    pub framing: Framing,
    /// Whether the prompt's tokens are to be counted instead of answered.
    pub counts: bool,
}

/// Everything that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// An answer, or a count.
    Complete(Address),
    /// The list of models.
    Models(Format),
    /// The tally.
    Tally,
}

impl Endpoint {
    /// `None` for a path that is not served. `speaker` is the dialect of a client that asks where all dialects do.
    pub(super) fn of(path: &str, query: &str, speaker: Format) -> Option<Self> {
        Some(match path {
            "/tally" => Self::Tally,
            "/v1/models" => Self::Models(speaker),
            "/v1beta/models" | "/v1beta/models/" => Self::Models(Format::Gemini),
            _ => Self::Complete(Address::of(path, query)?),
        })
    }

    pub(super) fn method(&self) -> Method {
        if matches!(self, Self::Complete(_)) { Method::POST } else { Method::GET }
    }

    pub(super) fn format(&self) -> Format {
        match self {
            Self::Complete(address) => address.format,
            Self::Models(format) => *format,
            Self::Tally => Format::OpenaiChat,
        }
    }
}

impl Address {
    /// Reads a path and a query; `None` for a path that answers nothing.
    pub fn of(path: &str, query: &str) -> Option<Self> {
        let plain = |format, counts| Self { format, model: None, stream: None, framing: Framing::Events, counts };
        match path {
            "/v1/messages" => return Some(plain(Format::Anthropic, false)),
            "/v1/messages/count_tokens" => return Some(plain(Format::Anthropic, true)),
            "/v1/chat/completions" => return Some(plain(Format::OpenaiChat, false)),
            "/v1/responses" => return Some(plain(Format::OpenaiResponses, false)),
            _ => {}
        }
        // Google's own clients have come to use the stable version.
        let rest = path.strip_prefix("/v1beta/models/").or_else(|| path.strip_prefix("/v1/models/"))?;
        let (model, action) = rest.rsplit_once(':')?;
        let stream = match action {
            "generateContent" | "countTokens" => false,
            "streamGenerateContent" => true,
            _ => return None,
        };
        let is_sse = form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "alt" && value == "sse");
        let framing = if is_sse || !stream { Framing::Events } else { Framing::Array };
        let counts = action == "countTokens";
        Some(Self { format: Format::Gemini, model: Some(model.to_owned()), stream: Some(stream), framing, counts })
    }
}
