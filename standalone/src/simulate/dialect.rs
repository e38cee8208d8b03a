//! One plan in every dialect: each operation is one `match` into the format's own file.

use schemas::outcome::Format;
use serde_json::Value;

use super::endpoint::Framing;
use super::frames::Frame;
use super::plan::Plan;
use super::random::Random;
use super::{Ask, Options, anthropic, gemini, openai_chat, openai_responses};

/// What an answer says about itself, and how much it says.
pub(super) struct Names<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) call_id: &'a str,
    pub(super) created_s: i64,
    pub(super) with_usage: bool,
    pub(super) shows_thought: bool,
    pub(super) framing: Framing,
}

/// An id for an answer, as the provider makes them.
pub(super) fn response_id(format: Format, letters: &mut Random) -> String {
    match format {
        Format::Anthropic => format!("msg_01{}", letters.letters(22)),
        Format::OpenaiChat => format!("chatcmpl-{}", letters.letters(29)),
        Format::OpenaiResponses => format!("resp_{}", letters.letters(50)),
        Format::Gemini => letters.letters(23),
    }
}

/// An id for a call of a tool. Google gives its calls none.
pub(super) fn call_id(format: Format, letters: &mut Random) -> String {
    match format {
        Format::Anthropic => format!("toolu_01{}", letters.letters(22)),
        Format::OpenaiChat | Format::OpenaiResponses | Format::Gemini => format!("call_{}", letters.letters(24)),
    }
}

/// The events of a streamed answer.
pub(super) fn stream(format: Format, plan: &Plan, names: &Names<'_>, options: &Options) -> Vec<Frame> {
    match format {
        Format::Anthropic => anthropic::stream(plan, names, options),
        Format::OpenaiChat => openai_chat::stream(plan, names, options),
        Format::OpenaiResponses => openai_responses::stream(plan, names, options),
        Format::Gemini => gemini::stream(plan, names, options),
    }
}

/// Whether the events of a stream that are not its last tell what was used until then.
pub(super) fn tells_as_it_goes(format: Format) -> bool {
    format == Format::Gemini
}

pub(super) fn stream_type(framing: Framing, format: Format) -> &'static str {
    match (format, framing) {
        (_, Framing::Array) => "application/json; charset=UTF-8",
        (Format::Gemini, Framing::Events) => "text/event-stream",
        (_, Framing::Events) => "text/event-stream; charset=utf-8",
    }
}

/// An answer that is sent whole.
pub(super) fn body(format: Format, plan: &Plan, names: &Names<'_>) -> Value {
    match format {
        Format::Anthropic => anthropic::body(plan, names),
        Format::OpenaiChat => openai_chat::body(plan, names),
        Format::OpenaiResponses => openai_responses::body(plan, names),
        Format::Gemini => gemini::body(plan, names),
    }
}

/// What counting a prompt's tokens answers.
pub(super) fn count(ask: &Ask) -> Value {
    match ask.format {
        Format::Gemini => gemini::count(ask.input_tokens),
        _ => anthropic::count(ask.input_tokens),
    }
}

/// The list of models.
pub(super) fn models(format: Format, names: &[String]) -> Value {
    match format {
        Format::Anthropic => anthropic::models(names),
        Format::OpenaiChat | Format::OpenaiResponses => openai_chat::models(names),
        Format::Gemini => gemini::models(names),
    }
}

/// The body that comes with an error status.
pub(super) fn error(format: Format, status: u16, message: &str, request_id: &str) -> Value {
    match format {
        Format::Anthropic => anthropic::error(status, message, request_id),
        Format::OpenaiChat | Format::OpenaiResponses => openai_chat::error(status, message),
        Format::Gemini => gemini::error(status, message),
    }
}

/// The error inside a stream that breaks after `sent` events.
pub(super) fn error_event(format: Format, framing: Framing, sent: usize) -> Vec<Frame> {
    match format {
        Format::Anthropic => anthropic::error_event(),
        Format::OpenaiChat => openai_chat::error_event(),
        Format::OpenaiResponses => openai_responses::error_event(sent),
        Format::Gemini => gemini::error_event(framing, sent),
    }
}

/// The status of a provider that has too much to do.
pub(super) fn overloaded(format: Format) -> u16 {
    if format == Format::Anthropic { 529 } else { 503 }
}
