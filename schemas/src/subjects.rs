//! Names in NATS: subjects, streams, the KV bucket and its keys.

use std::time::Duration;

use uuid::Uuid;

use crate::outcome::Kind;

/// Most partitions a deployment can have.
pub const PARTITIONS_MAX: u16 = 64;
/// How long JetStream remembers message ids. Only for retries within seconds: numbers in events do the rest.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// The KV bucket in which recorders keep a [`crate::progress::Progress`] per partition.
pub const PROGRESS_BUCKET: &str = "weir_v1_progress";

/// The KV bucket in which gateways keep a [`crate::heads::LedgerHead`] per ledger, under its epoch.
pub const LEDGERS_BUCKET: &str = "weir_v1_ledgers";

/// The KV bucket in which running gateways tell each other what all of them should know, a key per topic and gateway.
pub const PEERS_BUCKET: &str = "weir_v1_peers";

/// The KV bucket in which recorders share out the partitions between them, all in one value under
/// [`RECORDERS_KEY`]: it is for liveness only, [`crate::progress::Progress`] keeps the fence.
pub const RECORDERS_BUCKET: &str = "weir_v1_recorders";

/// The key in [`RECORDERS_BUCKET`].
pub const RECORDERS_KEY: &str = "board";

/// `weir.v1.<kind>.<partition>`: where packs of one kind and partition are published.
pub fn subject(kind: Kind, partition: u16) -> String {
    format!("weir.v1.{kind}.{partition}")
}

/// The subjects that the stream of a partition holds: all kinds, so that one range covers a request's whole story.
pub fn partition_subjects(partition: u16) -> String {
    format!("weir.v1.*.{partition}")
}

/// The JetStream stream of a partition.
pub fn stream(partition: u16) -> String {
    format!("WEIR_V1_{partition}")
}

/// The stream that dead letters are published to, one message per event.
pub const DEAD_LETTER_STREAM: &str = "WEIR_V1_DEAD";

/// Every subject of [`DEAD_LETTER_STREAM`]. Not below `weir.v1`, where [`partition_subjects`] would hold them too.
pub const DEAD_LETTER_SUBJECTS: &str = "weir.dead.v1.*";

/// The subject of a partition's dead letters.
pub fn dead_letter_subject(partition: u16) -> String {
    format!("weir.dead.v1.{partition}")
}

/// The key of a partition's progress in [`PROGRESS_BUCKET`].
pub fn progress_key(partition: u16) -> String {
    format!("partition.{partition}")
}

/// `Nats-Msg-Id` of a pack; a retry sends identical bytes under the same id.
pub fn message_id(epoch: Uuid, partition: u16, kind: Kind, first_seq: u64) -> String {
    format!("{epoch}:{partition}:{kind}:{first_seq}")
}

/// The partition of a request: the low 64 bits of a UUIDv7 are random, so they spread evenly as they are.
pub fn partition_of(request_id: Uuid, partitions: u16) -> u16 {
    let (_, low) = request_id.as_u64_pair();
    // The remainder is below `partitions`, which is a u16.
    u16::try_from(low % u64::from(partitions.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_contract() {
        assert_eq!(subject(Kind::Stream, 3), "weir.v1.stream.3");
        assert_eq!(partition_subjects(3), "weir.v1.*.3");
        assert_eq!(
            message_id(Uuid::nil(), 0, Kind::Candidate, 7),
            "00000000-0000-0000-0000-000000000000:0:candidate:7"
        );
    }

    #[test]
    fn requests_spread_over_partitions() {
        let mut counts = [0u32; 8];
        for _ in 0..8000 {
            counts[usize::from(partition_of(Uuid::now_v7(), 8))] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
