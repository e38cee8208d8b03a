//! The pairs of a URL's query, taken out name by name; what is left at the end is unknown.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dimension, Error};

/// The query, decoded.
pub(super) struct Arguments {
    values: BTreeMap<String, Vec<String>>,
    known: BTreeSet<&'static str>,
}

impl Arguments {
    pub(super) fn new(query: &str) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            values.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self { values, known: BTreeSet::new() }
    }

    /// A parameter that may be given once.
    pub(super) fn one(&mut self, name: &'static str) -> Result<Option<String>, Error> {
        let mut values = self.all(name).into_iter();
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Error::new(name, "is given more than once: give it once")),
            (Some(text), None) if text.is_empty() => Err(Error::new(name, "is empty: give it a value or leave it out")),
            (value, None) => Ok(value),
        }
    }

    /// A parameter that may be repeated.
    pub(super) fn all(&mut self, name: &'static str) -> Vec<String> {
        self.known.insert(name);
        self.values.remove(name).unwrap_or_default()
    }

    /// What has not been taken yet.
    pub(super) fn rest(&self) -> Vec<(String, Vec<String>)> {
        self.values.iter().map(|(name, values)| (name.clone(), values.clone())).collect()
    }

    /// Marks what [`Arguments::rest`] showed as understood.
    pub(super) fn take(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// Whatever was not asked for is unknown.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Some(name) = self.values.into_keys().next() else { return Ok(()) };
        let own: Vec<&str> = self.known.into_iter().collect();
        let message = match own.as_slice() {
            [] => "is not a known parameter: nothing can be asked for here".to_owned(),
            own => format!("is not a known parameter: write {}, or a filter ({})", own.join(", "), Dimension::LIST),
        };
        Err(Error::new(name, message))
    }
}
