//! An error of ours, before it is put into the caller's dialect.

use schemas::outcome::ErrorClass;

/// What the caller is told when it is we who answer.
#[derive(Clone, Copy, Debug)]
pub struct OwnError<'a> {
    /// The HTTP status that goes with it.
    pub status: u16,
    /// What went wrong.
    pub class: ErrorClass,
    /// What happened and what to do, in words that the caller may read.
    pub message: &'a str,
    /// The request field at fault.
    pub param: Option<&'a str>,
    /// Our request id.
    pub request_id: &'a str,
}
