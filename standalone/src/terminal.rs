//! The one place that writes to the user's terminal: results to standard output, progress and complaints to standard error.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often progress is shown where it cannot be drawn over.
const QUIET: Duration = Duration::from_secs(3);

/// Writes a line of result to standard output.
///
/// A closed pipe is no failure of the command: `weir check | head -1` must not complain.
pub fn out(line: impl fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes a line of progress or complaint to standard error.
pub fn err(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A slow step: says that it has begun, how far it is, and that it is done and how long it took.
#[derive(Debug)]
pub struct Step {
    what: String,
    began: Instant,
    shown: Instant,
    drawn: bool,
}

impl Step {
    /// Begins a step.
    pub fn begin(what: impl Into<String>) -> Self {
        let step = Self { what: what.into(), began: Instant::now(), shown: Instant::now(), drawn: false };
        err(format_args!("{} ...", step.what));
        step
    }

    /// Shows how far it is: on a terminal in place, elsewhere as a line every few seconds.
    pub fn progress(&mut self, state: impl fmt::Display) {
        let mut stderr = std::io::stderr().lock();
        if stderr.is_terminal() {
            let _ = write!(stderr, "\r\x1b[K  {state}");
            let _ = stderr.flush();
            self.drawn = true;
        } else if self.shown.elapsed() >= QUIET {
            let _ = writeln!(stderr, "  {state}");
            self.shown = Instant::now();
        }
    }

    /// Ends the step.
    pub fn done(self, result: impl fmt::Display) {
        let erase = if self.drawn { "\r\x1b[K" } else { "" };
        err(format_args!("{erase}  {result} ({:.1} s)", self.began.elapsed().as_secs_f64()));
    }
}

/// How a column of a table is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Lays rows out in columns under their names.
pub fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
    let names: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let lines: Vec<&[String]> = std::iter::once(names.as_slice()).chain(rows.iter().map(Vec::as_slice)).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| lines.iter().map(|line| cell(line, at).chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        let mut laid = String::from(" ");
        for (at, ((_, align), width)) in columns.iter().zip(&widths).enumerate() {
            let cell = cell(line, at);
            laid += &match align {
                Align::Left => format!(" {cell:<width$} "),
                Align::Right => format!(" {cell:>width$} "),
            };
        }
        text += laid.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["caf\u{e9}".to_owned(), "1".to_owned()], vec!["a".to_owned(), "1000".to_owned()]];
        let laid = table(&[("name", Align::Left), ("n", Align::Right)], &rows);
        assert_eq!(laid, "  name     n\n  caf\u{e9}     1\n  a     1000\n");
    }
}
