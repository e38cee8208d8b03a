//! The same numbers minute by minute, so that one sees when something was lost, or came twice.
//!
//! A row tells when its event was emitted, to the length of its request. A number without a row tells nothing; but numbers
//! are given in order, so its event was emitted between those of the rows beside it.

use std::collections::BTreeMap;

use schemas::time::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::State;
use super::ledgers::{Account, Line, Tellings, accounts};
use crate::queries::HeldRun;

/// Most minutes that one answer tells of.
pub const MINUTES_MAX: usize = 10_000;

const MINUTE_MICROS: i64 = 60_000_000;

/// One ledger's part of one minute; counts that nobody knows are none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Minute {
    minute: Timestamp,
    gateway: String,
    epoch: Uuid,
    partition: u16,
    emitted: Option<u64>,
    stored: u64,
    pending: Option<u64>,
    missing: Option<u64>,
    duplicate: u64,
    dead_letters: u64,
    /// The latest minute in which what is pending or missing can have been emitted.
    until: Timestamp,
    /// What can be said of it.
    pub state: State,
}

impl Minute {
    /// Whether every event that was emitted in it is stored, once, as far as anybody knows.
    pub fn is_even(&self) -> bool {
        self.stored == self.emitted.unwrap_or(self.stored) && self.duplicate == 0 && self.dead_letters == 0
    }
}

/// What a minute of one account holds.
#[derive(Clone, Copy, Default)]
struct Counts {
    stored: u64,
    rows: u64,
    dead_letters: u64,
    pending: u64,
    missing: u64,
    until: i64,
}

/// Every minute of every ledger, the oldest first. The parameters are those of [`super::judge`].
pub fn by_minute(tellings: Option<&Tellings>, runs: &[HeldRun], older: &[HeldRun], since: Timestamp) -> Vec<Minute> {
    let mut of_lines: BTreeMap<Line, Vec<&HeldRun>> = BTreeMap::new();
    for run in runs {
        of_lines.entry((run.epoch, run.partition)).or_default().push(run);
    }
    let nothing = Tellings::default();
    let minutes = accounts(tellings.unwrap_or(&nothing), (runs, older), since, |account| {
        let runs = of_lines.get(&account.line).map(Vec::as_slice).unwrap_or_default();
        of_account(&account, runs)
    });
    let mut minutes: Vec<Minute> = minutes.into_iter().flatten().collect();
    minutes.sort_by_key(|minute| (minute.minute, minute.epoch, minute.partition));
    minutes
}

fn of_account(account: &Account<'_>, runs: &[&HeldRun]) -> Vec<Minute> {
    let mut minutes: BTreeMap<i64, Counts> = BTreeMap::new();
    for run in runs {
        let counts = minutes.entry(run.minute).or_default();
        counts.stored += run.last_seq - run.first_seq + 1;
        counts.rows += run.rows;
        counts.dead_letters += run.dead_letters;
    }
    // After the last row the ledger was last heard of when it told its last number.
    let latest = account.head.map_or(0, |head| head.changed_at.as_micros().div_euclid(MINUTE_MICROS));
    if let Some(absent) = &account.absent {
        let mut add = |range: &(u64, u64), into: fn(&mut Counts) -> &mut u64| {
            let next = runs.partition_point(|run| run.first_seq < range.0);
            let after = runs.get(next).map(|run| run.minute);
            let before = next.checked_sub(1).and_then(|before| runs.get(before)).map(|run| run.minute);
            let earliest = before.or(after).unwrap_or(latest);
            let counts = minutes.entry(earliest).or_default();
            counts.until = counts.until.max(after.unwrap_or(latest));
            *into(counts) += range.1 - range.0 + 1;
        };
        absent.missing.iter().for_each(|range| add(range, |counts| &mut counts.missing));
        absent.pending.iter().for_each(|range| add(range, |counts| &mut counts.pending));
    }
    let is_known = account.absent.is_some();
    minutes.into_iter().map(|(minute, counts)| told(account, is_known, minute, counts)).collect()
}

fn told(account: &Account<'_>, is_known: bool, minute: i64, counts: Counts) -> Minute {
    let Counts { stored, rows, dead_letters, pending, missing, until } = counts;
    let duplicate = rows.saturating_sub(stored);
    let state = match (missing + duplicate + dead_letters, pending) {
        (0, 0) if is_known => State::Clean,
        (0, 0) => State::Unknown,
        (0, _) => State::Pending,
        _ => State::Unclean,
    };
    let known = |count: u64| is_known.then_some(count);
    Minute {
        minute: Timestamp::from_micros(minute * MINUTE_MICROS),
        gateway: account.head.map_or(account.rows.gateway, |head| &head.gateway).to_owned(),
        epoch: account.line.0,
        partition: account.line.1,
        emitted: known(stored + pending + missing),
        stored,
        pending: known(pending),
        missing: known(missing),
        duplicate,
        dead_letters,
        until: Timestamp::from_micros(until.max(minute) * MINUTE_MICROS),
        state,
    }
}
