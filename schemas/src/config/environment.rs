//! Overrides from the environment: `WEIR_NATS__URL` is `nats.url`, `WEIR_PROVIDERS__0__PRIORITY` is `providers[0].priority`.
//!
//! A variable without `__` is not an override: those are free for secrets, as in `WEIR_ANALYTICS_TOKEN`.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::read::Errors;

const PREFIX: &str = "WEIR_";

pub(super) fn apply(table: &mut Table, environment: &BTreeMap<String, String>, errors: &Errors) {
    for (name, text) in environment {
        let Some(path) = name.strip_prefix(PREFIX).filter(|path| path.contains("__")) else { continue };
        let keys: Vec<String> = path.split("__").map(str::to_lowercase).collect();
        if set(table, &keys, value_of(text)).is_none() {
            errors.add(name.as_str(), "does not lead to a key of the configuration: check the path after WEIR_");
        }
    }
}

/// TOML where the text is TOML (`true`, `12`, `["a"]`, `{ env = "X" }`), otherwise the text itself.
fn value_of(text: &str) -> Value {
    let parsed: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn set(table: &mut Table, keys: &[String], value: Value) -> Option<()> {
    let (first, rest) = keys.split_first()?;
    if first.is_empty() {
        return None;
    }
    let Some((next, after)) = rest.split_first() else {
        // Numbers and booleans given where the file has a string stay a string: WEIR_CLIENTS__0__NAME=42.
        let value = match (table.get(first), value) {
            (Some(Value::String(_)), Value::Integer(number)) => Value::String(number.to_string()),
            (_, value) => value,
        };
        table.insert(first.clone(), value);
        return Some(());
    };
    match table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => set(inner, rest, value),
        Value::Array(items) => {
            let item = items.get_mut(next.parse::<usize>().ok()?)?;
            if after.is_empty() {
                *item = value;
                return Some(());
            }
            set(item.as_table_mut()?, after, value)
        }
        _ => None,
    }
}
