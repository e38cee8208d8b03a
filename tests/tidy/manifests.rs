//! What the packages depend on.

use toml::{Table, Value};

use crate::finding::{Finding, assert_none};
use crate::source::{SourceFile, files_ending, read};

const SERVICES: &[&str] = &["gateway", "recorder", "analytics"];
const PACKAGES: &[&str] = &["schemas", "gateway", "recorder", "analytics", "weir", "bench", "tests"];

/// What the contract may need: data, not runtimes and clients.
const SCHEMAS_MAY_USE: &[&str] = &["jiff", "serde", "serde_json", "thiserror", "toml", "url", "uuid"];

const SECTIONS: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

#[test]
fn the_contract_has_no_runtime_and_no_clients() {
    assert_none(
        &format!("schemas depends on nothing but {}", SCHEMAS_MAY_USE.join(", ")),
        "keep the code that needs more in the service that runs it",
        &foreign(&read("schemas/Cargo.toml"), SCHEMAS_MAY_USE),
    );
}

#[test]
fn services_do_not_know_each_other() {
    let findings: Vec<Finding> =
        SERVICES.iter().flat_map(|service| coupled(&read(&format!("{service}/Cargo.toml")))).collect();
    assert_none(
        "a service depends on no package of this workspace but schemas",
        "what two services must agree on belongs into schemas",
        &findings,
    );
}

#[test]
fn versions_and_features_are_named_once() {
    let findings: Vec<Finding> = members().iter().flat_map(own_versions).collect();
    assert_none(
        "versions and features stand in the root Cargo.toml alone, so that every package builds a dependency the same way",
        "write `name.workspace = true` here, and the rest under [workspace.dependencies]",
        &findings,
    );
}

#[test]
fn every_package_has_the_workspace_lints() {
    let unlinted = |file: &SourceFile| {
        let lints = parse(file).get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        (lints != Some(true)).then(|| Finding::new(&file.path, 0, "has no [lints] workspace = true"))
    };
    let findings: Vec<Finding> = members().iter().filter_map(unlinted).collect();
    assert_none("every package has the workspace's lints", "add [lints] workspace = true", &findings);
}

/// The manifests of this workspace's packages. The fuzz targets are another workspace's, which cannot inherit.
fn members() -> Vec<SourceFile> {
    let mut manifests = files_ending("Cargo.toml");
    manifests.retain(|file| file.path != "Cargo.toml" && file.path != "gateway/fuzz/Cargo.toml");
    manifests
}

fn parse(file: &SourceFile) -> Table {
    file.text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.path))
}

/// Every dependency of a package, with its section.
fn dependencies(file: &SourceFile, sections: &[&str]) -> Vec<(String, Value)> {
    let manifest = parse(file);
    let tables = sections.iter().filter_map(|section| manifest.get(*section)?.as_table());
    tables.flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn line_naming(file: &SourceFile, name: &str) -> usize {
    let names = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    file.text.lines().position(names).map_or(0, |at| at + 1)
}

fn foreign(file: &SourceFile, allowed: &[&str]) -> Vec<Finding> {
    let names = dependencies(file, &["dependencies", "build-dependencies"]).into_iter().map(|(name, _)| name);
    names
        .filter(|name| !allowed.contains(&name.as_str()))
        .map(|name| Finding::new(&file.path, line_naming(file, &name), format!("depends on {name}")))
        .collect()
}

fn coupled(file: &SourceFile) -> Vec<Finding> {
    let names = dependencies(file, SECTIONS).into_iter().map(|(name, _)| name);
    names
        .filter(|name| name != "schemas" && PACKAGES.contains(&name.as_str()))
        .map(|name| Finding::new(&file.path, line_naming(file, &name), format!("depends on {name}")))
        .collect()
}

fn own_versions(file: &SourceFile) -> Vec<Finding> {
    let inherited = |value: &Value| {
        value.as_table().is_some_and(|table| {
            table.get("workspace").and_then(Value::as_bool) == Some(true)
                && table.keys().all(|key| matches!(key.as_str(), "workspace" | "optional"))
        })
    };
    let mut findings: Vec<Finding> = dependencies(file, SECTIONS)
        .into_iter()
        .filter(|(_, value)| !inherited(value))
        .map(|(name, _)| Finding::new(&file.path, line_naming(file, &name), format!("has its own terms for {name}")))
        .collect();
    if parse(file).contains_key("target") {
        findings.push(Finding::new(&file.path, 0, "has [target] dependencies, which these rules do not read"));
    }
    findings
}

#[test]
fn bad_manifests_are_found() {
    let text = "[package]\nname = \"x\"\n[dependencies]\nserde.workspace = true\ntokio.workspace = true\n\
                recorder.workspace = true\nurl = \"2\"\n[dev-dependencies]\nuuid = { workspace = true, features = [\"v7\"] }\n";
    let file = SourceFile::new("gateway/Cargo.toml", text);
    let told = |findings: Vec<Finding>| findings.into_iter().map(|f| (f.line, f.what)).collect::<Vec<_>>();
    let on = |line: usize, name: &str| (line, format!("depends on {name}"));
    assert_eq!(told(foreign(&file, SCHEMAS_MAY_USE)), [on(6, "recorder"), on(5, "tokio")]);
    assert_eq!(told(coupled(&file)), [on(6, "recorder")]);
    let terms = |line: usize, name: &str| (line, format!("has its own terms for {name}"));
    assert_eq!(told(own_versions(&file)), [terms(7, "url"), terms(9, "uuid")]);
}
