//! What a rule found, and how a failed rule tells it.

/// One place that breaks a rule.
#[derive(Debug)]
pub struct Finding {
    /// Path from the workspace's root.
    pub path: String,
    /// Line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

/// Fails the test with every finding, the rule, and what to do about it.
#[track_caller]
pub fn assert_none(rule: &str, way_out: &str, findings: &[Finding]) {
    let places: Vec<String> = findings
        .iter()
        .map(|Finding { path, line, what }| match line {
            0 => format!("  {path}: {what}"),
            line => format!("  {path}:{line}: {what}"),
        })
        .collect();
    assert!(findings.is_empty(), "\nrule: {rule}\n{}\nway out: {way_out}\n", places.join("\n"));
}
