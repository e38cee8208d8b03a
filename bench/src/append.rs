//! `bench append`: what writing an event into the ledger costs, beside a bare `write(2)` of the same bytes,
//! and that it costs the same while the shipper waits for the network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use gateway::ledger::{Ledger, Options as LedgerOptions, Recovered, ShipperOptions, spawn_shipper};
use gateway::metrics::Metrics;
use schemas::config::{Config, LedgerFsync, OnLedgerFull};
use schemas::events::{Body, Prepared};
use schemas::time::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::Error;
use crate::figures::median;
use crate::machine;

/// How a run is done.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Threads that append at once.
    #[arg(long, default_value_t = 64)]
    pub writers: usize,
    /// Appends of each in a round.
    #[arg(long, default_value_t = 4000)]
    pub appends: usize,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Where the files are made; the system's temporary folder unless one is named.
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// One round of one way to write.
struct Round {
    /// Wall time over the number of appends: what the machine spends on one, all writers together.
    each_us: f64,
    /// What one writer waits, the waiting for the others included: median, 99 of 100, longest.
    waits_us: [f64; 3],
}

/// A way to write, measured over one round in a folder of its own.
type Way = fn(&Options, &Path, &Prepared, usize) -> Result<Round, Error>;

/// Each with its name and the part of the appends that it does: a disk flush takes as long as thousands of writes.
const WAYS: [(&str, Way, usize); 4] = [
    ("bare write(2), one file", bare, 1),
    ("ledger", |options, dir, event, _| ledger(options, dir, event, LedgerFsync::Never), 1),
    ("ledger, its shipper at a NATS that never answers", |options, dir, event, _| unanswered(options, dir, event), 1),
    ("ledger, fsync always", |options, dir, event, _| ledger(options, dir, event, LedgerFsync::Always), 100),
];

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), Error> {
    let event = event()?;
    let bytes = record_bytes(&event)?;
    let mut samples: [Vec<Round>; WAYS.len()] = Default::default();
    // Every way in every round: what slows the machine for a while slows all of them.
    for _ in 0..options.rounds {
        for ((_, way, part), rounds) in WAYS.iter().zip(&mut samples) {
            let folder = match &options.dir {
                Some(dir) => tempfile::tempdir_in(dir),
                None => tempfile::tempdir(),
            };
            let folder = folder.map_err(Error::io("a folder for the files"))?;
            let options = Options { appends: (options.appends / part).max(1), ..options.clone() };
            rounds.push(way(&options, folder.path(), &event, bytes)?);
        }
    }
    std::io::stdout().write_all(report(options, bytes, &samples).as_bytes()).map_err(Error::io("printing the report"))
}

fn report(options: &Options, bytes: usize, samples: &[Vec<Round>; WAYS.len()]) -> String {
    let machine = machine::describe(None);
    let mut text = format!(
        "# What an append to the ledger costs\n\n{}, Linux {}, {}; gateway at {}. {} rounds of {} writers with {} appends \
         of {bytes} bytes each. Load average: {}.\n\n\
         | | us an append | ratio to write(2) | median wait, us | 99 of 100 | longest |\n|---|---:|---:|---:|---:|---:|\n",
        machine.processors,
        machine.kernel,
        machine.rustc,
        machine.commit,
        options.rounds,
        options.writers,
        options.appends,
        machine.load_average,
    );
    let [floor, ..] = samples;
    for ((name, _, part), rounds) in WAYS.iter().zip(samples) {
        let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure)).unwrap_or(f64::NAN);
        let ratios = rounds.iter().zip(floor).map(|(round, floor)| round.each_us / floor.each_us);
        let (each, ratio) = (of(|round| round.each_us), median(ratios).unwrap_or(f64::NAN));
        let waits = [of(|round| round.waits_us[0]), of(|round| round.waits_us[1]), of(|round| round.waits_us[2])];
        let [middle, high, longest] = waits;
        let fewer = if *part > 1 { format!(" (1/{part} of the appends)") } else { String::new() };
        text += &format!("| {name}{fewer} | {each:.2} | {ratio:.2} | {middle:.1} | {high:.1} | {longest:.0} |\n");
    }
    text
}

/// A terminal event as a gateway writes it.
fn event() -> Result<Prepared, Error> {
    let raw_usage = r#"{"input_tokens":200,"cache_read_input_tokens":1000,"output_tokens":512}"#;
    let receipt = serde_json::json!({
        "outcome": "completed", "client": "team-a", "format": "anthropic", "is_stream": true, "provider": "anthropic",
        "endpoint": "anthropic-api", "key": "main", "model_requested": "sonnet", "model": "claude-sonnet-4-5",
        "model_upstream": "claude-sonnet-4-5-20250929", "model_reported": "claude-sonnet-4-5-20250929", "status": 200,
        "upstream_status": 200, "stop_reason": "end_turn", "attempts": 1, "received_at": Timestamp::now(),
        "ttft_ms": 312.5, "duration_ms": 4012.25, "usage_source": "provider", "normaliser": 1, "request_bytes": 2048,
        "response_bytes": 16384, "stream_events": 120,
        "usage": { "input": 1200, "fresh_input": 200, "cache_read": 1000, "output": 512 },
        "raw_usage": raw_usage,
    });
    let wrong = |error: serde_json::Error| Error::Setup(format!("the event to append: {error}"));
    let body = Body::Terminal(serde_json::from_value(receipt).map_err(wrong)?);
    Prepared::new(Uuid::now_v7(), Timestamp::now(), &body).map_err(wrong)
}

/// What such an event takes in the ledger.
fn record_bytes(event: &Prepared) -> Result<usize, Error> {
    let folder = tempfile::tempdir().map_err(Error::io("a folder for the files"))?;
    let (ledger, _) = open(folder.path(), LedgerFsync::Never)?;
    append(&ledger, event)?;
    usize::try_from(ledger.bytes()).map_err(|_| Error::Setup("a record larger than memory".to_owned()))
}

fn open(dir: &Path, fsync: LedgerFsync) -> Result<(Ledger, Recovered), Error> {
    let options = LedgerOptions {
        dir: dir.to_owned(),
        max_bytes: 64 << 30,
        fsync,
        on_full: OnLedgerFull::Shed,
        partitions: 1,
        gateway: "bench".to_owned(),
    };
    Ledger::open(options).map_err(|error| Error::Setup(error.to_string()))
}

fn append(ledger: &Ledger, event: &Prepared) -> Result<(), Error> {
    ledger.append(std::slice::from_ref(event)).map_err(|error| Error::Setup(error.to_string()))
}

fn ledger(options: &Options, dir: &Path, event: &Prepared, fsync: LedgerFsync) -> Result<Round, Error> {
    let ledger = Arc::new(open(dir, fsync)?.0);
    let round = append_from_all(options, &ledger, event)?;
    drop(ledger);
    found_again(options, dir)?;
    Ok(round)
}

/// The same with a shipper that waits for the network all the while.
fn unanswered(options: &Options, dir: &Path, event: &Prepared) -> Result<Round, Error> {
    // Connections are taken by the kernel, and nobody says a word on them.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("a port that never answers"))?;
    let address = silent.local_addr().map_err(Error::io("a port that never answers"))?;
    let config = Config::parse(&format!("[nats]\nurl = \"nats://{address}\"\n"), &BTreeMap::new());
    let nats = config.map_err(|mistakes| Error::Setup(mistakes.to_string()))?.nats;
    let metrics = Metrics::new(BTreeSet::new()).map_err(|error| Error::Setup(error.to_string()))?;
    let (ledger, shutdown) = (Arc::new(open(dir, LedgerFsync::Never)?.0), CancellationToken::new());
    let (shipped, token) = (Arc::clone(&ledger), shutdown.clone());
    let shipper = spawn_shipper(ShipperOptions {
        ledger: shipped,
        nats,
        metrics: Arc::new(metrics),
        shutdown: token,
        grace: Duration::ZERO,
    });
    let shipper = shipper.map_err(Error::io("starting the shipper"))?;
    let round = append_from_all(options, &ledger, event)?;
    shutdown.cancel();
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Error::io("starting a runtime"))?;
    runtime.block_on(shipper.finished());
    drop(ledger);
    found_again(options, dir)?;
    Ok(round)
}

fn append_from_all(options: &Options, ledger: &Arc<Ledger>, event: &Prepared) -> Result<Round, Error> {
    round(options, || {
        let (ledger, event) = (Arc::clone(ledger), event.clone());
        Ok(move || append(&ledger, &event))
    })
}

/// Figures of a ledger that has lost something are worth nothing.
fn found_again(options: &Options, dir: &Path) -> Result<(), Error> {
    let (_, found) = open(dir, LedgerFsync::Never)?;
    let expected = (options.writers * options.appends) as u64;
    match found.events == expected {
        true => Ok(()),
        false => Err(Error::Setup(format!("{} of {expected} appended events are in the ledger", found.events))),
    }
}

fn bare(options: &Options, dir: &Path, _: &Prepared, bytes: usize) -> Result<Round, Error> {
    let path = dir.join("file");
    round(options, || {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut file: File = file.map_err(Error::io("opening the bare file"))?;
        let record = vec![b'x'; bytes];
        Ok(move || file.write_all(&record).map_err(Error::io("writing the bare file")))
    })
}

/// Starts all writers at one moment and times each of their appends.
fn round<W>(options: &Options, writer: impl Fn() -> Result<W, Error>) -> Result<Round, Error>
where
    W: FnMut() -> Result<(), Error> + Send + 'static,
{
    let start = Arc::new(Barrier::new(options.writers + 1));
    let mut threads = Vec::new();
    for _ in 0..options.writers {
        let (mut append, start, appends) = (writer()?, Arc::clone(&start), options.appends);
        threads.push(std::thread::spawn(move || {
            start.wait();
            let mut waits = Vec::with_capacity(appends);
            for _ in 0..appends {
                let begun = Instant::now();
                append()?;
                waits.push(begun.elapsed());
            }
            Ok::<_, Error>(waits)
        }));
    }
    start.wait();
    let begun = Instant::now();
    let mut waits: Vec<Duration> = Vec::new();
    for thread in threads {
        let joined = thread.join().map_err(|_| Error::Setup("a writer has panicked".to_owned()))?;
        waits.extend(joined?);
    }
    let took = begun.elapsed();
    waits.sort_unstable();
    let us = |wait: Duration| wait.as_secs_f64() * 1e6;
    let at = |part: usize| waits.get((waits.len() * part / 100).min(waits.len().saturating_sub(1))).copied();
    let waits_us = [50, 99, 100].map(|part| at(part).map_or(f64::NAN, us));
    Ok(Round { each_us: us(took) / waits.len() as f64, waits_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_is_one_that_gateways_write_and_every_append_is_found_again() {
        let event = event().unwrap();
        assert!(event.settles);
        let options = Options { writers: 4, appends: 10, rounds: 1, dir: None };
        let folder = tempfile::tempdir().unwrap();
        let round = unanswered(&options, folder.path(), &event).unwrap();
        assert!(round.each_us > 0.0 && round.waits_us[0] <= round.waits_us[2]);
        // One more than was appended: that would be seen.
        assert!(found_again(&Options { appends: 11, ..options }, folder.path()).is_err());
    }
}
