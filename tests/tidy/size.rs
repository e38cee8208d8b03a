//! How long files may be. Functions are clippy's: `too_many_lines` is denied at 70 lines.

use crate::finding::{Finding, assert_none};
use crate::source::{SourceFile, rust_files};

const PRODUCTION_LINES_MAX: usize = 400;
const MAIN_LINES_MAX: usize = 59;
const INLINE_TEST_LINES_MAX: usize = 100;

/// Files that are longer than allowed, with their length. An entry may only shrink or go; none may be added.
const LONGER: &[(&str, usize)] = &[];

#[test]
fn production_files_are_short() {
    let findings = too_long(&rust_files(), LONGER);
    assert_none(
        &format!("a production file has at most {PRODUCTION_LINES_MAX} lines, without its tests"),
        "split the file along what it does, and name the parts for it",
        &findings,
    );
}

#[test]
fn main_only_starts_the_service() {
    let findings = long_mains(&rust_files());
    assert_none(
        &format!("main.rs has at most {MAIN_LINES_MAX} lines: arguments, configuration, bind, run, exit code"),
        "move what a test would want to call into the library",
        &findings,
    );
}

#[test]
fn inline_tests_are_short() {
    let findings = long_inline_tests(&rust_files());
    assert_none(
        &format!("tests inside a production file have at most {INLINE_TEST_LINES_MAX} lines"),
        "move them to tests.rs in the same folder",
        &findings,
    );
}

/// The lines of production code and of tests at the end of the file.
fn count(text: &str) -> (usize, usize) {
    let lines: Vec<&str> = text.lines().collect();
    let opens = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    let production = lines.windows(2).position(opens).unwrap_or(lines.len());
    (production, lines.len() - production)
}

fn too_long(files: &[SourceFile], longer: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        let lines = count(&file.text).0;
        let allowed = longer.iter().find(|(path, _)| *path == file.path).map(|(_, lines)| *lines);
        match allowed {
            None if lines > PRODUCTION_LINES_MAX => {
                findings.push(Finding::new(&file.path, 0, format!("has {lines} lines")));
            }
            Some(allowed) if lines > allowed => {
                findings.push(Finding::new(&file.path, 0, format!("has grown from {allowed} to {lines} lines")));
            }
            Some(allowed) if lines < allowed => {
                findings.push(Finding::new(
                    &file.path,
                    0,
                    format!("has shrunk to {lines} lines: lower its entry in LONGER"),
                ));
            }
            _ => {}
        }
    }
    for (path, _) in longer.iter().filter(|(path, _)| files.iter().all(|file| file.path != *path)) {
        findings.push(Finding::new(path, 0, "is gone: remove its entry from LONGER"));
    }
    findings
}

fn long_mains(files: &[SourceFile]) -> Vec<Finding> {
    let mains = files.iter().filter(|file| file.path.ends_with("src/main.rs"));
    let long = mains.map(|file| (file, file.text.lines().count())).filter(|(_, lines)| *lines > MAIN_LINES_MAX);
    long.map(|(file, lines)| Finding::new(&file.path, 0, format!("has {lines} lines"))).collect()
}

fn long_inline_tests(files: &[SourceFile]) -> Vec<Finding> {
    let counted = files.iter().filter(|file| !file.is_test()).map(|file| (file, count(&file.text)));
    counted
        .filter(|(_, (_, tests))| *tests > INLINE_TEST_LINES_MAX)
        .map(|(file, (production, tests))| {
            Finding::new(&file.path, production + 1, format!("has {tests} lines of tests"))
        })
        .collect()
}

#[test]
fn long_files_are_found_and_the_list_can_only_shrink() {
    let production = "x\n".repeat(PRODUCTION_LINES_MAX);
    let long = format!("{production}x\n");
    let tested = format!("{production}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(INLINE_TEST_LINES_MAX));
    let files = [
        SourceFile::new("a/src/fine.rs", &production),
        SourceFile::new("a/src/long.rs", &long),
        SourceFile::new("a/src/tested.rs", &tested),
        SourceFile::new("a/src/tests.rs", &long),
        SourceFile::new("a/src/main.rs", &"x\n".repeat(MAIN_LINES_MAX + 1)),
    ];
    let found = |findings: Vec<Finding>| findings.into_iter().map(|finding| finding.path).collect::<Vec<_>>();
    assert_eq!(found(too_long(&files, &[])), ["a/src/long.rs"]);
    assert_eq!(found(too_long(&files, &[("a/src/long.rs", 401)])), [""; 0]);
    assert_eq!(found(too_long(&files, &[("a/src/long.rs", 400)])), ["a/src/long.rs"]);
    assert_eq!(found(too_long(&files, &[("a/src/long.rs", 402)])), ["a/src/long.rs"]);
    assert_eq!(found(too_long(&files, &[("a/src/long.rs", 401), ("gone.rs", 500)])), ["gone.rs"]);
    assert_eq!(found(long_inline_tests(&files)), ["a/src/tested.rs"]);
    assert_eq!(found(long_mains(&files)), ["a/src/main.rs"]);
}
