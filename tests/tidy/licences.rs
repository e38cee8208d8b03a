//! Every dependency may be used under a licence that deny.toml allows.
//!
//! deny.toml is cargo-deny's file. This test reads the same list, because the tool takes longer to build than the
//! product and the rule should hold in every `cargo test`.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use toml::Table;

use crate::finding::{Finding, assert_none};
use crate::source::{read, root};

#[test]
fn dependencies_have_licences_that_are_allowed() {
    let allowed = allowed(&read("deny.toml").text);
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    assert!(packages.len() > 50, "only {} packages found", packages.len());
    let findings: Vec<Finding> = packages.iter().filter_map(|package| refused(package, &allowed)).collect();
    assert_none(
        "every dependency has a licence that deny.toml allows",
        "take another crate, or, after reading the licence, add it to [licenses] allow in deny.toml",
        &findings,
    );
}

#[test]
fn the_list_holds_nothing_that_is_not_needed() {
    let metadata = metadata();
    let used: BTreeSet<&str> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|package| package["license"].as_str())
        .flat_map(terms)
        .collect();
    let unused: Vec<Finding> = allowed(&read("deny.toml").text)
        .into_iter()
        .filter(|licence| !used.contains(licence.as_str()))
        .map(|licence| Finding::new("deny.toml", 0, format!("allows {licence}, which no dependency has")))
        .collect();
    assert_none("deny.toml allows what is used, and no more", "remove it from [licenses] allow", &unused);
}

/// What cargo knows about the packages that are built on this machine; they are all fetched, or this test would not run.
fn metadata() -> Value {
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc can be started");
    let version = String::from_utf8(rustc.stdout).expect("rustc writes UTF-8");
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(root())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON")
}

fn allowed(deny: &str) -> BTreeSet<String> {
    let table: Table = deny.parse().expect("deny.toml is TOML");
    let list = table["licenses"]["allow"].as_array().expect("deny.toml has [licenses] allow");
    list.iter().map(|licence| licence.as_str().expect("a licence is a string").to_owned()).collect()
}

fn refused(package: &Value, allowed: &BTreeSet<String>) -> Option<Finding> {
    let name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
    match package["license"].as_str() {
        None => Some(Finding::new(&name, 0, "names no licence")),
        Some(expression) if permits(expression, allowed) => None,
        Some(expression) => Some(Finding::new(&name, 0, format!("is under {expression}"))),
    }
}

/// The licences in an SPDX expression.
fn terms(expression: &str) -> impl Iterator<Item = &str> {
    tokens(expression).into_iter().filter(|token| !matches!(*token, "(" | ")" | "OR" | "AND"))
}

/// `A/B` is how older crates write `A OR B`; `A WITH B` is one term.
fn tokens(expression: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => 1,
            '/' => {
                tokens.push("OR");
                rest = rest[1..].trim_start();
                continue;
            }
            _ => {
                let word = |text: &str| text.find(['(', ')', '/', ' ']).unwrap_or(text.len());
                let one = word(rest);
                match rest[one..].strip_prefix(" WITH ") {
                    Some(exception) => one + " WITH ".len() + word(exception),
                    None => one,
                }
            }
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let tokens = tokens(expression);
    let mut at = 0;
    let verdict = any(&tokens, &mut at, allowed);
    verdict && at == tokens.len()
}

fn any(tokens: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut verdict = all(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        verdict |= all(tokens, at, allowed);
    }
    verdict
}

fn all(tokens: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut verdict = one(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        verdict &= one(tokens, at, allowed);
    }
    verdict
}

fn one(tokens: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let token = tokens.get(*at).copied();
    *at += 1;
    match token {
        Some("(") => {
            let verdict = any(tokens, at, allowed);
            let closed = tokens.get(*at) == Some(&")");
            *at += 1;
            verdict && closed
        }
        Some(licence) => allowed.contains(licence),
        None => false,
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed: BTreeSet<String> = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for fine in
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(MIT OR GPL-3.0) AND Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(permits(fine, &allowed), "{fine}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT", "", "MIT MIT", "GPL-3.0 OR (MIT AND GPL-2.0)", "MIT WITH other"] {
        assert!(!permits(bad, &allowed), "{bad}");
    }
    assert!(refused(&serde_json::json!({ "name": "a", "version": "1.0.0", "license": null }), &allowed).is_some());
}
