//! Reading a table key by key while collecting every mistake.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{Mistake, Mistakes};

/// The mistakes found so far.
#[derive(Default)]
pub(super) struct Errors(RefCell<Vec<Mistake>>);

impl Errors {
    pub(super) fn add(&self, path: impl Into<String>, message: impl Into<String>) {
        self.0.borrow_mut().push(Mistake { path: path.into(), message: message.into() });
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T, Mistakes> {
        let mistakes = self.0.into_inner();
        if mistakes.is_empty() { Ok(value) } else { Err(Mistakes(mistakes)) }
    }
}

/// A table being read. Keys are taken out one by one; what is left at [`Section::finish`] is unknown.
pub(super) struct Section<'a> {
    path: String,
    table: Table,
    known: BTreeSet<&'static str>,
    errors: &'a Errors,
}

impl<'a> Section<'a> {
    pub(super) fn new(path: String, table: Table, errors: &'a Errors) -> Self {
        Self { path, table, known: BTreeSet::new(), errors }
    }

    /// The value of a key, or `default` where the file has none.
    pub(super) fn or<T: DeserializeOwned>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: DeserializeOwned + Default>(&mut self, key: &'static str) -> T {
        let missing = !self.table.contains_key(key);
        if missing {
            self.fail(key, "is missing");
        }
        self.optional(key).unwrap_or_default()
    }

    /// The value of a key that may be absent; a value that cannot be read is a mistake and counts as absent.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let value = self.take(key)?;
        match T::deserialize(value) {
            Ok(value) => Some(value),
            Err(error) => {
                let text = error.to_string();
                self.fail(key, text.trim_end());
                None
            }
        }
    }

    /// The sub-table of a key; empty where the file has none.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let path = self.join(key);
        let table = match self.take(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.fail(key, "must be a table");
                Table::new()
            }
        };
        Section::new(path, table, self.errors)
    }

    /// Whether the file has the key, without taking it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The array of tables of a key; empty where the file has none.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let base = self.join(key);
        let items = match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.fail(key, format!("must be a list of tables: write [[{base}]]"));
                Vec::new()
            }
        };
        let mut sections = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{base}[{index}]");
            match item {
                Value::Table(table) => sections.push(Section::new(path, table, self.errors)),
                _ => self.errors.add(path, "must be a table"),
            }
        }
        sections
    }

    /// Takes a value as it is.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.insert(key);
        self.table.remove(key)
    }

    /// Records a mistake about a key of this section.
    pub(super) fn fail(&self, key: &str, message: impl Into<String>) {
        self.errors.add(self.join(key), message);
    }

    /// Records a mistake unless the rule holds.
    pub(super) fn ensure(&self, rule: bool, key: &str, message: &str) {
        if !rule {
            self.fail(key, message);
        }
    }

    /// Ends the section: whatever was not asked for is unknown.
    pub(super) fn finish(self) {
        let known: Vec<&str> = self.known.iter().copied().collect();
        for key in self.table.keys() {
            self.errors.add(self.join(key), format!("is not a known key here (known: {})", known.join(", ")));
        }
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
