//! A stream's events, ready to be sent, each with the output tokens it brings.

use bytes::{Bytes, BytesMut};

/// Collects events in one buffer and hands them out as slices of it.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    ends: Vec<(usize, u64)>,
}

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    pub(super) tokens: u64,
}

impl Frames {
    /// An event without a name.
    pub(super) fn data(&mut self, data: &str, tokens: u64) {
        self.extend(&["data: ", data, "\n\n"], tokens);
    }

    /// An event with a name.
    pub(super) fn event(&mut self, name: &str, data: &str, tokens: u64) {
        self.extend(&["event: ", name, "\ndata: ", data, "\n\n"], tokens);
    }

    /// Bytes that are sent together, framed already.
    pub(super) fn raw(&mut self, text: &str, tokens: u64) {
        self.extend(&[text], tokens);
    }

    fn extend(&mut self, parts: &[&str], tokens: u64) {
        for part in parts {
            self.buffer.extend_from_slice(part.as_bytes());
        }
        self.ends.push((self.buffer.len(), tokens));
    }

    pub(super) fn finish(self) -> Vec<Frame> {
        let mut rest = self.buffer.freeze();
        let mut start = 0;
        let cut = |(end, tokens): (usize, u64)| {
            let bytes = rest.split_to(end - start);
            start = end;
            Frame { bytes, tokens }
        };
        self.ends.into_iter().map(cut).collect()
    }
}
