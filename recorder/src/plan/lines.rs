//! The lines of a range's messages, read one message after another.

use bytes::Bytes;
use schemas::price::{Book, Memo};
use uuid::Uuid;

use super::{Origin, Tables};
use crate::decode::{self, Poison};
use crate::rows::LetterId;

/// Every line of a range, read and priced, as if none was recorded before: what takes the longest, and depends on nothing
/// but the range. Of the messages' bytes only those are kept that are no events.
#[derive(Debug, Default)]
pub struct Decoded {
    pub(super) lines: Vec<(Origin, Line)>,
    pub(super) rows: Tables,
    /// Dead letters that came again, with the numbers of their messages.
    pub(super) replays: Vec<(usize, LetterId, Bytes)>,
}

/// What a line is.
#[derive(Debug)]
pub(super) enum Line {
    /// An event: its number, and whether its tokens are known and their price is not.
    Event { epoch: Uuid, seq: u64, unpriced: bool },
    /// None, and its bytes.
    Poison(Box<(Poison, Bytes)>),
}

/// Reads messages in the order of their range.
pub struct Decoder<'a> {
    partition: u16,
    prices: Memo<'a>,
    messages: usize,
    decoded: Decoded,
}

impl<'a> Decoder<'a> {
    /// Before the first message.
    pub fn new(partition: u16, book: &'a Book) -> Self {
        Self { partition, prices: Memo::new(book), messages: 0, decoded: Decoded::default() }
    }

    /// Reads the next message. Dead letters that came again are no packs.
    pub fn read(&mut self, replay: Option<LetterId>, payload: &Bytes) {
        let message = self.messages;
        self.messages += 1;
        if let Some(letter) = replay {
            self.decoded.replays.push((message, letter, payload.clone()));
            return;
        }
        for (line, text) in schemas::pack::lines(payload).enumerate() {
            let origin = Origin { message, line };
            let read = match decode::decode(text, self.partition) {
                Ok(event) => {
                    let (epoch, seq) = (event.head.epoch, event.head.seq);
                    Line::Event { epoch, seq, unpriced: self.decoded.rows.push(&mut self.prices, event, origin) }
                }
                // A copy: a slice would keep the whole message.
                Err(poison) => Line::Poison(Box::new((poison, Bytes::copy_from_slice(text)))),
            };
            self.decoded.lines.push((origin, read));
        }
    }

    /// All that was read.
    pub fn finish(self) -> Decoded {
        self.decoded
    }
}
