//! Where a page of requests ended.

use std::fmt;

use schemas::time::Timestamp;
use uuid::Uuid;

use super::{Error, Range};

/// Digits of a time: enough until the year 2286, few enough for `DateTime64(6)`.
const DIGITS_MAX: usize = 16;

/// The last row of a page, and the range that the first page asked for. Opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The range of the first page.
    pub range: Range,
    /// When the last request of the page arrived.
    pub received_at: Timestamp,
    /// Its id.
    pub request_id: Uuid,
}

impl Cursor {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::new("cursor", "is not a cursor: take next_cursor of the page before, as it is");
        let mut parts = text.splitn(4, '.');
        let mut time = || {
            let digits = parts.next()?;
            let fits = digits.len() <= DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
            fits.then(|| digits.parse().ok().map(Timestamp::from_micros))?
        };
        let (from, to, received_at) = (time().ok_or_else(wrong)?, time().ok_or_else(wrong)?, time().ok_or_else(wrong)?);
        let request_id = parts.next().and_then(|text| Uuid::try_parse(text).ok()).ok_or_else(wrong)?;
        Ok(Self { range: Range { from, to }, received_at, request_id })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = [self.range.from, self.range.to, self.received_at].map(Timestamp::as_micros);
        let [from, to, received_at] = micros;
        write!(f, "{from}.{to}.{received_at}.{}", self.request_id)
    }
}
