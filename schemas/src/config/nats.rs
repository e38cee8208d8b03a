//! `[nats]`

use super::read::Section;
use super::{ByteSize, Span};
use crate::subjects::PARTITIONS_MAX;

/// Where events travel.
#[derive(Clone, Debug)]
pub struct Nats {
    /// Server addresses, separated by commas. May hold credentials, so it is not shown in errors.
    pub url: String,
    /// How many streams events are spread over, by request id. 1 to 64.
    pub partitions: u16,
    /// Replicas of every stream; 3 on a cluster.
    pub replicas: u8,
    /// Upper bound of all streams together; when it is reached the gateways keep events in their ledgers.
    pub max_bytes: ByteSize,
    /// How long recorded messages are kept for a second reading.
    pub max_age: Span,
}

impl Nats {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let nats = Self {
            url: section.or("url", "nats://127.0.0.1:4222".to_owned()),
            partitions: section.or("partitions", 1),
            replicas: section.or("replicas", 1),
            max_bytes: section.or("max_bytes", ByteSize::gib(4)),
            max_age: section.or("max_age", Span::secs(3 * 86_400)),
        };
        section.ensure((1..=PARTITIONS_MAX).contains(&nats.partitions), "partitions", "must be from 1 to 64");
        section.ensure((1..=5).contains(&nats.replicas), "replicas", "must be from 1 to 5");
        section.ensure(!nats.url.is_empty(), "url", "must not be empty");
        section.ensure(nats.max_bytes >= ByteSize::mib(64), "max_bytes", "must be at least 64MiB");
        section.finish();
        nats
    }
}
