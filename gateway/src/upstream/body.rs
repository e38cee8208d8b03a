//! Bodies in parts.

use bytes::Bytes;

/// One part as it is; several joined.
pub fn join(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        0 | 1 => parts.pop().unwrap_or_default(),
        _ => parts.concat().into(),
    }
}
