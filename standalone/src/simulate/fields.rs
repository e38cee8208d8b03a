//! Where each dialect keeps what decides an answer.

use schemas::outcome::Format;
use serde_json::Value;

/// How many of [`Fields::deciding`] are the prompt: instructions, messages, tools.
pub(super) const PROMPT_FIELDS: usize = 3;

/// Places in a request's body, as JSON pointers.
pub(super) struct Fields {
    /// The member with the conversation.
    pub(super) messages: &'static str,
    prompt: [&'static str; PROMPT_FIELDS],
    others: &'static [&'static str],
    /// The client's limit on output tokens; the first that is there counts.
    pub(super) limits: &'static [&'static str],
}

pub(super) fn of(format: Format) -> &'static Fields {
    match format {
        Format::Anthropic => &Fields {
            messages: "messages",
            prompt: ["/system", "/messages", "/tools"],
            others: &["/tool_choice", "/thinking"],
            limits: &["/max_tokens"],
        },
        Format::OpenaiChat => &Fields {
            messages: "messages",
            prompt: ["/system", "/messages", "/tools"],
            others: &["/tool_choice", "/reasoning_effort"],
            limits: &["/max_completion_tokens", "/max_tokens"],
        },
        Format::OpenaiResponses => &Fields {
            messages: "input",
            prompt: ["/instructions", "/input", "/tools"],
            others: &["/tool_choice", "/reasoning/effort"],
            limits: &["/max_output_tokens"],
        },
        Format::Gemini => &Fields {
            messages: "contents",
            prompt: ["/systemInstruction", "/contents", "/tools"],
            others: &["/toolConfig", "/generationConfig/thinkingConfig/thinkingBudget"],
            limits: &["/generationConfig/maxOutputTokens"],
        },
    }
}

impl Fields {
    /// Everything that decides the answer, the prompt first.
    pub(super) fn deciding(&self) -> impl Iterator<Item = &'static str> {
        self.prompt.into_iter().chain(self.others.iter().copied())
    }

    /// Whether the conversation has anything in it.
    pub(super) fn has_prompt(&self, body: &Value) -> bool {
        match body.get(self.messages) {
            Some(Value::Array(messages)) => !messages.is_empty(),
            // Responses takes plain text as well.
            Some(Value::String(text)) => self.messages == "input" && !text.is_empty(),
            _ => false,
        }
    }
}

/// What stands at a pointer; Google takes its names in snake case too.
pub(super) fn at<'a>(body: &'a Value, pointer: &str) -> Option<&'a Value> {
    body.pointer(pointer).or_else(|| {
        let capital = |letter: char| letter.is_ascii_uppercase();
        let snake = || {
            pointer.chars().fold(String::new(), |mut name, letter| {
                name.extend(capital(letter).then_some('_').into_iter().chain([letter.to_ascii_lowercase()]));
                name
            })
        };
        pointer.contains(capital).then(|| body.pointer(&snake())).flatten()
    })
}

pub(super) fn thinks(format: Format, model: &str, body: &Value) -> bool {
    let is_of = |families: &[&str]| families.iter().any(|family| model.starts_with(family));
    match format {
        Format::Anthropic => {
            matches!(body.pointer("/thinking/type").and_then(Value::as_str), Some("enabled" | "adaptive"))
        }
        Format::OpenaiChat | Format::OpenaiResponses => is_of(&["o1", "o3", "o4", "gpt-5", "gpt-6"]),
        Format::Gemini => match at(body, "/generationConfig/thinkingConfig/thinkingBudget").and_then(Value::as_i64) {
            Some(budget) => budget != 0,
            None => is_of(&["gemini-2.5", "gemini-3"]) && !model.contains("lite"),
        },
    }
}

pub(super) fn shows_thought(format: Format, body: &Value) -> bool {
    match format {
        Format::Anthropic => true,
        Format::OpenaiChat => false,
        Format::OpenaiResponses => body.pointer("/reasoning/summary").is_some_and(Value::is_string),
        Format::Gemini => {
            let asked = at(body, "/generationConfig/thinkingConfig/includeThoughts");
            asked.and_then(Value::as_bool).unwrap_or(false)
        }
    }
}

/// Names of the tools on offer. Those that the provider itself runs have none.
pub(super) fn tools(body: &Value) -> Vec<String> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |tool: &Value| tool.get("name").or_else(|| tool.pointer("/function/name"))?.as_str().map(str::to_owned);
    let declared = |tool: &Value| list(at(tool, "/functionDeclarations"));
    let tools = list(body.get("tools")).into_iter();
    tools.flat_map(|tool| [declared(&tool), vec![tool]].concat()).filter_map(|tool| name(&tool)).collect()
}

pub(super) fn must_call(body: &Value) -> bool {
    let mode = at(body, "/toolConfig/functionCallingConfig/mode").and_then(Value::as_str);
    match body.get("tool_choice") {
        Some(Value::String(choice)) => choice == "required",
        Some(choice) => matches!(choice.get("type").and_then(Value::as_str), Some("any" | "tool" | "function")),
        None => mode.is_some_and(|mode| mode.eq_ignore_ascii_case("any")),
    }
}
