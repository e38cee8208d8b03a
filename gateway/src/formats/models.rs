//! The list of models, in the shape that each API's SDKs read.
//!
//! <https://platform.openai.com/docs/api-reference/models/list>, <https://docs.claude.com/en/api/models-list>,
//! <https://ai.google.dev/api/models#method:-models.list>

use bytes::Bytes;
use schemas::outcome::Format;
use serde_json::{Value, json};

/// A list of models, all on one page.
pub fn model_list(format: Format, names: &[&str]) -> Bytes {
    let models: Vec<Value> = names.iter().map(|name| model(format, name)).collect();
    let list = match format {
        Format::Anthropic => json!({
            "data": models, "has_more": false, "first_id": names.first(), "last_id": names.last(),
        }),
        Format::OpenaiChat | Format::OpenaiResponses => json!({ "object": "list", "data": models }),
        Format::Gemini => json!({ "models": models }),
    };
    list.to_string().into()
}

/// One model of the list. Nothing is known of its day of release, for which both APIs have a value.
pub fn model_entry(format: Format, name: &str) -> Bytes {
    model(format, name).to_string().into()
}

fn model(format: Format, name: &str) -> Value {
    match format {
        Format::Anthropic => {
            json!({ "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z" })
        }
        Format::OpenaiChat | Format::OpenaiResponses => {
            json!({ "id": name, "object": "model", "created": 0, "owned_by": "weir" })
        }
        Format::Gemini => json!({
            "name": format!("models/{name}"), "displayName": name, "version": "",
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        }),
    }
}
