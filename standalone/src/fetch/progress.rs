//! What the user sees of the slow steps.

use std::fmt;

use crate::terminal;

/// Where progress goes.
#[derive(Clone, Debug)]
pub struct Progress {
    shown: bool,
}

/// A slow step under way.
#[derive(Debug)]
pub(super) struct Step {
    shown: Option<terminal::Step>,
    total_bytes: u64,
}

impl Progress {
    /// To standard error.
    pub fn stderr() -> Self {
        Self { shown: true }
    }

    /// Nowhere.
    pub fn silent() -> Self {
        Self { shown: false }
    }

    /// Begins a step of so many bytes.
    pub(super) fn begin(&self, what: impl Into<String>, total_bytes: u64) -> Step {
        Step { shown: self.shown.then(|| terminal::Step::begin(what)), total_bytes }
    }
}

impl Step {
    /// Shows how far it is.
    pub(super) fn at(&mut self, bytes: u64) {
        if let Some(step) = &mut self.shown {
            let percent = (bytes * 100).checked_div(self.total_bytes).unwrap_or(0).min(100);
            step.progress(format_args!("{} of {} MB ({percent} %)", megabytes(bytes), megabytes(self.total_bytes)));
        }
    }

    /// Ends the step.
    pub(super) fn done(self, result: impl fmt::Display) {
        if let Some(step) = self.shown {
            step.done(result);
        }
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
