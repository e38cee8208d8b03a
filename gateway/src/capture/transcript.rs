//! What is collected of a request while it runs. Nothing of it, and at no cost, unless bodies are captured.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use schemas::config::Secret;
use schemas::events::{Candidate, Captured};
use schemas::outcome::ErrorClass;
use tokio::task::JoinHandle;

use super::Secrets;
use super::redact::{Beginning, Redactor};

/// Goes with a request; empty unless bodies are captured.
#[derive(Default)]
pub(crate) struct Transcript(Option<Box<Said>>);

/// What was said.
pub(super) struct Said {
    pub(super) secrets: Secrets,
    pub(super) request: Option<Request>,
    pub(super) response: Option<Response>,
    pub(super) attempts: Vec<Attempt>,
}

/// The client's request.
pub(super) struct Request {
    content_type: Option<String>,
    body: RequestBody,
}

/// A body is held while its request runs, so what is held must be small: a large one (with images, say) is made small at
/// once, beside the request.
enum RequestBody {
    Small(Bytes),
    Large(JoinHandle<Option<Captured>>),
}

/// The beginning of the answer that the client got.
#[derive(Default)]
pub(super) struct Response {
    content_type: Option<String>,
    bytes: u64,
    head: Vec<u8>,
}

/// A try whose answer could not be read.
pub(super) struct Attempt {
    pub(super) candidate: Candidate,
    pub(super) class: ErrorClass,
    pub(super) answer: Unreadable,
}

/// The beginning of a provider's answer that is not what the format promises: a web page, nothing at all, ...
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    content_type: Option<String>,
    bytes: u64,
    head: Bytes,
}

/// Longest `content-type` kept.
const CONTENT_TYPE_CHARS_MAX: usize = 100;
/// Most characters kept of an answer that could not be read (S148).
const UNREADABLE_CHARS_MAX: usize = 10_000;
/// What so many characters can take in UTF-8.
const UNREADABLE_BYTES_MAX: usize = 4 * UNREADABLE_CHARS_MAX;
/// Most unreadable answers kept of one request.
const ATTEMPTS_MAX: usize = 8;

impl Transcript {
    /// A transcript that collects.
    pub(super) fn begin(secrets: Secrets) -> Self {
        Self(Some(Box::new(Said { secrets, request: None, response: None, attempts: Vec::new() })))
    }

    pub(super) fn into_said(self) -> Option<Box<Said>> {
        self.0
    }

    /// The client has shown this key: it must not be kept.
    pub(crate) fn client_key(&mut self, key: &Secret) {
        if let Some(said) = &mut self.0 {
            said.secrets.client_key = Some(key.clone());
        }
    }

    /// The request is here whole.
    pub(crate) fn request(&mut self, headers: &HeaderMap, body: &Bytes) {
        let Some(said) = &mut self.0 else { return };
        let body = body.clone();
        let body = if body.len() <= Captured::TEXT_MAX_BYTES {
            RequestBody::Small(body)
        } else {
            let secrets = said.secrets.clone();
            let redact = move || secrets.redactor().map(|redactor| redacted(&redactor, &body)).ok();
            RequestBody::Large(tokio::task::spawn_blocking(redact))
        };
        said.request = Some(Request { content_type: content_type(headers), body });
    }

    /// An answer begins.
    pub(crate) fn response_head(&mut self, headers: &HeaderMap) {
        if let Some(said) = &mut self.0 {
            said.response = Some(Response { content_type: content_type(headers), ..Response::default() });
        }
    }

    /// These bytes of the answer go to the client.
    pub(crate) fn response(&mut self, bytes: &[u8]) {
        let Some(said) = &mut self.0 else { return };
        let response = said.response.get_or_insert_default();
        response.bytes += bytes.len() as u64;
        let room = Captured::TEXT_MAX_BYTES.saturating_sub(response.head.len()).min(bytes.len());
        response.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    /// A try has failed with an answer that could not be read.
    pub(crate) fn unreadable(&mut self, candidate: &Candidate, class: ErrorClass, answer: Unreadable) {
        if let Some(said) = &mut self.0
            && said.attempts.len() < ATTEMPTS_MAX
        {
            said.attempts.push(Attempt { candidate: candidate.clone(), class, answer });
        }
    }
}

impl Request {
    /// What may be kept of it.
    pub(super) async fn captured(self, redactor: &Redactor) -> Option<Captured> {
        let captured = match self.body {
            RequestBody::Small(body) => redacted(redactor, &body),
            RequestBody::Large(redacting) => redacting.await.ok()??,
        };
        Some(Captured { content_type: self.content_type, ..captured })
    }
}

impl Response {
    /// What may be kept of it.
    pub(super) fn captured(self, redactor: &Redactor) -> Captured {
        let body = Beginning { head: &self.head, bytes: self.bytes };
        let captured = redactor.captured(body, Captured::TEXT_MAX_BYTES);
        Captured { content_type: self.content_type, ..captured }
    }
}

impl Unreadable {
    /// Keeps the beginning of an answer.
    pub(crate) fn new(headers: &HeaderMap, body: &[u8]) -> Self {
        // Copied, so that the rest of a large body is not held with it.
        let head = Bytes::copy_from_slice(body.get(..UNREADABLE_BYTES_MAX).unwrap_or(body));
        Self { content_type: content_type(headers), bytes: body.len() as u64, head }
    }

    /// What may be kept of it.
    pub(super) fn captured(self, redactor: &Redactor) -> Captured {
        let mut captured =
            redactor.captured(Beginning { head: &self.head, bytes: self.bytes }, Captured::TEXT_MAX_BYTES);
        if let Some((end, _)) = captured.text.char_indices().nth(UNREADABLE_CHARS_MAX) {
            captured.text.truncate(end);
            captured.truncated = true;
        }
        Captured { content_type: self.content_type, ..captured }
    }
}

fn redacted(redactor: &Redactor, body: &[u8]) -> Captured {
    redactor.captured(Beginning { head: body, bytes: body.len() as u64 }, Captured::TEXT_MAX_BYTES)
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(text.chars().take(CONTENT_TYPE_CHARS_MAX).collect())
}
