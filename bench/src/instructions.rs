//! `bench instructions`: counts what the hot paths execute, and compares with what they did.
//!
//! Counts of instructions, unlike times, are the same on a busy machine. They depend on the compiler, the C library's
//! allocator and copying, and on which instructions the processor has; all but the last two are pinned, and what these
//! do is small beside the tolerance.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::hot_paths::{NAMES, REPEATED};
use crate::report;

/// What is expected. Change it on purpose, with `--write`, and say why.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");
/// A rise of more than this fails.
const TOLERANCE_PERCENT: u64 = 5;

/// What to do with the counts.
#[derive(clap::Args)]
pub struct Options {
    /// Write them down as what is expected from now on.
    #[arg(long)]
    pub write: bool,
}

/// Instructions a repetition, by path.
type Counts = BTreeMap<String, u64>;

/// Counts and compares.
pub fn run(options: &Options) -> Result<(), Error> {
    needs_avx2()?;
    let mut counts = Counts::new();
    for name in NAMES {
        counts.insert(name.to_owned(), count(name)?);
    }
    if options.write {
        let text = serde_json::to_string_pretty(&counts).unwrap_or_default() + "\n";
        std::fs::write(BASELINE, text).map_err(Error::io(format!("writing {BASELINE}")))?;
        report::progress(&table(&counts, &counts));
        return Ok(());
    }
    let text = std::fs::read(BASELINE).map_err(Error::io(format!("reading {BASELINE}")))?;
    let expected: Counts = serde_json::from_slice(&text).map_err(|error| Error::Setup(error.to_string()))?;
    report::progress(&table(&counts, &expected));
    let risen = risen(&counts, &expected);
    if risen.is_empty() {
        return Ok(());
    }
    Err(Error::Setup(format!(
        "more than {TOLERANCE_PERCENT} % more instructions than before, or a path that nothing is known of: {}. If that \
         is meant, run `cargo run --profile counted -p bench -- instructions --write` and say why in the commit",
        risen.join("; ")
    )))
}

/// The paths that execute more than they may.
fn risen(counts: &Counts, expected: &Counts) -> Vec<String> {
    let is_risen = |(name, count): &(&String, &u64)| {
        expected.get(*name).is_none_or(|before| **count * 100 > before * (100 + TOLERANCE_PERCENT))
    };
    counts.iter().filter(is_risen).map(|(name, _)| name.clone()).collect()
}

fn table(counts: &Counts, expected: &Counts) -> String {
    let mut text = format!("{:<48}{:>12}{:>12}\n", "instructions", "expected", "counted");
    for (name, count) in counts {
        let before = expected.get(name).map_or("-".to_owned(), u64::to_string);
        let _infallible = writeln!(text, "{name:<48}{before:>12}{count:>12}");
    }
    text
}

/// The instructions of one repetition of a path.
fn count(name: &str) -> Result<u64, Error> {
    let own = std::env::current_exe().map_err(Error::io("the path of this program"))?;
    let folder = tempfile::tempdir().map_err(Error::io("a folder for callgrind"))?;
    let file = folder.path().join("counts");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted_repetitions*"]);
    valgrind.arg(format!("--callgrind-out-file={}", file.display())).arg(own).args(["hot-path", name]);
    let output = valgrind.stdin(Stdio::null()).output().map_err(Error::io("starting valgrind (Debian: valgrind)"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Setup(format!("valgrind could not run {name:?}: {said}")));
    }
    total(&file).map(|total| total / REPEATED).filter(|count| *count > 0).ok_or_else(|| {
        Error::Setup(format!(
            "callgrind has counted nothing of {name:?}: is the function that it looks for still there?"
        ))
    })
}

/// The sum that callgrind's file ends with.
fn total(file: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Searching text takes other instructions on processors without AVX2: counts from there say nothing here.
fn needs_avx2() -> Result<(), Error> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").map_err(Error::io("reading /proc/cpuinfo"))?;
    if cpus.lines().any(|line| line.starts_with("flags") && line.split_whitespace().any(|flag| flag == "avx2")) {
        return Ok(());
    }
    Err(Error::Setup("the expected counts are those of an x86-64 processor with AVX2".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_told_and_a_fall_is_not() {
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let expected: Counts = counts(&[("a", 1000), ("b", 1000), ("c", 1000)]);
        assert!(risen(&counts(&[("a", 1050), ("b", 10), ("c", 1000)]), &expected).is_empty());
        assert_eq!(risen(&counts(&[("a", 1051), ("b", 999), ("new", 1)]), &expected), ["a", "new"]);
    }

    #[test]
    fn every_path_runs() {
        for name in NAMES {
            crate::hot_paths::run(&crate::hot_paths::Which { name: name.to_owned() }).unwrap();
        }
        assert!(crate::hot_paths::run(&crate::hot_paths::Which { name: String::new() }).is_err());
    }
}
