//! `[[clients]]`

use std::collections::BTreeMap;

use toml::Value;

use super::read::Section;
use super::{Budget, Requirement, SecretRef, Unpriced};
use crate::money::Pico;
use crate::outcome::Format;

/// Somebody who sends requests.
#[derive(Clone, Debug)]
pub struct Client {
    /// Name in events, rows and metrics.
    pub name: String,
    /// Its keys: one, or several while a key is being rotated.
    pub keys: Vec<ClientKey>,
    /// Globs over canonical model names.
    pub models: Vec<String>,
    /// Globs over the names of formats.
    pub formats: Vec<String>,
    /// What its requests need, or do not need, whatever they look like.
    pub require_capabilities: Vec<Requirement>,
    /// What all of it may use.
    pub limits: RateLimits,
    /// What each of its users may use: `user_requests_per_minute` and so on.
    pub user_limits: RateLimits,
    /// What it may spend.
    pub budget: Option<Budget>,
    /// What becomes of requests for models without a price; denied by default where there is a budget.
    pub unpriced: Unpriced,
    /// Copied to every event of this client.
    pub tags: BTreeMap<String, String>,
}

/// Limits of one account; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests let in within a minute.
    pub requests_per_minute: u64,
    /// Input and output tokens within a minute.
    pub tokens_per_minute: u64,
    /// Requests under way at once, to the end of their answers.
    pub max_concurrent: u64,
}

/// How a client's key is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientKey {
    /// SHA-256 of the key: `{ sha256 = "<64 hex digits>" }`.
    Sha256([u8; 32]),
    /// The key itself, by reference.
    Secret(SecretRef),
}

impl Client {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let budget: Option<Budget> = section.optional("budget");
        section.ensure(budget.is_none_or(|budget| budget.usd >= Pico::ZERO), "budget", "must not be negative");
        let unpriced = if budget.is_some() { Unpriced::Deny } else { Unpriced::Allow };
        let client = Self {
            name: section.required("name"),
            keys: read_keys(&mut section),
            models: section.or("models", vec!["*".to_owned()]),
            formats: read_formats(&mut section),
            require_capabilities: section.or("require_capabilities", Vec::new()),
            limits: RateLimits {
                requests_per_minute: section.or("requests_per_minute", 0),
                tokens_per_minute: section.or("tokens_per_minute", 0),
                max_concurrent: section.or("max_concurrent", 0),
            },
            user_limits: RateLimits {
                requests_per_minute: section.or("user_requests_per_minute", 0),
                tokens_per_minute: section.or("user_tokens_per_minute", 0),
                max_concurrent: section.or("user_max_concurrent", 0),
            },
            budget,
            unpriced: section.or("unpriced", unpriced),
            tags: section.or("tags", BTreeMap::new()),
        };
        section.finish();
        client
    }
}

/// `formats`: a glob that fits none of the four is a misspelling, which would lock the client out.
fn read_formats(section: &mut Section<'_>) -> Vec<String> {
    let globs = section.or("formats", vec!["*".to_owned()]);
    for glob in &globs {
        if !Format::ALL.iter().any(|format| glob_matches(glob, format.as_str())) {
            let known: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
            section
                .fail("formats", format!("{glob:?} fits no format: write {}, or a pattern with *", known.join(", ")));
        }
    }
    globs
}

/// Whether a name fits a pattern: `*` stands for any run of characters, everything else for itself.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    let Some((prefix, rest)) = glob.split_once('*') else { return glob == text };
    let Some(mut text) = text.strip_prefix(prefix) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece) {
            Some(at) => text = text.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(last)
}

/// `key` is one reference or a list of them.
fn read_keys(section: &mut Section<'_>) -> Vec<ClientKey> {
    let values = match section.take("key") {
        None => {
            section.fail("key", "is missing");
            return Vec::new();
        }
        Some(Value::Array(values)) => values,
        Some(value) => vec![value],
    };
    let mut keys = Vec::new();
    for value in values {
        match read_key(value) {
            Ok(key) => keys.push(key),
            Err(message) => section.fail("key", message),
        }
    }
    keys
}

fn read_key(value: Value) -> Result<ClientKey, &'static str> {
    const HOW: &str =
        "must be { sha256 = \"<64 hex digits>\" }, { env = \"NAME\" }, { file = \"/path\" } or { plain = \"...\" }";
    let Value::Table(table) = value else { return Err(HOW) };
    match table.get("sha256") {
        Some(Value::String(hex)) if table.len() == 1 => parse_sha256(hex).map(ClientKey::Sha256).ok_or(HOW),
        Some(_) => Err(HOW),
        None => SecretRef::try_from(table).map(ClientKey::Secret).map_err(|_| HOW),
    }
}

fn parse_sha256(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(digest)
}
