//! What a run prints.

use std::collections::BTreeMap;

use super::schedule::Part;
use super::torture::Deeds;
use crate::terminal::{Align, table};

/// The figures of a run.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) seed: u64,
    pub(super) seconds: u64,
    pub(super) sent: usize,
    pub(super) let_in: usize,
    pub(super) orphans: usize,
    pub(super) deeds: Deeds,
    pub(super) deduplicated: u64,
    pub(super) resent: u64,
    pub(super) dead_letters: u64,
    pub(super) lost: u64,
    pub(super) damaged: u64,
    pub(super) lag_seconds: Option<f64>,
    pub(super) settled_after_seconds: f64,
    pub(super) audit: String,
}

/// The table of a run.
pub(super) fn figures(figures: &Figures) -> String {
    let deeds = &figures.deeds;
    let fills = match &deeds.unfilled {
        Some(reason) => format!("not done: {reason}"),
        None => each(&deeds.fills),
    };
    let lag = figures.lag_seconds.map_or("?".to_owned(), |lag| format!("{lag:.1} s"));
    let rows = [
        ("seed", figures.seed.to_string()),
        ("length", format!("{} s, settled after {:.1} s more", figures.seconds, figures.settled_after_seconds)),
        ("requests sent", figures.sent.to_string()),
        ("  let in", figures.let_in.to_string()),
        ("  left open by a dead gateway", figures.orphans.to_string()),
        ("kills", each(&deeds.kills)),
        ("freezes", each(&deeds.freezes)),
        ("NATS wiped", deeds.wipes.to_string()),
        ("disk full", fills),
        ("ended by itself", each(&deeds.ended)),
        ("duplicates dropped, at least", figures.deduplicated.to_string()),
        ("gaps healed: events sent again, at least", figures.resent.to_string()),
        ("events lost to a full ledger, at least", figures.lost.to_string()),
        ("damaged parts of ClickHouse's, at least", figures.damaged.to_string()),
        ("dead letters", figures.dead_letters.to_string()),
        ("lag at the end", lag),
        ("audit", figures.audit.clone()),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    table(&[("", Align::Left), ("", Align::Left)], &rows)
}

fn each(counts: &BTreeMap<Part, u64>) -> String {
    let total: u64 = counts.values().sum();
    let parts: Vec<String> = counts.iter().map(|(part, count)| format!("{part} {count}")).collect();
    if parts.is_empty() { "0".to_owned() } else { format!("{total}: {}", parts.join(", ")) }
}
