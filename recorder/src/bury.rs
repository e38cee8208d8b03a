//! The dead letters of a range: those that were found by reading it, and those whose rows ClickHouse has refused.

use async_nats::jetstream::stream::Stream;
use bytes::Bytes;

use crate::broker;
use crate::consume::Envelope;
use crate::dead_letter;
use crate::hand::Hand;
use crate::plan::{self, Context, Letters};
use crate::protocol::TokenBase;
use crate::record::Shared;
use crate::write::Refusal;

/// Why dead letters were not stored. The range is repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// NATS did not take one.
    #[error(transparent)]
    Publish(#[from] dead_letter::Error),
    /// NATS did not say what the line of a refused row is.
    #[error(transparent)]
    Broker(#[from] broker::Error),
    /// The stream does not have it any more.
    #[error("message {0} holds a refused row and is not in the stream any more")]
    Gone(u64),
}

/// Publishes and stores them.
pub async fn bury(
    shared: &Shared,
    stream: &Stream,
    (context, base): (Context<'_>, &TokenBase),
    hand: &Hand,
    refusals: Vec<Refusal>,
) -> Result<(), Error> {
    let refused = refused(stream, context, &hand.messages, refusals).await?;
    for (part, cells) in [("", &hand.plan.dead_letters), (":refused", &refused)] {
        for letter in cells.values().flatten() {
            let (id, reason) = (letter.id().to_string(), letter.reason.as_str());
            tracing::warn!(
                partition = context.partition,
                id,
                stage = letter.stage,
                reason,
                "an event is a dead letter"
            );
        }
        dead_letter::publish(&shared.jetstream, cells.values().flatten()).await?;
        shared.writer.write_dead_letters(base, part, cells).await;
    }
    Ok(())
}

/// The letters of refused rows. Their lines are read from the stream once more: refusals are rare, and every range would
/// have to keep its messages for them.
async fn refused(
    stream: &Stream,
    context: Context<'_>,
    messages: &[Envelope],
    refusals: Vec<Refusal>,
) -> Result<Letters, Error> {
    let (mut letters, mut at_hand) = (Letters::new(), None::<(usize, Bytes)>);
    for Refusal { origin, reason } in refusals {
        let Some(message) = messages.get(origin.message) else { continue };
        let payload = match at_hand.take() {
            Some((index, payload)) if index == origin.message => payload,
            _ => match broker::message(stream, message.seq).await? {
                Some((id, payload)) if is_same(message, &id, &payload) => payload,
                _ => return Err(Error::Gone(message.seq)),
            },
        };
        if let Some((day, letter)) = plan::refused(context, (message, &payload), origin, reason) {
            letters.entry(day).or_default().push(letter);
        }
        at_hand = Some((origin.message, payload));
    }
    Ok(letters)
}

/// Whether these are a message's id and bytes: after a loss another one can stand at its place.
fn is_same(message: &Envelope, id: &str, payload: &Bytes) -> bool {
    id == message.id && crc32c::crc32c(payload) == message.checksum
}
