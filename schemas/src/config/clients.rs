//! `[[clients]]`

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Value;

use super::SecretRef;
use super::read::Section;
use crate::money::Pico;

/// Somebody who sends requests.
#[derive(Clone, Debug)]
pub struct Client {
    /// Name in events, rows and metrics.
    pub name: String,
    /// Its keys: one, or several while a key is being rotated.
    pub keys: Vec<ClientKey>,
    /// Globs over canonical model names.
    pub models: Vec<String>,
    /// 0: no limit.
    pub requests_per_minute: u64,
    /// 0: no limit.
    pub tokens_per_minute: u64,
    /// 0: no limit.
    pub max_concurrent: u64,
    /// What it may spend.
    pub budget: Option<Budget>,
    /// Copied to every event of this client.
    pub tags: BTreeMap<String, String>,
}

/// How a client's key is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientKey {
    /// SHA-256 of the key: `{ sha256 = "<64 hex digits>" }`.
    Sha256([u8; 32]),
    /// The key itself, by reference.
    Secret(SecretRef),
}

/// `budget = { usd = "100.00", per = "month" }`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How much.
    pub usd: Pico,
    /// In which window.
    pub per: BudgetWindow,
}

/// Calendar windows, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetWindow {
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
}

impl Client {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let client = Self {
            name: section.required("name"),
            keys: read_keys(&mut section),
            models: section.or("models", vec!["*".to_owned()]),
            requests_per_minute: section.or("requests_per_minute", 0),
            tokens_per_minute: section.or("tokens_per_minute", 0),
            max_concurrent: section.or("max_concurrent", 0),
            budget: section.optional("budget"),
            tags: section.or("tags", BTreeMap::new()),
        };
        section.finish();
        client
    }
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
