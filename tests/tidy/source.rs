//! The workspace's own files, and their code without comments and literals.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of this repository.
pub struct SourceFile {
    /// Path from the workspace's root, with `/`.
    pub path: String,
    pub text: String,
}

impl SourceFile {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether it holds only tests.
    pub fn is_test(&self) -> bool {
        let path = &self.path;
        path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// Every Rust file of the workspace, in the order of their paths.
pub fn rust_files() -> Vec<SourceFile> {
    let files = files_ending(".rs");
    assert!(files.len() > 30, "only {} Rust files found: is {} the workspace?", files.len(), root().display());
    files
}

/// Every file of the workspace with that ending, in the order of their paths.
pub fn files_ending(ending: &str) -> Vec<SourceFile> {
    let mut paths: Vec<String> = paths().into_iter().filter(|path| path.ends_with(ending)).collect();
    paths.sort();
    let read = |path: String| {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        SourceFile { path, text }
    };
    paths.into_iter().map(read).collect()
}

pub fn read(path: &str) -> SourceFile {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    SourceFile { path: path.to_owned(), text }
}

/// Paths of all files but those that are built, fetched or hidden.
pub fn paths() -> Vec<String> {
    let mut found = Vec::new();
    walk(&root(), "", &mut found);
    found
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let entry = entry.expect("the entry can be read");
        let name = entry.file_name().into_string().expect("file names are UTF-8");
        let kind = entry.file_type().expect("the entry has a type");
        let built = match prefix {
            "" => matches!(name.as_str(), "target" | "data"),
            "gateway/fuzz" => matches!(name.as_str(), "target" | "corpus" | "artifacts" | "coverage"),
            _ => false,
        };
        if built || name.starts_with('.') || matches!(name.as_str(), "node_modules" | "__pycache__") {
            continue;
        }
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if kind.is_dir() {
            walk(&entry.path(), &path, found);
        } else {
            found.push(path);
        }
    }
}

/// The code with every comment and the content of every string and character literal replaced by blanks; lines stay
/// where they are.
pub fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match literal_or_comment(bytes, at) {
            Some(end) => end.min(bytes.len()),
            None => {
                at += 1;
                continue;
            }
        };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(code).expect("blanks replace whole characters")
}

/// Where the comment or literal that starts here ends.
fn literal_or_comment(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => Some(at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(at + block_comment(rest)),
        [b'"', ..] => Some(at + quoted(rest, b'"')),
        [b'r', b'"' | b'#', ..] | [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => {
            raw_string(rest).map(|len| at + len)
        }
        [b'\'', b'\\', ..] => Some(at + quoted(rest, b'\'')),
        // A character, unless it is a lifetime: 'a' and 'é', but not 'a.
        [b'\'', ..] => {
            let close = rest.iter().skip(1).take(5).position(|byte| *byte == b'\'')?;
            let one = std::str::from_utf8(&rest[1..=close]).is_ok_and(|inner| inner.chars().count() == 1);
            one.then_some(at + close + 2)
        }
        _ => None,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(rest: &[u8]) -> Option<usize> {
    let start = rest.iter().position(|byte| *byte == b'r')? + 1;
    let hashes = rest[start..].iter().take_while(|byte| **byte == b'#').count();
    // `r#type` is an identifier.
    if rest.get(start + hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let body = start + hashes + 1;
    let length = rest[body..].windows(close.len()).position(|window| window == close).unwrap_or(rest.len());
    Some(body + length + close.len())
}

/// Every identifier in code, with the line it stands in.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().flat_map(|(at, line)| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .map(move |word| (at + 1, word))
    })
}

/// The line, from 1, of a byte.
pub fn line_of(text: &str, byte: usize) -> usize {
    text[..byte].matches('\n').count() + 1
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = r###"
let a = "b /* c"; // d
/* e /* f */ g */ let h: &'i str = r#"j " k"#;
let l = 'm'; let n = '\''; let o = b"p"; let r#q = br"r"; let s = 'é';
"###;
    let code = code_of(text);
    let found: Vec<&str> = words(&code).map(|(_, word)| word).collect();
    let expected =
        ["let", "a", "let", "h", "i", "str", "let", "l", "let", "n", "let", "o", "b", "let", "r", "q", "let", "s"];
    assert_eq!(found, expected, "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
}
