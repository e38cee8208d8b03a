//! The one place that writes to the user's terminal.

use std::fmt;
use std::io::Write;

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
