//! What rows can be grouped and filtered by.

use std::fmt;

/// Longest name of a tag, in bytes.
const TAG_BYTES_MAX: usize = 128;

/// A closed set of columns, and the tags that an operator gave to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Configured name of the client.
    Client,
    /// The client's own user.
    User,
    /// The catalogue's name of the model.
    Model,
    /// Configured name of the provider.
    Provider,
    /// Configured name of the endpoint.
    Endpoint,
    /// Configured name of the key.
    Key,
    /// The dialect that the client spoke.
    Format,
    /// What was asked for.
    Operation,
    /// How the request ended.
    Outcome,
    /// A tag of the client.
    Tag(TagName),
}

/// The name of a tag: text of the caller's, hence only ever sent as a bound value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagName(String);

/// Rows count if the dimension has one of the values; the empty value stands for rows that have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Of what.
    pub dimension: Dimension,
    /// One of these; never empty.
    pub values: Vec<String>,
}

impl Dimension {
    /// All names, for messages.
    pub const LIST: &'static str =
        "client, user, model, provider, endpoint, key, format, operation, outcome, tag:<name>";

    /// The dimension of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "client" => Self::Client,
            "user" => Self::User,
            "model" => Self::Model,
            "provider" => Self::Provider,
            "endpoint" => Self::Endpoint,
            "key" => Self::Key,
            "format" => Self::Format,
            "operation" => Self::Operation,
            "outcome" => Self::Outcome,
            _ => {
                let tag = name.strip_prefix("tag:")?;
                let fits = (1..=TAG_BYTES_MAX).contains(&tag.len());
                return fits.then(|| Self::Tag(TagName(tag.to_owned())));
            }
        })
    }

    /// The column of the same name; a tag has none of its own.
    pub fn column(&self) -> Option<&'static str> {
        match self {
            Self::Client => Some("client"),
            Self::User => Some("user"),
            Self::Model => Some("model"),
            Self::Provider => Some("provider"),
            Self::Endpoint => Some("endpoint"),
            Self::Key => Some("key"),
            Self::Format => Some("format"),
            Self::Operation => Some("operation"),
            Self::Outcome => Some("outcome"),
            Self::Tag(_) => None,
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(TagName(name)) => write!(f, "tag:{name}"),
            column => f.write_str(column.column().unwrap_or_default()),
        }
    }
}

impl TagName {
    /// The name, for the one place that binds it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
