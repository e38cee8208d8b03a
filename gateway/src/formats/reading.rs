//! What an answer has told so far.

use schemas::usage::Usage;

use super::gemini;
use super::json::Object;
use super::scan::{has_escapes, plain_chars, string_chars};
use crate::estimate::Sample;

/// [`UpstreamError::kind`] of a body that is not an answer at all.
pub const INVALID_BODY: &str = "invalid_body";

/// What has been read of an answer, streamed or whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Token counts as last decoded; see [`Self::usage`].
    pub(super) usage: Usage,
    /// `raw_usage` is newer than `usage`: Gemini counts in every event, and only the last count matters.
    pub(super) usage_is_behind: bool,
    /// Whether the provider has said its last word on them. Until then the output of an Anthropic stream is a
    /// placeholder from its first event.
    pub usage_is_final: bool,
    /// The provider's own usage object: verbatim, or merged from several events where the format spreads it.
    pub raw_usage: Option<String>,
    /// The provider's stop reason, verbatim; of the first choice.
    pub stop_reason: Option<String>,
    /// The model that the provider says has answered.
    pub model_reported: Option<String>,
    /// The provider's id of the answer, where it stands in the body alone (Gemini's `responseId`) or a later request may
    /// go on from it (Responses' `id`).
    pub response_id: Option<String>,
    /// Whether the answer reached its proper end and carries no error. Length stops and refusals are proper ends.
    pub completed: bool,
    /// The error inside the answer.
    pub error: Option<UpstreamError>,
    /// Whether something of the answer itself has come: text, reasoning, a tool call, a refusal, an image, or its end.
    pub has_content: bool,
    /// SSE events seen; 0 for a plain body.
    pub events: u64,
    /// Unicode characters of answer text seen, over all choices.
    pub text_chars: u64,
    /// Unicode characters of other billed output seen: reasoning, refusals, the arguments of tool calls.
    pub other_chars: u64,
    /// Events that were to be read and could not be: not JSON, or larger than the reader's bound (W32).
    pub unreadable_events: u64,
    /// The beginning of what was said, as long as the provider has not reported what it counted.
    pub sample: Sample,
}

impl Reading {
    /// A complete answer that is known to have used this.
    pub fn counted(usage: Usage) -> Self {
        Self { usage, usage_is_final: true, completed: true, ..Self::default() }
    }

    /// Token counts, in Weir's one definition.
    pub fn usage(&self) -> Usage {
        let newest = self.raw_usage.as_deref().filter(|_| self.usage_is_behind);
        let object = newest.and_then(|raw| Object::parse(raw).ok());
        object.map_or(self.usage, |object| gemini::usage::normalise(&object))
    }

    /// Notes an error; the first one stands, and an answer with an error is never complete.
    pub(super) fn fail(&mut self, error: UpstreamError) {
        self.completed = false;
        self.error.get_or_insert(error);
    }

    /// Notes the proper end.
    pub(super) fn complete(&mut self) {
        self.has_content = true;
        self.completed = self.error.is_none();
    }

    /// Whether what has been said is needed: an estimate may have to take the place of a count.
    pub fn wants_estimate(&self) -> bool {
        !self.usage_is_final || (!self.completed && self.usage().output.unwrap_or(0) == 0)
    }

    /// Lets go of the text once it is not needed any more.
    pub(super) fn release_sample(&mut self) {
        if self.usage_is_final && self.usage.output.unwrap_or(0) > 0 {
            self.sample.close();
        }
    }

    /// Counts answer text, as spelt between the quotes of a JSON string; tells whether there was any.
    pub(super) fn add_text(&mut self, spelt: &[u8]) -> bool {
        let chars = self.add(spelt);
        self.text_chars += chars;
        chars > 0
    }

    /// Counts other billed output, likewise.
    pub(super) fn add_other(&mut self, spelt: &[u8]) -> bool {
        let chars = self.add(spelt);
        self.other_chars += chars;
        chars > 0
    }

    /// Counts other billed output that is not spelt as a string.
    pub(super) fn add_json(&mut self, json: &str) {
        self.other_chars += json.chars().count() as u64;
        self.sample.push(json);
    }

    fn add(&mut self, spelt: &[u8]) -> u64 {
        if !has_escapes(spelt) {
            self.sample.push_plain(spelt);
            return plain_chars(spelt);
        }
        self.sample.push_spelt(spelt);
        string_chars(spelt)
    }

    /// A reading of what is no answer at all.
    pub(super) fn invalid(message: String) -> Self {
        let error = UpstreamError { kind: INVALID_BODY.to_owned(), code: None, status: None, message };
        Self { error: Some(error), ..Self::default() }
    }
}

/// An error as the provider told it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamError {
    /// The provider's error type; empty when it gave none.
    pub kind: String,
    /// The provider's error code, as text.
    pub code: Option<String>,
    /// The HTTP status, or the one that the body names.
    pub status: Option<u16>,
    /// What the provider says; cut where it is stored.
    pub message: String,
}
