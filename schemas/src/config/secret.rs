//! Secrets are given by reference and never shown.

use std::fmt;

use serde::Deserialize;

/// Where a secret comes from: `{ env = "NAME" }`, `{ file = "/run/secrets/x" }`, or, said out loud, `{ plain = "..." }`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub enum SecretRef {
    /// The value of an environment variable.
    Env(String),
    /// The content of a file, without the white space around it.
    File(String),
    /// The secret itself.
    Plain(Secret),
}

/// A secret's value. Its `Debug` is `***`; it has no `Display` and cannot be serialised.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Default for SecretRef {
    fn default() -> Self {
        Self::Plain(Secret::default())
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "{{ env = {name:?} }}"),
            Self::File(path) => write!(f, "{{ file = {path:?} }}"),
            Self::Plain(_) => f.write_str("{ plain = *** }"),
        }
    }
}

impl TryFrom<toml::Value> for SecretRef {
    type Error = &'static str;

    /// Takes any value, so that the message for one of another type is ours: serde's would show the value, and a secret
    /// that was written in the wrong way is a secret all the same.
    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::Table(table) => Self::try_from(table),
            _ => Err(HOW),
        }
    }
}

impl TryFrom<toml::Table> for SecretRef {
    type Error = &'static str;

    fn try_from(table: toml::Table) -> Result<Self, Self::Error> {
        let mut entries = table.into_iter();
        match (entries.next(), entries.next()) {
            (Some((key, toml::Value::String(text))), None) => match key.as_str() {
                "env" => Ok(Self::Env(text)),
                "file" => Ok(Self::File(text)),
                "plain" => Ok(Self::Plain(Secret(text))),
                _ => Err(HOW),
            },
            _ => Err(HOW),
        }
    }
}

const HOW: &str = "must be { env = \"NAME\" }, { file = \"/path\" } or { plain = \"...\" }";

impl SecretRef {
    /// Fetches the value. The error says which variable or file is missing, and nothing of any value.
    pub fn resolve(&self) -> Result<Secret, String> {
        let value = match self {
            Self::Env(name) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?
            }
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
                text.trim().to_owned()
            }
            Self::Plain(secret) => secret.0.clone(),
        };
        if value.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(Secret(value)) }
    }
}
