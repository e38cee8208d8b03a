//! `[gateway]`

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use super::read::Section;
use super::{ByteSize, Span};

/// The proxy.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Name in events and rows; the host's name where the file has none.
    pub name: Option<String>,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// `/metrics`, `/healthz`, `/readyz`.
    pub ops_listen: SocketAddr,
    /// Folder of the ledger.
    pub ledger_dir: PathBuf,
    /// Bound of the ledger.
    pub ledger_max_bytes: ByteSize,
    /// What to do when the bound is reached.
    pub on_ledger_full: OnLedgerFull,
    /// What the ledger survives.
    pub ledger_fsync: LedgerFsync,
    /// Route models that no `[[models]]` names to every endpoint of the client's format.
    pub allow_unlisted_models: bool,
    /// How far to read on after the client has left.
    pub drain: Drain,
    /// Largest request body.
    pub request_body_max: ByteSize,
    /// Which bodies are kept as events.
    pub capture: Capture,
    /// How long a graceful stop waits for running streams, and then for the ledger to be shipped.
    pub shutdown_timeout: Span,
    /// `[gateway.timeouts]`
    pub timeouts: Timeouts,
    /// `[gateway.smoothing]`
    pub smoothing: Smoothing,
}

/// `on_ledger_full`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLedgerFull {
    /// Serve, and count the lost events.
    Shed,
    /// Answer 503 rather than serve unaccounted.
    Refuse,
}

/// `ledger_fsync`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerFsync {
    /// Survives a killed process.
    Never,
    /// Survives power loss but for the last moments.
    Interval,
    /// Survives power loss.
    Always,
}

/// `capture`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// No bodies.
    None,
    /// Bodies of requests that did not complete.
    Errors,
    /// All bodies.
    All,
}

/// `drain`: bounds on reading an answer to its end after its client has left.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// Longest time.
    #[serde(default = "Drain::default_time")]
    pub time: Span,
    /// Most further output tokens, estimated while they pass.
    #[serde(default = "Drain::default_output_tokens")]
    pub output_tokens: u64,
}

impl Drain {
    const fn default_time() -> Span {
        Span::secs(60)
    }

    const fn default_output_tokens() -> u64 {
        8192
    }
}

/// `[gateway.timeouts]`
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Connecting to a provider, TLS included.
    pub connect: Span,
    /// From sending the request to the first content event, headers included (S85, W9).
    pub first_byte: Span,
    /// The same for an answer that is not streamed, which comes when it is complete: after it another endpoint is asked,
    /// where there is one. Half of `total` unless it is set.
    pub plain_first_byte: Span,
    /// Longest silence inside an answer that has begun (W9).
    pub idle: Span,
    /// The whole request.
    pub total: Span,
    /// For the client to send its request body (R48).
    pub request_body: Span,
}

/// `[gateway.smoothing]` (S109 to S121, W29)
#[derive(Clone, Copy, Debug)]
pub struct Smoothing {
    /// Off by default.
    pub enabled: bool,
    /// Characters per piece.
    pub chunk_chars: u32,
    /// Pause between pieces.
    pub delay: Span,
}

impl Gateway {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let gateway = Self {
            name: section.optional("name"),
            listen: section.or("listen", SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080))),
            ops_listen: section.or("ops_listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 9080))),
            ledger_dir: section.or("ledger_dir", PathBuf::from("data/ledger")),
            ledger_max_bytes: section.or("ledger_max_bytes", ByteSize::gib(4)),
            on_ledger_full: section.or("on_ledger_full", OnLedgerFull::Shed),
            ledger_fsync: section.or("ledger_fsync", LedgerFsync::Never),
            allow_unlisted_models: section.or("allow_unlisted_models", false),
            drain: section
                .or("drain", Drain { time: Drain::default_time(), output_tokens: Drain::default_output_tokens() }),
            request_body_max: section.or("request_body_max", ByteSize::mib(32)),
            capture: section.or("capture", Capture::None),
            shutdown_timeout: section.or("shutdown_timeout", Span::secs(60)),
            timeouts: Timeouts::read(section.section("timeouts")),
            smoothing: Smoothing::read(section.section("smoothing")),
        };
        section.ensure(gateway.ledger_max_bytes >= ByteSize::mib(1), "ledger_max_bytes", "must be at least 1MiB");
        section.ensure(gateway.request_body_max.0 > 0, "request_body_max", "must be more than 0");
        section.ensure(gateway.name.as_deref() != Some(""), "name", "must not be empty");
        section.finish();
        gateway
    }
}

impl Timeouts {
    fn read(mut section: Section<'_>) -> Self {
        let total = section.or("total", Span::secs(600));
        let timeouts = Self {
            connect: section.or("connect", Span::secs(10)),
            first_byte: section.or("first_byte", Span::secs(30)),
            plain_first_byte: section.or("plain_first_byte", Span(total.0 / 2)),
            idle: section.or("idle", Span::secs(60)),
            total,
            request_body: section.or("request_body", Span::secs(30)),
        };
        let all = [
            ("connect", timeouts.connect),
            ("first_byte", timeouts.first_byte),
            ("plain_first_byte", timeouts.plain_first_byte),
            ("idle", timeouts.idle),
            ("total", timeouts.total),
            ("request_body", timeouts.request_body),
        ];
        for (key, span) in all {
            section.ensure(!span.0.is_zero(), key, "must be more than 0");
        }
        section.finish();
        timeouts
    }
}

impl Smoothing {
    fn read(mut section: Section<'_>) -> Self {
        let smoothing = Self {
            enabled: section.or("enabled", false),
            chunk_chars: section.or("chunk_chars", 20),
            delay: section.or("delay", Span::millis(8)),
        };
        section.ensure(smoothing.chunk_chars > 0, "chunk_chars", "must be more than 0");
        section.finish();
        smoothing
    }
}
