//! What may know about what.

use crate::finding::{Finding, assert_none};
use crate::source::{SourceFile, code_of, line_of, rust_files, words};

const PIPELINE: &str = "gateway/src/pipeline/";

/// The stages, each of which may name those before it. Failover comes after attempt because it calls it.
const STAGES: &[&str] =
    &["accept", "authenticate", "receive", "models", "route", "limit", "attempt", "failover", "relay"];

/// What every stage may name, and the one file that knows the order.
const GROUND: &[&str] =
    &["mod", "account", "considered", "ending", "failure", "outliving", "receipt", "rejection", "tags", "tests"];

/// Where foreign code is called.
const UNSAFE_ALLOWED: &str = "standalone/src/clickhouse/";

#[test]
fn a_stage_does_not_name_a_later_one() {
    let findings: Vec<Finding> = rust_files().iter().flat_map(backward).collect();
    assert_none(
        &format!("a request flows one way: {}", STAGES.join(" -> ")),
        "let the later stage take what it needs from the earlier one's type; if the order itself has changed, change STAGES",
        &findings,
    );
}

#[test]
fn every_file_of_the_pipeline_is_a_stage_or_ground() {
    let findings: Vec<Finding> = rust_files()
        .iter()
        .filter_map(|file| Some((file, stage_of(file)?)))
        .filter(|(_, stage)| !STAGES.contains(stage) && !GROUND.contains(stage))
        .map(|(file, stage)| Finding::new(&file.path, 0, format!("{stage} is neither in STAGES nor in GROUND")))
        .collect();
    assert_none("the order of the pipeline is known", "give it its place in tests/tidy/direction.rs", &findings);
}

#[test]
fn foreign_code_is_called_in_one_place() {
    let files = rust_files();
    let findings: Vec<Finding> =
        files.iter().filter(|file| !file.path.starts_with(UNSAFE_ALLOWED)).flat_map(unchecked).collect();
    assert_none(
        &format!("only {UNSAFE_ALLOWED} leaves the checked part of the language"),
        "find a safe way; the speed is elsewhere",
        &findings,
    );
}

fn stage_of(file: &SourceFile) -> Option<&str> {
    file.path.strip_prefix(PIPELINE)?.split(['/', '.']).next()
}

fn backward(file: &SourceFile) -> Vec<Finding> {
    let Some(position) = stage_of(file).and_then(|stage| STAGES.iter().position(|other| *other == stage)) else {
        return Vec::new();
    };
    let later = &STAGES[position + 1..];
    let in_folder = file.path.matches('/').count() > PIPELINE.matches('/').count();
    let parent = if in_folder { "super::super::" } else { "super::" };
    let code = code_of(&file.text);
    let mut findings = Vec::new();
    for prefix in ["pipeline::", parent] {
        for (at, _) in code.match_indices(prefix) {
            for name in named_after(&code[at + prefix.len()..]) {
                if later.contains(&name) {
                    findings.push(Finding::new(&file.path, line_of(&code, at), format!("names {name}, a later stage")));
                }
            }
        }
    }
    findings
}

/// The modules that a path's rest names: `a::B` names a, `{a, b::{C, d}}` names a and b.
fn named_after(rest: &str) -> Vec<&str> {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = rest.strip_prefix('{') else { return vec![&rest[..word(rest)]] };
    let (mut names, mut depth, mut fresh) = (Vec::new(), 1, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => fresh = true,
            c if fresh && (c.is_alphanumeric() || c == '_') => {
                names.push(&group[at..at + word(&group[at..])]);
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn unchecked(file: &SourceFile) -> Vec<Finding> {
    let code = code_of(&file.text);
    words(&code)
        .filter(|(_, word)| *word == "unsafe")
        .map(|(line, _)| Finding::new(&file.path, line, "is unsafe"))
        .collect()
}

#[test]
fn backward_names_are_found_and_others_are_not() {
    let route = |text: &str| {
        let file = SourceFile::new("gateway/src/pipeline/route.rs", text);
        backward(&file).into_iter().map(|finding| (finding.line, finding.what)).collect::<Vec<_>>()
    };
    assert_eq!(route("use super::accept::Accepted;\nuse crate::formats::relay;\n// super::relay\n"), []);
    assert_eq!(route("\nuse super::relay::Relay;"), [(2, "names relay, a later stage".to_owned())]);
    assert_eq!(route("use super::{accept, attempt::{Attempt, relay}};").len(), 1);
    assert_eq!(route("use crate::pipeline::{\n    relay::Relay,\n    accept,\n    account,\n};").len(), 1);
    assert_eq!(route("let a = crate::pipeline::relay::start();").len(), 1);

    let part = SourceFile::new("gateway/src/pipeline/route/weigh.rs", "use super::relay;\nuse super::super::relay;");
    assert_eq!(backward(&part).len(), 1);
}

#[test]
fn leaving_the_checked_language_is_found() {
    let file = SourceFile::new("a.rs", "// unsafe\n#![deny(unsafe_code)]\nlet a = \"unsafe\";\nunsafe { b() }\n");
    assert_eq!(unchecked(&file).into_iter().map(|finding| finding.line).collect::<Vec<_>>(), [4]);
}
