//! `[analytics]`

use std::net::{Ipv4Addr, SocketAddr};

use super::SecretRef;
use super::read::Section;

/// The reader.
#[derive(Clone, Debug)]
pub struct Analytics {
    /// API, dashboard and `/metrics`.
    pub listen: SocketAddr,
    /// Bearer token; required unless listening on loopback.
    pub token: Option<SecretRef>,
    /// Whether answers may come from rollups; without them every answer is computed from the rows.
    pub rollups: bool,
}

impl Analytics {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let analytics = Self {
            listen: section.or("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 8082))),
            token: section.optional("token"),
            rollups: section.or("rollups", true),
        };
        let guarded = analytics.token.is_some() || analytics.listen.ip().is_loopback();
        section.ensure(guarded, "token", "is required unless [analytics] listens on a loopback address");
        section.finish();
        analytics
    }
}
