//! `[recorder]`

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::Span;
use super::read::Section;

/// The writer.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// `/metrics`, `/healthz`, `/readyz`.
    pub ops_listen: SocketAddr,
    /// Most events in one range.
    pub max_range_events: usize,
    /// Longest time that a range is gathered.
    pub max_range_age: Span,
    /// How often closed hours are looked for whose rollups are not checked yet.
    pub seal_every: Span,
    /// A recorder that has given no sign of life for this long loses its partitions to the others.
    pub lease: Span,
}

impl Recorder {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let recorder = Self {
            ops_listen: section.or("ops_listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 9081))),
            max_range_events: section.or("max_range_events", 200_000),
            max_range_age: section.or("max_range_age", Span::secs(1)),
            seal_every: section.or("seal_every", Span::secs(60)),
            lease: section.or("lease", Span::secs(8)),
        };
        // ClickHouse splits an insert into blocks of 1,048,449 rows, and one token must name one block.
        let bounds = (1..=1_000_000).contains(&recorder.max_range_events);
        section.ensure(bounds, "max_range_events", "must be from 1 to 1000000");
        section.ensure(!recorder.max_range_age.0.is_zero(), "max_range_age", "must be more than 0");
        section.ensure(!recorder.seal_every.0.is_zero(), "seal_every", "must be more than 0");
        // Below a second an ordinary delay would look like death; above a minute nobody would call it a takeover.
        let bounds = (Duration::from_secs(1)..=Duration::from_secs(60)).contains(&recorder.lease.0);
        section.ensure(bounds, "lease", "must be from 1s to 60s");
        section.finish();
        recorder
    }
}
