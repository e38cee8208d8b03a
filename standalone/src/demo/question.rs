//! A question in the dialect of its model, and what makes it longer or its answer richer.

use bytes::Bytes;
use schemas::outcome::{Format, Outcome};
use serde_json::{Value, json};

use super::script::{Model, Shot};

/// A request under construction.
pub(crate) struct Question<'a> {
    model: &'a Model,
    stream: bool,
    number: usize,
    body: Value,
}

impl<'a> Question<'a> {
    /// A short question, different for every `number`.
    pub(crate) fn new(model: &'a Model, number: usize, stream: bool) -> Self {
        let text = format!("Question {number}: how much water passes the weir in {} minutes?", number % 60 + 1);
        let name = model.name;
        let messages = json!([{"role": "user", "content": text}]);
        let body = match model.format {
            Format::Anthropic | Format::OpenaiChat => {
                json!({"model": name, "max_tokens": 2048, "stream": stream, "messages": messages})
            }
            Format::OpenaiResponses => {
                json!({"model": name, "max_output_tokens": 2048, "stream": stream, "input": text})
            }
            Format::Gemini => {
                let contents = json!([{"role": "user", "parts": [{"text": text}]}]);
                json!({"contents": contents, "generationConfig": {"maxOutputTokens": 2048}})
            }
        };
        Self { model, stream, number, body }
    }

    /// Asks for what an answer has beside its text: a cached prompt, usage in the stream, thoughts.
    pub(crate) fn show_more(&mut self) {
        let extra = match self.model.format {
            Format::Anthropic => {
                let text = "You are a hydrologist who answers briefly and gives figures with their unit. ".repeat(60);
                let system = json!([{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]);
                json!({"system": system, "thinking": {"type": "enabled", "budget_tokens": 1024}})
            }
            Format::OpenaiChat if self.stream => json!({"stream_options": {"include_usage": true}}),
            Format::OpenaiChat => json!({}),
            Format::OpenaiResponses => json!({"reasoning": {"effort": "medium", "summary": "auto"}}),
            Format::Gemini => {
                let thoughts = json!({"includeThoughts": true});
                json!({"generationConfig": {"maxOutputTokens": 2048, "thinkingConfig": thoughts}})
            }
        };
        self.add(extra);
    }

    /// Offers a tool.
    pub(crate) fn offer_tools(&mut self) {
        let schema =
            json!({"type": "object", "properties": {"location": {"type": "string"}, "days": {"type": "integer"}}});
        let (name, description) = ("forecast", "Water levels of the next days");
        let function = json!({"name": name, "description": description, "parameters": schema});
        let tool = match self.model.format {
            Format::Anthropic => json!({"name": name, "description": description, "input_schema": schema}),
            Format::OpenaiChat => json!({"type": "function", "function": function}),
            Format::OpenaiResponses => {
                json!({"type": "function", "name": name, "description": description, "parameters": schema})
            }
            Format::Gemini => json!({"functionDeclarations": [function]}),
        };
        self.add(json!({"tools": [tool]}));
    }

    /// Makes the prompt long enough for a provider to look for it in its cache.
    pub(crate) fn lengthen(&mut self, gauge: usize) {
        let text = format!("Summarise these readings of gauge {gauge}: {}", "12.4 cm, 12.9 cm, 13.1 cm, ".repeat(220));
        self.add(match self.model.format {
            Format::Anthropic | Format::OpenaiChat => json!({"messages": [{"role": "user", "content": text}]}),
            Format::OpenaiResponses => json!({"input": [{"role": "user", "content": text}]}),
            Format::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        });
    }

    /// The request as that client sends it, to be answered.
    pub(crate) fn shot(self, key: &'static str) -> Shot {
        Shot {
            key,
            format: self.model.format,
            is_stream: self.stream,
            path: self.path(),
            body: Bytes::from(self.body.to_string()),
            fault: None,
            leaves_after_bytes: None,
            expected: Outcome::Completed,
            routes: self.model.routes,
        }
    }

    /// Gemini's streams come as events or, without `alt=sse`, as one array: here both in turn.
    fn path(&self) -> String {
        let name = self.model.name;
        match self.model.format {
            Format::Anthropic => "/v1/messages".to_owned(),
            Format::OpenaiChat => "/v1/chat/completions".to_owned(),
            Format::OpenaiResponses => "/v1/responses".to_owned(),
            Format::Gemini if !self.stream => format!("/v1beta/models/{name}:generateContent"),
            Format::Gemini if self.number % 16 < 8 => format!("/v1beta/models/{name}:streamGenerateContent?alt=sse"),
            Format::Gemini => format!("/v1beta/models/{name}:streamGenerateContent"),
        }
    }

    fn add(&mut self, extra: Value) {
        if let (Some(body), Value::Object(extra)) = (self.body.as_object_mut(), extra) {
            body.extend(extra);
        }
    }
}
