//! `bench catch-up`: how fast a recorder works off what an outage has left in NATS, beside how fast ClickHouse takes the
//! same rows from files, in one run.

mod files;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use reqwest::Client;
use schemas::config::Config;

use crate::backlog;
use crate::error::Error;
use crate::machine;
use crate::process::Process;
use crate::programs::{built, on_path};
use crate::target::{Running, reserve_port};
use files::{Engine, WAYS, Way};

const DATABASE: &str = "catch_up";
/// Longest time that anything may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// How a run is done.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Requests that have piled up; each leaves three events.
    #[arg(long, default_value_t = 300_000)]
    pub requests: u64,
    /// Times that ClickHouse takes the rows from files of a format; the best one counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Who has which core; both ways unless one is named.
    #[arg(long)]
    pub cores: Option<Cores>,
    /// A nats-server binary; the one on PATH unless one is named.
    #[arg(long)]
    pub nats_server: Option<PathBuf>,
    /// ClickHouse's engine, libchdb.so; without it the cache or the package registry is asked.
    #[arg(long)]
    pub lib: Option<PathBuf>,
}

/// Who has which core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cores {
    /// All parts share two.
    Shared,
    /// ClickHouse has one to itself, as on a machine of its own; recorder and NATS have the other.
    Apart,
}

impl Cores {
    fn of_clickhouse(self) -> &'static str {
        match self {
            Self::Shared => "0-1",
            Self::Apart => "1",
        }
    }

    fn of_the_others(self) -> &'static str {
        match self {
            Self::Shared => "0-1",
            Self::Apart => "0",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Shared => "All parts share two cores",
            Self::Apart => "ClickHouse has one core to itself, recorder and NATS have the other",
        }
    }
}

/// Time for all rows, and what ClickHouse has used in it.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Time.
    pub time: Duration,
    /// Microseconds of CPU.
    pub clickhouse_us: u64,
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(Error::io("a runtime"))?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<(), Error> {
    // A second one fails, and the first one serves.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let nats_server = options.nats_server.clone().or_else(|| on_path("nats-server"));
    let nats_server = nats_server
        .ok_or_else(|| Error::Setup("there is no nats-server on PATH; name one with --nats-server".to_owned()))?;
    let programs =
        Programs { nats_server, weir: built("weir", "weir")?, recorder: built("recorder", "weir-recorder")? };
    let mut parts = Vec::new();
    for cores in [Cores::Shared, Cores::Apart] {
        if options.cores.is_none_or(|only| only == cores) {
            parts.push(arranged(options, &programs, cores).await?);
        }
    }
    let machine = machine::describe(None);
    let text = format!(
        "# How fast a recorder catches up\n\n{}, Linux {}, {}; recorder at {}. {} events, each a row of a table with its \
         views. From files: one insert a table, all at once, or as many as the recorder makes; best of {}; the ratio is that \
         to the best. Load \
         average: {}.\n{}",
        machine.processors,
        machine.kernel,
        machine.rustc,
        machine.commit,
        options.requests * 3,
        options.rounds,
        machine.load_average,
        parts.concat(),
    );
    std::io::stdout().write_all(text.as_bytes()).map_err(Error::io("printing the report"))
}

/// What is run.
struct Programs {
    nats_server: PathBuf,
    weir: PathBuf,
    recorder: PathBuf,
}

/// Measures in one arrangement and says what was found.
async fn arranged(options: &Options, programs: &Programs, cores: Cores) -> Result<String, Error> {
    let folder = tempfile::tempdir().map_err(Error::io("a folder for the run"))?;
    let nats = Running::nats(&programs.nats_server, cores.of_the_others())?;
    let ((_engine_port, engine), (_ops_port, ops)) = (reserve_port()?, reserve_port()?);
    let clickhouse = start_engine(options, &programs.weir, (folder.path(), engine), cores)?;
    let http = Client::builder().no_proxy().timeout(PATIENCE).build()?;

    let text = configuration(nats.address, engine, ops, options.requests);
    let config = Config::parse(&text, &BTreeMap::new()).map_err(|mistakes| Error::Setup(mistakes.to_string()))?;
    let events = backlog::publish(&config.nats, options.requests).await?;
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, text).map_err(Error::io("writing the configuration"))?;
    let mut command = Command::new(&programs.recorder);
    command.arg("--config").arg(&file);
    let recorder = Process::start(cores.of_the_others(), &command, &folder.path().join("log"), ops)?;
    let parts = [&recorder, &clickhouse, &nats.process];
    let caught_up = catch_up(&http, ops, events, parts).await?;
    let memory = recorder.memory()?;
    drop(recorder);

    let engine = Engine { http: &http, address: engine, process: &clickhouse };
    engine.export(folder.path(), options.requests).await?;
    let mut alone = Vec::new();
    for way in WAYS {
        alone.push((way, engine.takes_files(folder.path(), (way, options.requests), options.rounds).await?));
    }
    Ok(report(cores, events, (&caught_up, &alone), memory.peak_bytes))
}

fn report(cores: Cores, events: u64, (recorder, alone): (&CaughtUp, &[(Way, Speed)]), peak_bytes: u64) -> String {
    let rate = |time: Duration| events as f64 / time.as_secs_f64();
    let each = |cpu_us: u64| cpu_us as f64 / events as f64;
    let best = alone.iter().map(|(_, speed)| rate(speed.time)).fold(1.0, f64::max);
    let [of_recorder, of_clickhouse, of_nats] = recorder.cpu_us;
    let mut text = format!(
        "\n## {}\n\n| | rows a second | ratio | CPU us a row: ClickHouse | recorder | NATS |\n|---|---:|---:|---:|---:|---:|\n\
         | recorder, from NATS, with everything it does | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} |\n",
        cores.title(),
        rate(recorder.time),
        rate(recorder.time) / best,
        each(of_clickhouse),
        each(of_recorder),
        each(of_nats),
    );
    for (way, speed) in alone {
        let (rate, clickhouse) = (rate(speed.time), each(speed.clickhouse_us));
        let _infallible = writeln!(text, "| ClickHouse alone, {} | {rate:.0} | | {clickhouse:.2} | | |", way.title());
    }
    let _infallible = write!(
        text,
        "\nThe recorder had {} MiB resident at most. Its stages, in seconds (inserts are several at once; gathering, \
         reading and pricing overlap with them): {}.\n",
        peak_bytes >> 20,
        recorder.stages,
    );
    text
}

fn start_engine(
    options: &Options,
    weir: &Path,
    (folder, engine): (&Path, SocketAddr),
    cores: Cores,
) -> Result<Process, Error> {
    let mut command = Command::new(weir);
    command.args(["clickhouse", "--listen", &engine.to_string(), "--data"]).arg(folder.join("clickhouse"));
    if let Some(lib) = &options.lib {
        command.arg("--lib").arg(lib);
    }
    Process::start(cores.of_clickhouse(), &command, &folder.join("engine.log"), engine)
}

fn configuration(nats: SocketAddr, engine: SocketAddr, ops: SocketAddr, requests: u64) -> String {
    // NATS sets aside what a stream may take, and refuses a stream that the disk has no room for: more than twice what the
    // three events of a request take, and no more.
    let mebibytes = 64 + requests * 8 / 1024;
    format!(
        "[nats]\nurl = \"nats://{nats}\"\nmax_bytes = \"{mebibytes}MiB\"\n\n[clickhouse]\nurl = \"http://{engine}\"\n\
         database = \"{DATABASE}\"\n\n[recorder]\nops_listen = \"{ops}\"\n"
    )
}

/// How a backlog was worked off.
struct CaughtUp {
    /// For all events.
    time: Duration,
    /// What recorder, ClickHouse and NATS have used in that time.
    cpu_us: [u64; 3],
    /// What the recorder's stages have taken, from its start.
    stages: String,
}

/// From the first committed range on, so that connecting and migrating do not count, in proportion to all events.
async fn catch_up(http: &Client, ops: SocketAddr, events: u64, parts: [&Process; 3]) -> Result<CaughtUp, Error> {
    let (begun, mut first) = (Instant::now(), None);
    loop {
        let text = http.get(format!("http://{ops}/metrics")).send().await?.text().await?;
        let line = text.lines().find_map(|line| line.strip_prefix("weir_events_stored_total "));
        let stored = line.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        if stored > 0 && first.is_none() {
            first = Some((Instant::now(), stored, cpu_us(parts)?));
        }
        if let Some((at, before, used)) = first.filter(|_| stored >= events) {
            let time = at.elapsed();
            let share = events.saturating_sub(before) as f64 / events as f64;
            if share <= 0.5 {
                return Err(Error::Setup("too few events: most were recorded at once".to_owned()));
            }
            let now = cpu_us(parts)?;
            let used = std::array::from_fn(|part| ((now[part].saturating_sub(used[part])) as f64 / share) as u64);
            return Ok(CaughtUp { time: time.div_f64(share), cpu_us: used, stages: stages(&text) });
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::Setup(format!("{stored} of {events} events are recorded after {PATIENCE:?}")));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn cpu_us(parts: [&Process; 3]) -> Result<[u64; 3], Error> {
    let mut used = [0; 3];
    for (used, part) in used.iter_mut().zip(parts) {
        *used = part.used()?.cpu_us;
    }
    Ok(used)
}

/// The sums of the recorder's stages, as its metrics tell them.
fn stages(metrics: &str) -> String {
    let sums = metrics.lines().filter_map(|line| {
        let (stage, seconds) = line.strip_prefix("weir_recorder_stage_seconds_sum{stage=\"")?.split_once("\"} ")?;
        Some(format!("{stage} {:.2}", seconds.parse::<f64>().ok()?))
    });
    sums.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorder_takes_the_configuration_and_its_stages_are_read() {
        let [nats, engine, ops] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let config = Config::parse(&configuration(nats, engine, ops, 300_000), &BTreeMap::new()).unwrap();
        assert_eq!((config.nats.partitions, config.clickhouse.database.as_str()), (1, DATABASE));
        let metrics = "weir_recorder_stage_seconds_sum{stage=\"insert\"} 1.256\n\
                       weir_recorder_stage_seconds_count{stage=\"insert\"} 9\n\
                       weir_recorder_stage_seconds_sum{stage=\"plan\"} 0.5\n";
        assert_eq!(stages(metrics), "insert 1.26, plan 0.50");
    }

    #[test]
    fn the_ratio_is_that_to_the_better_format() {
        let speed = |seconds| Speed { time: Duration::from_secs(seconds), clickhouse_us: 4_000 };
        let recorder =
            CaughtUp { time: Duration::from_secs(4), cpu_us: [2_000, 5_000, 500], stages: "insert 1".to_owned() };
        let text = report(Cores::Apart, 1_000, (&recorder, &[(WAYS[0], speed(5)), (WAYS[2], speed(2))]), 100 << 20);
        assert!(text.contains("| 250 | 0.50 | 5.00 | 2.00 | 0.50 |"), "{text}");
        let best = "| ClickHouse alone, Native from files, 66667 rows an insert | 500 | | 4.00 | | |";
        assert!(text.contains(best) && text.contains("100 MiB"), "{text}");
    }
}
