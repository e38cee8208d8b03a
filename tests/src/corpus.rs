//! Recorded traffic of real providers, where the checkout has it next to it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One recorded exchange.
#[derive(Clone, Debug, Deserialize)]
pub struct Recording {
    /// Its unique name.
    pub name: String,
    /// The family of the host that answered.
    pub provider: String,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// What is special about it.
    pub features: Vec<String>,
    /// What was sent.
    pub request: Request,
    /// What came back.
    pub response: Response,
    /// What a reader must make of it.
    pub expected: Expected,
}

impl Recording {
    /// Whether it has this tag.
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|one| one == feature)
    }
}

/// The recorded request.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// The path, with what of the query does not identify anybody.
    pub path: String,
    /// JSON, where the source kept it.
    pub body: Option<Value>,
}

/// The recorded response.
#[derive(Clone, Debug, Deserialize)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers, lower case.
    pub headers: std::collections::BTreeMap<String, String>,
    /// The body's text.
    pub body: String,
}

/// The numbers that two independent readers agreed on. `None`: the provider did not report it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Expected {
    /// The provider's own count of the prompt.
    pub input_tokens: Option<u64>,
    /// The provider's own count of the answer.
    pub output_tokens: Option<u64>,
    /// Read from a cache.
    pub cache_read_tokens: Option<u64>,
    /// Written to a cache.
    pub cache_creation_tokens: Option<u64>,
    /// Written to a cache for five minutes.
    pub cache_creation_5m_tokens: Option<u64>,
    /// Written to a cache for an hour.
    pub cache_creation_1h_tokens: Option<u64>,
    /// Spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// What the results of the provider's own tools added to the prompt (Gemini).
    #[serde(default)]
    pub tool_use_prompt_tokens: Option<u64>,
    /// The provider's total.
    pub total_tokens: Option<u64>,
    /// Whether the answer reached its proper end.
    pub completed: bool,
    /// The raw stop reason, as text also where it was a number.
    #[serde(deserialize_with = "text_or_number")]
    pub stop_reason: Option<String>,
    /// The model as the provider spells it.
    pub model: Option<String>,
    /// Whether it is or carries an error.
    pub is_error: bool,
    /// The provider's error type.
    pub error_type: Option<String>,
    /// The HTTP status of the error, or the one that the body names.
    pub error_status: Option<u16>,
    /// Characters of the answer's text.
    pub text_chars: u64,
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
}

/// The recordings of a format, by name; `None`, said loudly, where there is no corpus.
pub fn recordings(format: &str) -> Option<Vec<Recording>> {
    let folder = folder().join(format);
    if !folder.is_dir() {
        skipped(&folder);
        return None;
    }
    let entries = std::fs::read_dir(&folder).expect("the corpus");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let read = |file: &PathBuf| {
        let text = std::fs::read(file).expect("a recording");
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    Some(files.iter().map(read).collect())
}

#[expect(clippy::print_stderr, reason = "a test that has done nothing must not look like one that has passed")]
fn skipped(folder: &Path) {
    eprintln!("SKIPPED: no recordings at {}; they are not part of this repository", folder.display());
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus")
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_recording_can_be_read() {
        for format in ["anthropic", "openai_chat", "openai_responses", "gemini"] {
            let Some(recordings) = super::recordings(format) else { return };
            assert!(!recordings.is_empty(), "{format}");
        }
    }
}
