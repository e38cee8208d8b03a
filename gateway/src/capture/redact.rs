//! From a body to text that may be kept: without secrets, without encoded data, within a bound. Pure.
//!
//! Hidden are the secrets that the gateway knows (ours at the providers, the caller's own), in the forms in which they
//! turn up in JSON and in URLs, and what is labelled as a credential: bearer tokens, and strings of members such as
//! `authorization_token`. A secret that a model spells out over several events of a stream is not recognised.

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use schemas::config::Secret;
use schemas::events::Captured;
use url::form_urlencoded;

/// What stands where a secret was.
const HIDDEN: &[u8] = b"***";
/// Shorter runs of letters and digits are words, ids and hashes; longer ones are images, files and signatures.
const ENCODED_MIN_CHARS: usize = 512;
/// JSON members whose text is a credential. `token` is not among them: it is what answers are made of.
const CREDENTIALS: [&str; 12] = [
    "authorization",
    "authorization_token",
    "proxy-authorization",
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
    "x-goog-api-key",
    "access_token",
    "refresh_token",
    "client_secret",
    "password",
];
const BEARER: &str = "bearer ";

/// Knows what must not be kept.
pub(super) struct Redactor {
    /// In the order of the finder's patterns: first the labels, then the secrets.
    secrets: Vec<Vec<u8>>,
    finder: AhoCorasick,
}

/// Bytes of a body, from its first on.
#[derive(Clone, Copy)]
pub(super) struct Beginning<'a> {
    /// What is there of it.
    pub(super) head: &'a [u8],
    /// Bytes of the whole body.
    pub(super) bytes: u64,
}

impl Redactor {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Self, BuildError> {
        let secrets: Vec<Vec<u8>> = secrets.into_iter().flat_map(|secret| forms(secret.expose())).collect();
        let labels = CREDENTIALS.iter().chain([&BEARER]).map(|label| label.as_bytes());
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(true)
            .build(labels.chain(secrets.iter().map(Vec::as_slice)))?;
        Ok(Self { secrets, finder })
    }

    /// The text that may be kept of a body: at most `max_bytes`.
    pub(super) fn captured(&self, body: Beginning<'_>, max_bytes: usize) -> Captured {
        let is_cut = (body.head.len() as u64) < body.bytes;
        // A secret that the cut goes through is not recognised any more: none of it may stay.
        let end = if is_cut { body.head.len() - self.begun_at_the_end(body.head) } else { body.head.len() };
        let whole = body.head.get(..end).unwrap_or_default();
        let mut text = Text { bytes: Vec::new(), max_bytes, is_cut };
        let mut at = 0;
        for found in self.finder.find_iter(whole) {
            if text.is_full() {
                break;
            }
            let behind = whole.get(found.end()..).unwrap_or_default();
            let (start, end) = match found.pattern().as_usize() {
                label if label < CREDENTIALS.len() => credential(behind)
                    .map_or((0, 0), |(skipped, length)| (found.end() + skipped, found.end() + skipped + length)),
                label if label == CREDENTIALS.len() => (found.end(), found.end() + token_length(behind)),
                _ => (found.start(), found.end()),
            };
            // Inside of what is hidden already, nothing is left to hide.
            if end > start.max(at) {
                text.push(whole.get(at..start).unwrap_or_default());
                text.push_whole(HIDDEN);
                at = end;
            }
        }
        text.push(whole.get(at..).unwrap_or_default());
        text.finish(body.bytes)
    }

    /// How many of the last bytes are the beginning of a secret.
    fn begun_at_the_end(&self, head: &[u8]) -> usize {
        let begun = |secret: &Vec<u8>| {
            let longest = secret.len().saturating_sub(1).min(head.len());
            (1..=longest).rev().find(|length| {
                let (end, begin) = (head.get(head.len() - length..), secret.get(..*length));
                end.zip(begin).is_some_and(|(end, begin)| end.eq_ignore_ascii_case(begin))
            })
        };
        self.secrets.iter().filter_map(begun).max().unwrap_or(0)
    }
}

/// A secret as it stands in text, in JSON (with and without escaped slashes), and in a URL.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let json = secret.replace('\\', "\\\\").replace('"', "\\\"");
    let slashes = json.replace('/', "\\/");
    let url = form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
    let mut forms = vec![secret.to_owned(), json, slashes, url];
    forms.sort_unstable();
    forms.dedup();
    forms.into_iter().filter(|form| !form.is_empty()).map(String::into_bytes).collect()
}

/// Where, behind the name of a member, its string begins, and how long it is; `None` if this is no such member. The quotes
/// may be escaped: a tool's arguments are JSON inside of a JSON string.
fn credential(behind: &[u8]) -> Option<(usize, usize)> {
    let (quote, rest): (&[u8], &[u8]) = match behind {
        [b'"', rest @ ..] => (b"\"", rest),
        [b'\\', b'"', rest @ ..] => (b"\\\"", rest),
        _ => return None,
    };
    let text = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(quote)?;
    let mut length = 0;
    while let Some(byte) = text.get(length) {
        if text.get(length..).is_some_and(|rest| rest.starts_with(quote)) {
            break;
        }
        length += if *byte == b'\\' { 2 } else { 1 };
    }
    Some((behind.len() - text.len(), length.min(text.len())))
}

/// Length of the token at the start; 0 where a word stands there.
fn token_length(behind: &[u8]) -> usize {
    let is_token = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(*byte);
    let length = behind.iter().take_while(is_token).count();
    if length < 16 { 0 } else { length }
}

/// Text being put together, within its bound.
struct Text {
    bytes: Vec<u8>,
    max_bytes: usize,
    is_cut: bool,
}

impl Text {
    fn is_full(&self) -> bool {
        self.bytes.len() >= self.max_bytes
    }

    /// Adds what may stay, but for encoded data. Reads no further than what still fits.
    fn push(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() && !self.is_full() {
            let encoded = encoded_length(rest);
            let (run, behind) = rest.split_at(encoded);
            if encoded >= ENCODED_MIN_CHARS {
                self.push_whole(format!("[{encoded} characters of encoded data]").as_bytes());
            } else {
                self.push_whole(run);
            }
            // A character that the bound goes through is read to its end, so that it is cut off as one.
            let room = self.max_bytes.saturating_sub(self.bytes.len()) + 3;
            let plain = behind.iter().take(room).take_while(|byte| !is_encoded(**byte) && **byte != b'\\').count();
            // A backslash that begins no part of encoded data stands for itself.
            let plain = if encoded == 0 { plain.max(1) } else { plain };
            let (run, behind) = behind.split_at(plain.min(behind.len()));
            self.push_whole(run);
            rest = behind;
        }
        self.is_cut |= !rest.is_empty();
    }

    fn push_whole(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn finish(self, bytes: u64) -> Captured {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        let truncated = self.is_cut || text.len() > self.max_bytes;
        text.truncate(text.floor_char_boundary(self.max_bytes));
        Captured { content_type: None, bytes, text, truncated }
    }
}

/// Length of the run of base64, base64url or hex at the start, with the line ends and escaped slashes of JSON strings.
fn encoded_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    loop {
        match bytes.get(length..) {
            Some([b'\\', b'/' | b'n' | b'r', ..]) => length += 2,
            Some([byte, ..]) if is_encoded(*byte) => length += 1,
            _ => return length,
        }
    }
}

fn is_encoded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
}
