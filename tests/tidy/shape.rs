//! How files and folders are named and opened.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Finding, assert_none};
use crate::source::{SourceFile, code_of, line_of, paths, rust_files};

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "shared", "stuff"];

const FORMATS: &str = "gateway/src/formats";

#[test]
fn every_file_says_what_it_is() {
    let unsaid = |file: &SourceFile| !file.text.starts_with("//! ") && !file.path.ends_with("/tests.rs");
    let findings: Vec<Finding> = rust_files()
        .iter()
        .filter(|file| unsaid(file))
        .map(|file| Finding::new(&file.path, 1, "opens without //!"))
        .collect();
    assert_none(
        "every Rust file opens with a //! line that says what it is",
        "write that line; if that is hard, the file holds more than one thing",
        &findings,
    );
}

#[test]
fn names_mean_something() {
    assert_none(
        &format!("no file or folder is named {}", EMPTY_NAMES.join(", ")),
        "name the thing that is inside, or move it to where it is used",
        &empty_names(&paths()),
    );
}

#[test]
fn a_module_with_parts_is_a_folder_with_mod_rs() {
    assert_none(
        "a module with parts is folder/mod.rs, never folder.rs beside folder/",
        "move the file into the folder as mod.rs",
        &split_modules(&paths()),
    );
}

#[test]
fn all_formats_have_the_same_files() {
    let folders = formats(&paths());
    assert!(folders.len() >= 2 || folders.is_empty(), "one format alone has no siblings: {folders:?}");
    assert_none(
        &format!("the folders in {FORMATS} have files of the same names: learn one, know all"),
        "move the code to the file that its siblings use for the same purpose",
        &uneven(FORMATS, &folders),
    );
}

#[test]
fn exceptions_from_lints_have_a_reason() {
    let findings: Vec<Finding> = rust_files().iter().flat_map(unreasoned).collect();
    assert_none(
        "#[allow] and #[expect] carry a reason",
        "add reason = \"...\", or better, do what the lint asks",
        &findings,
    );
}

fn empty_names(paths: &[String]) -> Vec<Finding> {
    let named = |path: &&String| {
        path.split('/').any(|part| EMPTY_NAMES.contains(&part.split_once('.').map_or(part, |(stem, _)| stem)))
    };
    paths.iter().filter(named).map(|path| Finding::new(path, 0, "has a name that says nothing")).collect()
}

fn split_modules(paths: &[String]) -> Vec<Finding> {
    let folders: BTreeSet<&str> =
        paths.iter().filter_map(|path| path.rsplit_once('/')).map(|(folder, _)| folder).collect();
    let split = |path: &&String| path.strip_suffix(".rs").is_some_and(|stem| folders.contains(stem));
    paths.iter().filter(split).map(|path| Finding::new(path, 0, "has a folder of the same name beside it")).collect()
}

/// The file names in every folder of a format. `translate` goes from one format to another and is none.
fn formats(paths: &[String]) -> BTreeMap<String, BTreeSet<String>> {
    let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in paths.iter().filter_map(|path| path.strip_prefix(FORMATS)?.strip_prefix('/')) {
        if let Some((folder, file)) = path.split_once('/').filter(|(folder, _)| *folder != "translate") {
            folders.entry(folder.to_owned()).or_default().insert(file.to_owned());
        }
    }
    folders
}

fn uneven(parent: &str, folders: &BTreeMap<String, BTreeSet<String>>) -> Vec<Finding> {
    let all: BTreeSet<&String> = folders.values().flatten().collect();
    let mut findings = Vec::new();
    for (folder, files) in folders {
        for file in all.iter().filter(|file| !files.contains(**file)) {
            let having: Vec<&str> =
                folders.iter().filter(|(_, files)| files.contains(*file)).map(|(folder, _)| folder.as_str()).collect();
            let what = format!("has no {file}, but {} has", having.join(", "));
            findings.push(Finding::new(&format!("{parent}/{folder}"), 0, what));
        }
    }
    findings
}

fn unreasoned(file: &SourceFile) -> Vec<Finding> {
    let code = code_of(&file.text);
    let mut findings = Vec::new();
    for opening in ["[allow(", "[expect("] {
        for (at, _) in code.match_indices(opening) {
            let attribute = code[at..].split(']').next().unwrap_or_default();
            if !attribute.contains("reason =") {
                findings.push(Finding::new(&file.path, line_of(&code, at), "has no reason"));
            }
        }
    }
    findings
}

#[test]
fn bad_shapes_are_found() {
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let found = |findings: Vec<Finding>| findings.into_iter().map(|finding| finding.path).collect::<Vec<_>>();

    let paths = owned(&["a/utils.rs", "a/misc/b.rs", "a/common", "a/commonly.rs", "a/uncommon/mod.rs"]);
    assert_eq!(found(empty_names(&paths)), ["a/utils.rs", "a/misc/b.rs", "a/common"]);

    let paths = owned(&["a/b.rs", "a/b/c.rs", "a/d/mod.rs", "a/e.rs"]);
    assert_eq!(found(split_modules(&paths)), ["a/b.rs"]);

    let paths = owned(&[
        "gateway/src/formats/mod.rs",
        "gateway/src/formats/x/mod.rs",
        "gateway/src/formats/x/usage.rs",
        "gateway/src/formats/y/mod.rs",
        "gateway/src/formats/y/bill.rs",
        "gateway/src/formats/translate/x_to_y/request.rs",
    ]);
    let findings = uneven(FORMATS, &formats(&paths));
    let told: Vec<String> = findings.into_iter().map(|finding| format!("{} {}", finding.path, finding.what)).collect();
    assert_eq!(
        told,
        ["gateway/src/formats/x has no bill.rs, but y has", "gateway/src/formats/y has no usage.rs, but x has"]
    );

    let file =
        SourceFile::new("a.rs", "#[allow(x)]\n#[expect(y, reason = \"z\")]\nfn a() {}\n// #[allow(z)]\n#![allow(w)]\n");
    let lines: Vec<usize> = unreasoned(&file).into_iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [1, 5]);
}
