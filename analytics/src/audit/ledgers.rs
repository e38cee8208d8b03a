//! The numbers of each ledger: emitted, stored, pending, missing, duplicate.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemas::heads::{LedgerHead, TOLD_EVERY};
use schemas::progress::{Progress, SeqSet, count};
use schemas::time::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{Finding, State};
use crate::queries::HeldRun;

/// A gateway that has said nothing for this long is not running, or is cut off.
const SILENCE: Duration = Duration::from_secs(TOLD_EVERY.as_secs() * 6);

/// A ledger's part of one partition: the epoch and the partition.
pub type Line = (Uuid, u16);

/// The numbers that recorders have committed, per ledger and partition.
pub type Committed = BTreeMap<Line, SeqSet>;

/// What NATS has told.
#[derive(Clone, Debug, Default)]
pub struct Tellings {
    /// Per ledger, what its gateway told last.
    pub heads: BTreeMap<Uuid, LedgerHead>,
    /// Per partition, how far its recorder is.
    pub progress: BTreeMap<u16, Progress>,
}

/// A row of `/v1/audit`: one ledger's events in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ledger {
    gateway: String,
    epoch: Uuid,
    partition: u16,
    /// When the gateway last told how far its ledger reaches; none when it is not known.
    told_at: Option<Timestamp>,
    first_seq: u64,
    last_seq: Option<u64>,
    emitted: Option<u64>,
    stored: u64,
    pending: Option<u64>,
    missing: Option<u64>,
    duplicate: u64,
    dead_letters: u64,
    /// What can be said of it.
    pub state: State,
    /// Why, and what to do.
    pub reason: String,
}

/// What ClickHouse holds of one ledger's part.
#[derive(Default)]
pub(super) struct Held<'a> {
    /// Ascending, without holes of no width between them.
    runs: Vec<(u64, u64)>,
    rows: u64,
    dead_letters: u64,
    pub(super) gateway: &'a str,
}

impl Held<'_> {
    fn numbers(&self) -> u64 {
        count(self.runs.iter().copied())
    }

    fn set(&self) -> SeqSet {
        SeqSet::of_ranges(&self.runs)
    }
}

fn gather(runs: &[HeldRun]) -> BTreeMap<Line, Held<'_>> {
    let mut held: BTreeMap<Line, Held<'_>> = BTreeMap::new();
    for run in runs {
        let entry = held.entry((run.epoch, run.partition)).or_default();
        match entry.runs.last_mut() {
            // One run of every minute, as they were read.
            Some(before) if before.1 + 1 == run.first_seq => before.1 = run.last_seq,
            _ => entry.runs.push((run.first_seq, run.last_seq)),
        }
        entry.rows += run.rows;
        entry.dead_letters += run.dead_letters;
        entry.gateway = entry.gateway.max(run.gateway.as_str());
    }
    held
}

/// What the audit looks at of one ledger's part, and what of it is not among the rows.
struct Span {
    first: u64,
    last: u64,
    absent: SeqSet,
}

impl Tellings {
    /// The committed numbers of every ledger.
    pub fn committed(&self) -> Committed {
        let lines = self.progress.iter().flat_map(|(partition, progress)| {
            progress.epochs.iter().map(|(epoch, seqs)| ((*epoch, *partition), seqs.clone()))
        });
        lines.collect()
    }

    /// All ledgers' parts that have been active since then.
    fn lines(&self, held: &BTreeMap<Line, Held<'_>>, since: Timestamp) -> BTreeSet<Line> {
        let active = self.heads.iter().filter(|(_, head)| head.changed_at >= since);
        let told = active.flat_map(|(epoch, head)| head.last.keys().map(|partition| (*epoch, *partition)));
        told.chain(held.keys().copied()).collect()
    }

    fn span(&self, line: Line, held: &Held<'_>, committed: &Committed) -> Option<Span> {
        let told = self.heads.get(&line.0)?.last.get(&line.1).copied()?;
        let stored = held.runs.last().map_or(0, |run| run.1);
        let watermark = committed.get(&line).map_or(0, |seqs| seqs.contiguous);
        let last = told.max(stored);
        let first = held.runs.first().map_or((watermark + 1).min(last), |run| run.0).max(1);
        let absent = SeqSet::of_ranges(&[(first, last)]).without(&held.set());
        Some(Span { first, last, absent: SeqSet::of_ranges(&absent) })
    }
}

/// The ledgers of which numbers are committed that the rows since then do not show: their older rows must be looked at.
pub fn unheld(tellings: &Tellings, runs: &[HeldRun], since: Timestamp) -> BTreeSet<Uuid> {
    let (held, committed) = (gather(runs), tellings.committed());
    let none = Held::default();
    let is_unheld = |line: &Line| {
        let span = tellings.span(*line, held.get(line).unwrap_or(&none), &committed);
        let absent = span.map(|span| span.absent).unwrap_or_default();
        committed.get(line).is_some_and(|seqs| !common(&absent, seqs).is_empty())
    };
    tellings.lines(&held, since).into_iter().filter(is_unheld).map(|(epoch, _)| epoch).collect()
}

/// One ledger's part with what of it is not among the rows.
pub(super) struct Account<'a> {
    pub(super) line: Line,
    pub(super) rows: &'a Held<'a>,
    pub(super) head: Option<&'a LedgerHead>,
    /// None when nobody has told how far the ledger reaches.
    pub(super) absent: Option<Absent>,
}

/// Numbers without a row.
pub(super) struct Absent {
    first: u64,
    last: u64,
    /// How many were recorded before the time that is looked at.
    elsewhere: u64,
    /// Committed, and not there.
    pub(super) missing: Vec<(u64, u64)>,
    /// Not committed yet.
    pub(super) pending: Vec<(u64, u64)>,
}

/// Everything that was read, account by account, is handed to `each`.
pub(super) fn accounts<T>(
    told: &Tellings,
    (runs, older): (&[HeldRun], &[HeldRun]),
    since: Timestamp,
    mut each: impl FnMut(Account<'_>) -> T,
) -> Vec<T> {
    let (held, older) = (gather(runs), gather(older));
    let committed = told.committed();
    let none = Held::default();
    let account = |line: Line| {
        let rows = held.get(&line).unwrap_or(&none);
        let absent = told.span(line, rows, &committed).map(|span| {
            let seqs = committed.get(&line).cloned().unwrap_or_default();
            let before = older.get(&line).map(Held::set).unwrap_or_default();
            let absent = SeqSet::of_ranges(&span.absent.without(&before));
            let missing = common(&absent, &seqs);
            let pending = absent.without(&SeqSet::of_ranges(&missing));
            let elsewhere = count(span.absent.without(&absent));
            Absent { first: span.first, last: span.last, elsewhere, missing, pending }
        });
        each(Account { line, rows, head: told.heads.get(&line.0), absent })
    };
    told.lines(&held, since).into_iter().map(account).collect()
}

/// Judges every ledger that has been active since then. `tellings` is none when NATS could not be asked; `older` are the
/// rows of [`unheld`] ledgers from before.
pub fn judge(
    tellings: Option<&Tellings>,
    runs: &[HeldRun],
    older: &[HeldRun],
    since: Timestamp,
    now: Timestamp,
) -> Vec<Ledger> {
    let nothing = Tellings::default();
    accounts(tellings.unwrap_or(&nothing), (runs, older), since, |account| {
        let Account { line, rows, head, absent } = account;
        let unknown = untold(line, rows, tellings.is_some());
        let Some(absent) = absent else { return unknown };
        let ledger = Ledger {
            gateway: head.map_or(rows.gateway, |head| &head.gateway).to_owned(),
            told_at: head.map(|head| head.told_at),
            first_seq: absent.first,
            last_seq: Some(absent.last),
            emitted: Some(absent.last - absent.first + 1),
            stored: rows.numbers() + absent.elsewhere,
            pending: Some(count(absent.pending.iter().copied())),
            missing: Some(count(absent.missing.iter().copied())),
            ..unknown
        };
        judged(ledger, head, now)
    })
}

fn judged(ledger: Ledger, head: Option<&LedgerHead>, now: Timestamp) -> Ledger {
    let Finding { state, reason } = find(&ledger, head, now);
    Ledger { state, reason, ..ledger }
}

fn find(ledger: &Ledger, head: Option<&LedgerHead>, now: Timestamp) -> Finding {
    let Ledger { gateway, epoch, partition, missing, pending, duplicate, dead_letters, .. } = ledger;
    let place = format!("gateway {gateway}, ledger {epoch}, partition {partition}");
    let (missing, pending) = (missing.unwrap_or(0), pending.unwrap_or(0));
    let silent = head.filter(|head| !head.stopped && now.millis_since(head.told_at) > SILENCE.as_millis() as f64);
    if missing > 0 {
        let what = format!("{place}: {missing} events were committed and ClickHouse does not hold them: ");
        return Finding::new(State::Unclean, what + "rows were removed, or ClickHouse lost a part; restore its backup");
    }
    if *duplicate > 0 {
        let what = format!("{place}: {duplicate} rows are there twice: plain sums count them twice, FINAL does not; ");
        return Finding::new(State::Unclean, what + "OPTIMIZE TABLE ... FINAL removes them");
    }
    if *dead_letters > 0 {
        let what = format!("{place}: {dead_letters} events are dead letters and no rows: ");
        return Finding::new(State::Unclean, what + "`weir dead-letters list` tells why, `replay` sends them again");
    }
    match (silent, head.is_some_and(|head| head.stopped)) {
        (Some(head), _) if pending > 0 => {
            let what = format!("{place}: {pending} events are not stored, and the gateway is silent since ");
            let remedy = "start it again on its ledger, which holds them";
            Finding::new(State::Unclean, format!("{what}{}: {remedy}", head.told_at))
        }
        (Some(head), _) => {
            let what = format!("{place}: the gateway is silent since {}: ", head.told_at);
            Finding::new(State::Unknown, what + "its ledger may hold later events; start it again on it")
        }
        (None, true) if pending > 0 => {
            let what = format!("{place}: {pending} events are on their way through NATS, or wait in the ledger ");
            Finding::new(State::Pending, what + "of the gateway, which has stopped: should they stay, start it again")
        }
        (None, _) if pending > 0 => Finding::new(State::Pending, format!("{place}: {pending} events are on their way")),
        (None, _) => Finding::new(State::Clean, ""),
    }
}

/// Of a ledger of which only rows are known.
fn untold(line: Line, rows: &Held<'_>, nats_answers: bool) -> Ledger {
    let (epoch, partition) = line;
    let gateway = rows.gateway.to_owned();
    let why = if nats_answers {
        "its gateway has not told how far its ledger reaches; start it again on it, so that it tells"
    } else {
        "NATS cannot be asked how far its ledger reaches; ask again when NATS is back"
    };
    let reason = format!("gateway {gateway}, ledger {epoch}, partition {partition}: {why}");
    Ledger {
        gateway,
        epoch,
        partition,
        told_at: None,
        first_seq: rows.runs.first().map_or(0, |run| run.0),
        last_seq: None,
        emitted: None,
        stored: rows.numbers(),
        pending: None,
        missing: None,
        duplicate: rows.rows.saturating_sub(rows.numbers()),
        dead_letters: rows.dead_letters,
        state: State::Unknown,
        reason,
    }
}

/// What is in both sets.
fn common(one: &SeqSet, other: &SeqSet) -> Vec<(u64, u64)> {
    one.without(&SeqSet::of_ranges(&one.without(other)))
}
