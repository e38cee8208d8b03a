//! Recording anew what was recorded and has no row any more.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use schemas::progress::{self, Progress, SeqSet};
use schemas::subjects::PROGRESS_BUCKET;
use schemas::time::Timestamp;
use uuid::Uuid;

use super::Error;
use crate::broker;
use crate::commit::ProgressKey;
use crate::consume::{Envelope, Reader};
use crate::decode::Identity;
use crate::letters::REPLAY_HEADER;
use crate::protocol::{self, Numbers, Since, Stored};
use crate::record::Shared;
use crate::rows::LetterId;
use crate::stored;

/// Each event is an insert of its own when it comes again: that many a second leave room for everything else.
const EVENTS_PER_SECOND: u64 = 200;
/// Longest wait for the next message of a stream that has more.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the server to take an event.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the last event went that was sent again into a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    incarnation: u32,
    stream_seq: u64,
}

impl Sent {
    /// Whether recorders have yet to come to it. A stream that was made anew does not hold it.
    fn is_under_way(self, committed: &Progress) -> bool {
        self.incarnation == committed.incarnation && committed.done < self.stream_seq
    }
}

/// What a look for lost events has found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// Lost events that no stream holds.
    pub(super) gone: u64,
    /// What was sent before has not been recorded everywhere: there it was not looked.
    pub(super) is_early: bool,
}

/// Puts every event into its stream again that is committed and not in ClickHouse, as far as the stream holds it, and notes
/// by partition where the last one went.
pub(super) async fn record(shared: &Shared, sent: &mut BTreeMap<u16, Sent>) -> Result<Round, Error> {
    let mut round = Round::default();
    for partition in 0..shared.config.nats.partitions {
        // First what is committed and then what is there: not the other way round.
        let Some(committed) = committed(shared, partition).await? else { continue };
        if sent.get(&partition).is_some_and(|sent| sent.is_under_way(&committed)) {
            round.is_early = true;
            continue;
        }
        let held = stored::find(&shared.clickhouse, partition, Since::Ever, Timestamp::now()).await?;
        let lost = lost(&committed.epochs, &held);
        let count = progress::count(lost.values().flat_map(SeqSet::ranges));
        if count > 0 {
            let again = Again { shared, partition, incarnation: committed.incarnation, lost };
            round.gone += count.saturating_sub(again.send(sent).await?);
        }
    }
    Ok(round)
}

/// How many of some events of a partition ClickHouse does not hold; `None` while they are not all committed.
pub(super) async fn missing(shared: &Shared, partition: u16, numbers: &Numbers) -> Result<Option<u64>, Error> {
    let committed = committed(shared, partition).await?.unwrap_or_default();
    if !protocol::added(&committed.epochs, numbers).is_empty() {
        return Ok(None);
    }
    let held = stored::find_numbers(&shared.clickhouse, partition, numbers, Timestamp::now()).await?;
    Ok(Some(progress::count(lost(numbers, &held).values().flat_map(SeqSet::ranges))))
}

async fn committed(shared: &Shared, partition: u16) -> Result<Option<Progress>, Error> {
    let bucket = broker::bucket(&shared.jetstream, &shared.config.nats, PROGRESS_BUCKET).await?;
    Ok(ProgressKey::new(bucket, partition).load().await?.map(|(committed, _)| committed))
}

/// What is committed and not held.
fn lost(committed: &Numbers, held: &[Stored]) -> Numbers {
    let mut there = Numbers::new();
    protocol::add_stored(&mut there, held);
    protocol::added(&there, committed)
}

struct Again<'a> {
    shared: &'a Shared,
    partition: u16,
    incarnation: u32,
    lost: Numbers,
}

impl Again<'_> {
    /// Reads all that the stream holds, and sends again what is lost. Returns how many events were found.
    async fn send(&self, last: &mut BTreeMap<u16, Sent>) -> Result<u64, Error> {
        let Shared { jetstream, config, connections, .. } = self.shared;
        let stream = broker::partition_stream(jetstream, &config.nats, self.partition).await?;
        if broker::info(&stream).await?.state.messages == 0 {
            return Ok(0);
        }
        let mut reader = Reader::open(&stream, 1, connections.clone()).await?;
        let mut sent = Numbers::new();
        let mut count = 0;
        loop {
            let next = tokio::time::timeout(READ_TIMEOUT, reader.next()).await;
            let message = next.map_err(|_| Error::Late(READ_TIMEOUT))??;
            for (line, text) in schemas::pack::lines(&message.payload).enumerate() {
                let Ok(Identity { epoch: Some(epoch), seq: Some(seq), .. }) = serde_json::from_slice(text) else {
                    continue;
                };
                let is_lost = self.lost.get(&epoch).is_some_and(|seqs| seqs.contains(seq));
                // An event may be in the stream several times.
                if is_lost && sent.entry(epoch).or_default().insert(seq) {
                    let stream_seq = self.publish(&message.envelope, line, text.to_vec()).await?;
                    last.insert(self.partition, Sent { incarnation: self.incarnation, stream_seq });
                    count += 1;
                    if count % EVENTS_PER_SECOND == 0 {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
            if message.envelope.pending == 0 {
                break;
            }
        }
        tracing::warn!(
            partition = self.partition,
            events = count,
            "events whose rows were lost are in the stream again"
        );
        Ok(count)
    }

    /// Returns its sequence in the stream.
    async fn publish(&self, message: &Envelope, line: usize, text: Vec<u8>) -> Result<u64, Error> {
        let (partition, incarnation, stream_seq) = (self.partition, self.incarnation, message.seq);
        let here = LetterId { partition, incarnation, stream_seq, line: u32::try_from(line).unwrap_or(u32::MAX) };
        let letter = message.replay.as_deref().copied().unwrap_or(here);
        let mut headers = HeaderMap::new();
        headers.insert(REPLAY_HEADER, letter.to_string().as_str());
        headers.insert(NATS_MESSAGE_ID, format!("anew:{letter}:{}", Uuid::now_v7()).as_str());
        let send = async {
            let sent = self.shared.jetstream.publish_with_headers(message.subject.clone(), headers, text.into()).await;
            sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
        };
        match tokio::time::timeout(PUBLISH_TIMEOUT, send).await {
            Ok(Ok(taken)) => {
                self.shared.metrics.recorded_anew();
                Ok(taken.sequence)
            }
            Ok(Err(reason)) => Err(Error::Publish(reason)),
            Err(_) => Err(Error::Late(PUBLISH_TIMEOUT)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Stored;

    #[test]
    fn what_was_sent_again_is_under_way_until_recorders_have_come_to_it_or_the_stream_is_another() {
        let sent = Sent { incarnation: 7, stream_seq: 20 };
        let committed = |incarnation, done| Progress { incarnation, done, ..Progress::default() };
        let under_way = [(7, 19), (7, 20), (8, 3)].map(|(of, done)| sent.is_under_way(&committed(of, done)));
        assert_eq!(under_way, [true, false, false]);
    }

    #[test]
    fn lost_is_what_is_committed_and_not_held() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let seqs = |contiguous, ahead: &[(u64, u64)]| SeqSet { contiguous, ahead: ahead.to_vec() };
        let committed = Numbers::from([(one, seqs(9, &[(12, 14)])), (other, seqs(3, &[]))]);
        let run = |epoch, first, last| Stored { epoch, first, last };
        let held = [run(one, 1, 4), run(one, 7, 13), run(other, 1, 5)];
        assert_eq!(lost(&committed, &held), Numbers::from([(one, seqs(0, &[(5, 6), (14, 14)]))]));
        assert_eq!(lost(&committed, &[run(one, 1, 20), run(other, 1, 3)]), Numbers::new());
        assert_eq!(lost(&committed, &[run(one, 1, 20)]), Numbers::from([(other, seqs(3, &[]))]));
    }
}
